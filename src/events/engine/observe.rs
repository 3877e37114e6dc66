//! Airflow's own changes become events: states of runs and task instances of Dags that some trigger watches, and updates of
//! assets.
//!
//! Whoever changes them (a worker, the API, another scheduler), the rows tell. What was told last is kept in
//! `slipstream_observed` and written in the transaction that appends the events, under the engine's lock: each change is
//! told once. A state that came and went between two looks is told when the row shows that it must have been.

use std::collections::{BTreeSet, HashMap};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use slipstream_core::event::{
    AIRFLOW_NAMESPACE, ASSET_TYPE, DAG_RUN_TYPE, Pattern, Position, Scope, TASK_INSTANCE_TYPE,
};
use slipstream_core::ids::DagId;

use super::Engine;
use crate::store::events::{self as log, NewEvent};
use crate::store::triggers::asset_updates::{self, AssetUpdate};
use crate::store::triggers::cursor;
use crate::store::triggers::observed::{self, Present, Seen, Still, Subject};
use crate::store::{Conn, StoreError, Tx};

/// `source` of what Airflow's rows tell.
const SOURCE: &str = "airflow";
/// The state of a run before it runs.
const QUEUED: &str = "queued";
/// How far back rows are read again: clocks differ, and transactions take their time.
const OVERLAP: TimeDelta = TimeDelta::seconds(10);
/// How often every row of a watched run is compared.
const THOROUGH: TimeDelta = TimeDelta::seconds(5);
/// How often it is found out which Dags are watched, where no trigger has changed.
const RESOLVED: TimeDelta = TimeDelta::seconds(10);

/// What is being watched, and how far it has been.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// The state of the registry that `keys` is of.
    version: Option<i64>,
    keys: Vec<Pattern>,
    dags: BTreeSet<DagId>,
    resolved_at: Option<DateTime<Utc>>,
    thorough_at: Option<DateTime<Utc>>,
    /// `[slipstream] airflow_events`: Dags of which everything is told.
    told: Vec<Pattern>,
}

impl Watch {
    pub(super) fn telling(told: Vec<Pattern>) -> Self {
        Self { told, ..Self::default() }
    }

    pub(super) fn tells_any(&self) -> bool {
        !self.told.is_empty()
    }

    pub(super) fn told(&self) -> &[Pattern] {
        &self.told
    }

    fn tells(&self, dag_id: &str) -> bool {
        self.told.iter().any(|pattern| pattern.accepts(dag_id))
    }

    /// An update that no task made is of no Dag: it is told where all Dags are.
    fn tells_update(&self, dag_id: Option<&str>) -> bool {
        dag_id.map_or_else(|| self.told.contains(&Pattern::Any), |dag_id| self.tells(dag_id))
    }

    fn wants(&self, key: &str) -> bool {
        self.keys.iter().any(|pattern| pattern.accepts(key))
    }
}

/// Whether something was done at least `every` ago. What was done later than now was done before the clock was set back.
fn is_past(at: DateTime<Utc>, every: TimeDelta, now: DateTime<Utc>) -> bool {
    at > now || now - at >= every
}

/// How much of the rows is looked at.
#[derive(Clone, Copy, Debug)]
enum Look {
    All,
    Since(DateTime<Utc>),
}

impl Engine {
    /// Looks for changes and appends them to the log.
    ///
    /// # Errors
    /// As any statement; then nothing was appended.
    pub(super) async fn observe(&mut self, now: DateTime<Utc>) -> Result<(), StoreError> {
        if !self.observes() {
            return Ok(());
        }
        self.resolve(now).await?;
        let thorough = self.watch.thorough_at.is_none_or(|at| is_past(at, THOROUGH, now));
        let look = if thorough { Look::All } else { Look::Since(now - OVERLAP) };
        // Without a lock first: mostly nothing has changed.
        let is_news =
            !self.news(&self.db, look).await?.is_empty() || !self.updates(&self.db).await?.is_empty();
        if is_news {
            let tx = self.db.begin().await?;
            if cursor::lock(&tx, cursor::ENGINE).await?.is_none() {
                return tx.rollback().await;
            }
            self.tell_states(&tx, look, now).await?;
            self.tell_assets(&tx, now).await?;
            tx.commit().await?;
        }
        if thorough {
            self.watch.thorough_at = Some(now);
        }
        Ok(())
    }

    /// Finds out which Dags are watched; seeds those that are new to it.
    async fn resolve(&mut self, now: DateTime<Utc>) -> Result<(), StoreError> {
        let version = self.catalog.version();
        let old = self.watch.resolved_at.is_none_or(|at| is_past(at, RESOLVED, now));
        if self.watch.version == version && !old {
            return Ok(());
        }
        self.watch.keys = self.catalog.airflow_keys();
        let keys: Vec<Pattern> = self.watch.keys.iter().chain(&self.watch.told).cloned().collect();
        let dags = observed::dags_of(&self.db, &keys).await?;
        self.begin(&dags, now).await?;
        self.watch.dags = dags;
        self.watch.version = version;
        self.watch.resolved_at = Some(now);
        Ok(())
    }

    /// Notes how the runs of newly watched Dags stand: that is no news. A change from now on is.
    async fn begin(&self, dags: &BTreeSet<DagId>, now: DateTime<Utc>) -> Result<(), StoreError> {
        let known = observed::watched(&self.db, dags).await?;
        let assets = cursor::get(&self.db, cursor::ASSETS_BEGIN).await?;
        if known.len() == dags.len() && assets.is_some() {
            return Ok(());
        }
        let tx = self.db.begin().await?;
        let head = log::head(&tx).await?;
        cursor::wait_for(&tx, cursor::ENGINE, head).await?;
        let known = observed::watched(&tx, dags).await?;
        let highest = observed::highest_run(&tx).await?;
        cursor::ensure(&tx, cursor::OBSERVED_RUNS, Position(highest)).await?;
        cursor::ensure(&tx, cursor::OBSERVED_ASSETS, Position(asset_updates::highest(&tx).await?)).await?;
        let begin = cursor::get(&tx, cursor::OBSERVED_ASSETS).await?.unwrap_or_default();
        cursor::ensure(&tx, cursor::ASSETS_BEGIN, begin).await?;
        for dag_id in dags.difference(&known) {
            let found = observed::runs(&tx, &BTreeSet::from([dag_id.clone()]), highest).await?;
            let seen: Vec<(Subject, Seen)> = observed::present(&tx, &found.runs, None)
                .await?
                .into_iter()
                .map(|row| (row.subject, row.seen))
                .collect();
            observed::save(&tx, &seen, now).await?;
            observed::watch(&tx, dag_id, now).await?;
        }
        tx.commit().await
    }

    /// Rows that differ from what was told.
    async fn news<C: Conn>(&self, conn: &C, look: Look) -> Result<Vec<News>, StoreError> {
        if self.watch.dags.is_empty() {
            return Ok(Vec::new());
        }
        let after = cursor::get(conn, cursor::OBSERVED_RUNS).await?.unwrap_or_default();
        let found = observed::runs(conn, &self.watch.dags, after.0).await?;
        if found.runs.is_empty() {
            return Ok(Vec::new());
        }
        let since = match look {
            Look::All => None,
            Look::Since(moment) => Some(moment),
        };
        let present = observed::present(conn, &found.runs, since).await?;
        let told = observed::told(conn, present.iter().map(|row| &row.subject)).await?;
        Ok(news(present, &told, &found))
    }

    async fn tell_states(&self, tx: &Tx, look: Look, now: DateTime<Utc>) -> Result<(), StoreError> {
        let news = self.news(tx, look).await?;
        let seen: Vec<(Subject, Seen)> =
            news.iter().map(|item| (item.row.subject.clone(), item.row.seen.clone())).collect();
        observed::save(tx, &seen, now).await?;
        let told: Vec<&News> = news
            .iter()
            .filter(|News { row: Present { subject, .. }, .. }| {
                self.watch.wants(&key(subject)) || self.watch.tells(subject.dag_id.as_str())
            })
            .collect();
        let subjects: Vec<&Subject> = told.iter().map(|item| &item.row.subject).collect();
        let mut copies = observed::copies(tx, &subjects).await?;
        let mut events = Vec::new();
        for item in told.into_iter().rev() {
            for change in item.told.iter().rev() {
                let still = if *change == item.row.seen { Still::Yes } else { Still::No };
                let remaining = copies.remaining(&item.row.subject, state_of(change), still);
                events.push(event(&item.row, change, remaining, now));
            }
        }
        events.reverse();
        log::append(tx, &events, now).await?;
        let highest = observed::highest_run(tx).await?;
        cursor::advance(tx, cursor::OBSERVED_RUNS, Position(highest)).await
    }

    async fn updates<C: Conn>(&self, conn: &C) -> Result<Vec<AssetUpdate>, StoreError> {
        let Some(after) = cursor::get(conn, cursor::OBSERVED_ASSETS).await? else { return Ok(Vec::new()) };
        let begin = cursor::get(conn, cursor::ASSETS_BEGIN).await?.unwrap_or(after);
        asset_updates::unseen(conn, begin.0, after.0).await
    }

    /// Appends updates of assets, and notes all of them as seen: also those that nobody waits for, because who waits for them
    /// later does not mean these.
    async fn tell_assets(&self, tx: &Tx, now: DateTime<Utc>) -> Result<(), StoreError> {
        let updates = self.updates(tx).await?;
        let events: Vec<NewEvent> = updates
            .iter()
            .filter(|update| {
                self.watch.wants(&update.uri) || self.watch.tells_update(update.dag_id.as_deref())
            })
            .map(|update| asset(update, now))
            .collect();
        log::append(tx, &events, now).await?;
        let ids: Vec<i64> = updates.iter().map(|update| update.id).collect();
        let Some(highest) = ids.iter().max() else { return Ok(()) };
        let after = cursor::get(tx, cursor::OBSERVED_ASSETS).await?.unwrap_or_default().0.max(*highest);
        cursor::advance(tx, cursor::OBSERVED_ASSETS, Position(after)).await?;
        asset_updates::saw(tx, &ids, after).await
    }

    /// Ends the watch over assets when nobody waits for anything any more: who does so later waits for what comes then.
    ///
    /// # Errors
    /// As any statement; then nothing was done.
    pub(super) async fn rest(&mut self) -> Result<(), StoreError> {
        if self.observes() || cursor::get(&self.db, cursor::OBSERVED_ASSETS).await?.is_none() {
            return Ok(());
        }
        let tx = self.db.begin().await?;
        let head = log::head(&tx).await?;
        cursor::wait_for(&tx, cursor::ENGINE, head).await?;
        self.catalog.refresh(&tx).await?;
        if self.observes() {
            return tx.rollback().await;
        }
        cursor::remove(&tx, cursor::OBSERVED_ASSETS).await?;
        cursor::remove(&tx, cursor::ASSETS_BEGIN).await?;
        asset_updates::forget(&tx).await?;
        tx.commit().await
    }
}

/// A row that differs from what was told, and what is to be told of it.
#[derive(Clone, Debug, PartialEq)]
struct News {
    row: Present,
    told: Vec<Seen>,
}

fn news(present: Vec<Present>, told: &HashMap<Subject, Seen>, found: &observed::Found) -> Vec<News> {
    let mut news: Vec<News> = present
        .into_iter()
        .filter_map(|row| {
            let before = told.get(&row.subject);
            if before == Some(&row.seen) {
                return None;
            }
            let run = (row.subject.dag_id.clone(), row.subject.run_id.clone());
            let is_old = found.old.contains(&run) && before.is_none() && !row.subject.task_id.is_empty();
            let told = if is_old { Vec::new() } else { changes(before, &row) };
            Some(News { row, told })
        })
        .collect();
    // As they happened; a run after its task instances.
    news.sort_by_key(|item| (item.row.updated_at, item.row.subject.task_id.is_empty()));
    news
}

/// The states that a row has gone through since it was told last, as far as the row shows.
fn changes(before: Option<&Seen>, row: &Present) -> Vec<Seen> {
    let now = &row.seen;
    let at = |state: &str, try_number: i64| Seen { state: Some(state.to_owned()), try_number };
    let mut told = Vec::new();
    if row.subject.task_id.is_empty() {
        // A run cannot end without having run, nor run without having been queued.
        let ended = matches!(now.state.as_deref(), Some("success" | "failed"));
        let was = before.and_then(|seen| seen.state.as_deref());
        let runs = now.state.as_deref() == Some("running");
        let begins = was.is_none() && (runs || ended) || runs && matches!(was, Some("success" | "failed"));
        if begins && row.queued_at.is_some() {
            told.push(at(QUEUED, 0));
        }
        if ended && row.start_date.is_some() && matches!(was, None | Some("queued")) {
            told.push(at("running", 0));
        }
    } else {
        let (was, was_try) = before.map_or((None, 0), |seen| (seen.state.as_deref(), seen.try_number));
        let next_try = now.try_number > was_try;
        if next_try
            && was == Some("running")
            && matches!(now.state.as_deref(), Some("running" | "success" | "failed"))
        {
            told.push(at("up_for_retry", was_try));
        }
        let has_run = matches!(
            now.state.as_deref(),
            Some("success" | "failed" | "up_for_retry" | "up_for_reschedule" | "deferred" | "restarting")
        );
        let not_yet = next_try || matches!(was, None | Some("scheduled" | "queued" | "up_for_retry"));
        if has_run && not_yet && row.start_date.is_some() {
            told.push(at("running", now.try_number));
        }
    }
    if now.state.is_some()
        && before.map(|seen| (&seen.state, seen.try_number)) != Some((&now.state, now.try_number))
    {
        let same_state = before.is_some_and(|seen| seen.state == now.state);
        // The number of the try moves by itself when a task is scheduled again; the state is the news.
        if !same_state || matches!(now.state.as_deref(), Some("running" | "success" | "failed")) {
            told.push(now.clone());
        }
    }
    told
}

fn key(subject: &Subject) -> String {
    match subject.task_id.as_str() {
        "" => subject.dag_id.to_string(),
        task_id => format!("{}.{task_id}", subject.dag_id),
    }
}

fn state_of(change: &Seen) -> &str {
    change.state.as_deref().unwrap_or("none")
}

/// The event of a change. `remaining`: how many other copies of the task have not got this state yet.
fn event(row: &Present, change: &Seen, remaining: i64, now: DateTime<Utc>) -> NewEvent {
    let subject = &row.subject;
    let state = state_of(change);
    let is_present = *change == row.seen;
    let time = match (is_present, state) {
        (true, _) => row.updated_at,
        (false, QUEUED) => row.queued_at.or(row.updated_at),
        (false, _) => row.start_date.or(row.updated_at),
    };
    let moment = time.unwrap_or(now);
    let (kind, name, scope) = match row.ti_id {
        Some(id) => (
            TASK_INSTANCE_TYPE,
            format!("{id}/{}", change.try_number),
            Scope::Run { dag_id: subject.dag_id.clone(), run_id: subject.run_id.clone() },
        ),
        None => (DAG_RUN_TYPE, format!("{}/{}", subject.dag_id, subject.run_id), Scope::All),
    };
    let mut data = json!({"dag_id": subject.dag_id, "run_id": subject.run_id, "state": state});
    if let Some(map) = data.as_object_mut() {
        if row.ti_id.is_some() {
            map.insert("task_id".to_owned(), subject.task_id.as_str().into());
            map.insert("map_index".to_owned(), subject.map_index.into());
            map.insert("try_number".to_owned(), change.try_number.into());
            map.insert("remaining".to_owned(), remaining.into());
        } else {
            map.insert("run_type".to_owned(), row.run_type.as_str().into());
        }
    }
    NewEvent {
        namespace: AIRFLOW_NAMESPACE.to_owned(),
        key: key(subject),
        id: format!("{name}/{state}/{}", moment.timestamp_micros()),
        time: moment,
        scope,
        data,
        ..NewEvent::new(SOURCE, &format!("{kind}{state}"), now)
    }
}

fn asset(update: &AssetUpdate, now: DateTime<Utc>) -> NewEvent {
    NewEvent {
        namespace: AIRFLOW_NAMESPACE.to_owned(),
        key: update.uri.clone(),
        id: format!("asset_event/{}", update.id),
        time: update.timestamp.unwrap_or(now),
        data: json!({
            "name": update.name, "uri": update.uri, "extra": update.extra, "partition_key": update.partition_key,
            "source_dag_id": update.dag_id, "source_run_id": update.run_id, "source_task_id": update.task_id,
            "source_map_index": update.map_index,
        }),
        ..NewEvent::new(SOURCE, ASSET_TYPE, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_set_back_keeps_nobody_from_looking() {
        let now = Utc::now();
        assert!(!is_past(now, THOROUGH, now + TimeDelta::seconds(4)));
        assert!(is_past(now, THOROUGH, now + THOROUGH));
        assert!(is_past(now + TimeDelta::hours(1), THOROUGH, now));
    }

    fn seen(state: &str, try_number: i64) -> Seen {
        Seen { state: (!state.is_empty()).then(|| state.to_owned()), try_number }
    }

    fn row(task_id: &str, state: &str, try_number: i64) -> Present {
        let subject =
            Subject { dag_id: "d".into(), run_id: "r".into(), task_id: task_id.to_owned(), map_index: -1 };
        let at = crate::store::testing::at(0);
        let ti_id = (!task_id.is_empty()).then(uuid::Uuid::nil);
        let run_type = String::new();
        Present {
            subject,
            seen: seen(state, try_number),
            ti_id,
            start_date: Some(at),
            updated_at: Some(at),
            queued_at: None,
            run_type,
        }
    }

    fn states(before: Option<Seen>, row: &Present) -> Vec<String> {
        changes(before.as_ref(), row).into_iter().filter_map(|seen| seen.state).collect()
    }

    #[test]
    fn a_state_that_came_and_went_between_two_looks_is_told() {
        assert_eq!(states(Some(seen("queued", 1)), &row("t", "success", 1)), ["running", "success"]);
        assert_eq!(states(None, &row("t", "success", 1)), ["running", "success"]);
        assert_eq!(states(Some(seen("running", 1)), &row("t", "running", 2)), ["up_for_retry", "running"]);
        assert_eq!(states(Some(seen("running", 1)), &row("t", "success", 1)), ["success"]);
        assert_eq!(states(Some(seen("queued", 0)), &row("", "failed", 0)), ["running", "failed"]);
        assert_eq!(states(Some(seen("queued", 1)), &row("t", "restarting", 1)), ["running", "restarting"]);
    }

    #[test]
    fn a_run_that_runs_has_been_queued() {
        let of = |state| Present { queued_at: Some(crate::store::testing::at(0)), ..row("", state, 0) };
        assert_eq!(states(None, &of("running")), ["queued", "running"]);
        assert_eq!(states(None, &of("success")), ["queued", "running", "success"]);
        assert_eq!(states(Some(seen("queued", 0)), &of("running")), ["running"]);
        assert_eq!(states(Some(seen("failed", 0)), &of("running")), ["queued", "running"]);
        assert_eq!(states(Some(seen("failed", 0)), &of("success")), ["success"], "a person marked it");
        assert_eq!(states(Some(seen("running", 0)), &of("success")), ["success"]);
    }

    #[test]
    fn a_new_execution_tells_nothing_of_the_one_before() {
        assert_eq!(states(Some(seen("success", 1)), &row("t", "scheduled", 2)), ["scheduled"]);
        assert_eq!(states(Some(seen("success", 1)), &row("t", "success", 1)), [""; 0]);
        assert_eq!(states(Some(seen("success", 1)), &row("t", "success", 2)), ["running", "success"]);
    }

    #[test]
    fn a_task_that_is_stopped_is_not_told_to_run_once_more() {
        assert_eq!(states(Some(seen("running", 1)), &row("t", "restarting", 1)), ["restarting"]);
        assert_eq!(states(Some(seen("restarting", 1)), &row("t", "success", 1)), ["success"]);
    }

    #[test]
    fn what_never_ran_is_not_told_to_have_run() {
        let skipped = Present { start_date: None, ..row("t", "skipped", 0) };
        assert_eq!(states(None, &skipped), ["skipped"]);
        assert_eq!(states(Some(seen("success", 1)), &row("t", "", 1)), Vec::<String>::new());
        assert_eq!(states(Some(seen("scheduled", 0)), &row("t", "scheduled", 1)), Vec::<String>::new());
    }
}
