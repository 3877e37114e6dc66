//! Triggers that wait for time: windows that close, absence, debouncing, ticks.
//!
//! Time is told to a trigger under the same lock as events. A tick becomes an event of the log, and so does a firing that
//! time alone caused (`airflow.timer`): every firing has a position.

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::json;
use slipstream_core::event::{AIRFLOW_NAMESPACE, Action, Position, Scope, TICK_TYPE};
use slipstream_core::ids::{DagId, RunId, TaskId};

use super::Engine;
use super::batch::Care;
use super::catalog::Armed;
use super::effects::{Counts, Effects};
use super::memory::{self, Answer, Memory};
use crate::store::events::{self as log, NewEvent};
use crate::store::triggers::active_runs::{ActiveRun, Clocks};
use crate::store::triggers::decisions::{self, Decision};
use crate::store::triggers::progress::{self, Key};
use crate::store::triggers::registry::Status;
use crate::store::triggers::{commands, cursor, dags};
use crate::store::{StoreError, Tx};

/// Type of the event that stands for a firing which time alone caused, with the trigger's id as key.
pub(super) const TIMER_TYPE: &str = "airflow.timer";
/// `source` of events that the engine itself appends.
pub(super) const SOURCE: &str = "airflow/triggers";
/// Most triggers that are told of the time in one transaction.
const MOST_DUE: i64 = 200;

/// Whether triggers were told of the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// Those were whose moment had come.
    Done,
    /// Not yet: events come first, or another scheduler evaluates.
    Busy,
}

impl Engine {
    /// Tells triggers whose moment has come that it has.
    ///
    /// # Errors
    /// As any statement; then nothing was done.
    pub(super) async fn time_has_passed(&mut self, now: DateTime<Utc>) -> Result<Told, StoreError> {
        // Asked without a lock first: mostly nothing is due.
        if progress::due(&self.db, now, 1).await?.is_empty() {
            self.clocks.wake_at = progress::next_wake(&self.db).await?;
            return Ok(Told::Done);
        }
        let tx = self.db.begin().await?;
        // Events first: one that is in the log by now may be the very one whose absence would be stated.
        let head = log::head(&tx).await?;
        if cursor::lock(&tx, cursor::ENGINE).await?.is_none_or(|position| position < head) {
            tx.rollback().await?;
            return Ok(Told::Busy);
        }
        self.catalog.refresh(&tx).await?;
        let due = progress::due(&tx, now, MOST_DUE).await?;
        let mut memory = Memory::default();
        let mut of_runs = BTreeSet::new();
        for saved in due.iter().filter(|saved| !saved.key.run_id.is_empty()) {
            of_runs.extend(self.catalog.row(saved.key.trigger).map(|row| row.dag_id.clone()));
        }
        let runs = self.adopt(&tx, &of_runs, &mut memory, now).await?;
        let asked: BTreeSet<&str> = due.iter().map(|saved| saved.key.run_id.as_str()).collect();
        let told: Vec<_> = runs
            .iter()
            .filter(|run| asked.contains(run.run_id.as_str()))
            .map(|run| (run.dag_id.clone(), run.run_id.clone()))
            .collect();
        let over = self.over(&tx, &told).await?;
        let catalog = &self.catalog;
        let mut effects = Effects::new(&tx, &self.bag, &self.options, catalog, Care::Together, now);
        let mut written = Vec::new();
        for saved in due {
            let key = saved.key.clone();
            memory.hold(key.clone(), saved);
            let of_run = |run: &&Arc<ActiveRun>| {
                run.run_id.as_str() == key.run_id
                    && catalog.row(key.trigger).is_some_and(|row| row.dag_id == run.dag_id)
            };
            let run = runs.iter().find(of_run);
            let armed = match run {
                Some(run) => catalog.of_run(run).and_then(|set| set.armed.get(&key.trigger)),
                None if key.run_id.is_empty() => catalog.dag_trigger(key.trigger),
                None => None,
            };
            let goes_on = |armed: &&Armed| {
                armed.row.status != Status::Paused && run.is_none_or(|run| !is_over(&over, armed, run))
            };
            let Some(armed) = armed.filter(goes_on) else {
                // Paused, retired, or the run has ended, or the periodic task was stopped.
                memory.silence(&key);
                continue;
            };
            let run = run.map(AsRef::as_ref);
            let spec = memory::bind(armed, run);
            let at = memory.wake_at(&key).unwrap_or(now);
            let (events, reason) = match memory.time(&key, &armed.hash, &spec, now) {
                Ok(Answer::Fired { events, reason }) => (events, reason),
                Ok(Answer::Nothing | Answer::Decided { .. }) => continue,
                Err(error) => {
                    tracing::error!(trigger = %armed.row.name, run_id = key.run_id, "the trigger fails at a moment of its own: {error}");
                    continue;
                }
            };
            if run.is_none() && may_not(&tx, &armed.row.dag_id).await? {
                continue;
            }
            let timer = timer(armed, run, &key, at, now);
            let position = append_one(&tx, timer, now).await?;
            written.push(Decision {
                position,
                trigger: key.trigger,
                run_id: key.run_id.clone(),
                verdict: "fired".to_owned(),
                reason,
            });
            if effects.fire(armed, &key, run, position, events).await? == Counts::No {
                memory.uncount(&key);
            }
        }
        let hints = effects.finish().await?;
        self.append_ticks(&tx, &mut memory, now).await?;
        memory.save(&tx).await?;
        decisions::save(&tx, &written).await?;
        tx.commit().await?;
        self.tell(hints);
        self.clocks.wake_at = progress::next_wake(&self.db).await?;
        Ok(Told::Done)
    }

    /// Appends the ticks that are due to the log.
    ///
    /// # Errors
    /// As any statement.
    pub(super) async fn append_ticks(
        &self,
        tx: &Tx,
        memory: &mut Memory,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let mut events = Vec::new();
        for ticks in std::mem::take(&mut memory.ticks) {
            let Some(row) = self.catalog.row(ticks.key.trigger) else { continue };
            for tick in ticks.due {
                let at = tick.at.to_rfc3339();
                let run = if ticks.key.run_id.is_empty() { "-" } else { &ticks.key.run_id };
                let id = format!("{}/{run}/{}/{at}", row.id, tick.term);
                events.push(NewEvent {
                    namespace: AIRFLOW_NAMESPACE.to_owned(),
                    key: row.id.to_string(),
                    id,
                    time: tick.at,
                    scope: scope(&row.dag_id, &ticks.key.run_id),
                    data: json!({"term": tick.term, "at": at, "trigger": row.name}),
                    ..NewEvent::new(SOURCE, TICK_TYPE, now)
                });
            }
        }
        log::append(tx, &events, now).await.map(drop)
    }

    /// The periodic tasks that were stopped in these runs: nothing starts them any more.
    async fn over(
        &self,
        tx: &Tx,
        runs: &[(DagId, RunId)],
    ) -> Result<BTreeSet<(DagId, RunId, TaskId)>, StoreError> {
        let mut stopped = commands::stopped(tx, runs).await?;
        if stopped.is_empty() {
            return Ok(stopped);
        }
        let dag_ids = stopped.iter().map(|(dag_id, _, _)| dag_id.clone()).collect();
        let dags = self.bag.latest(tx, &dag_ids).await?;
        stopped.retain(|(dag_id, _, task_id)| {
            let task = dags.get(dag_id).and_then(|dag| Some(dag.dag.task(dag.dag.find(task_id.as_str())?)));
            task.and_then(|task| task.slipstream.as_ref()).is_some_and(|events| events.periodic.is_some())
        });
        Ok(stopped)
    }

    /// Finds runs of Dags whose tasks have triggers as soon as they are made, so that their clocks are set.
    ///
    /// # Errors
    /// As any statement; then nothing was done.
    pub(super) async fn adopt_new_runs(&mut self, now: DateTime<Utc>) -> Result<(), StoreError> {
        let dags = self.catalog.task_dags().clone();
        if dags.is_empty() {
            return Ok(());
        }
        let runs = crate::store::triggers::active_runs::of_dags(&self.db, &dags).await?;
        if runs.iter().all(|run| run.clocks == Clocks::Set) {
            return Ok(());
        }
        let tx = self.db.begin().await?;
        if cursor::lock(&tx, cursor::ENGINE).await?.is_none() {
            return tx.rollback().await;
        }
        self.catalog.refresh(&tx).await?;
        let mut memory = Memory::default();
        self.adopt(&tx, &dags, &mut memory, now).await?;
        self.append_ticks(&tx, &mut memory, now).await?;
        memory.save(&tx).await?;
        tx.commit().await?;
        self.clocks.wake_at = progress::next_wake(&self.db).await?;
        Ok(())
    }
}

impl Engine {
    /// Sets the clocks of triggers that have none yet: new ones, and those that say something new.
    ///
    /// # Errors
    /// As any statement; then nothing was done.
    pub(super) async fn arm_all(&mut self, now: DateTime<Utc>) -> Result<(), StoreError> {
        if !self.catalog.has_clocks() {
            return Ok(());
        }
        let tx = self.db.begin().await?;
        let head = log::head(&tx).await?;
        cursor::wait_for(&tx, cursor::ENGINE, head).await?;
        self.catalog.refresh(&tx).await?;
        let mut memory = Memory::default();
        let dags = self.catalog.task_dags().clone();
        let runs = self.adopt(&tx, &dags, &mut memory, now).await?;
        let names: Vec<_> = runs.iter().map(|run| (run.dag_id.clone(), run.run_id.clone())).collect();
        let over = self.over(&tx, &names).await?;
        let of_dags = self.catalog.dag_triggers().map(|armed| (armed, None));
        let of_tasks = runs.iter().flat_map(|run| {
            let set = self.catalog.of_run(run).into_iter();
            set.flat_map(|set| set.armed.values()).map(move |armed| (armed, Some(run.as_ref())))
        });
        let clocks: Vec<_> = of_dags
            .chain(of_tasks)
            .filter(|(armed, _)| armed.row.status == Status::Active && armed.spec.watches_time())
            .filter(|(armed, run)| run.is_none_or(|run| !is_over(&over, armed, run)))
            .collect();
        let keys: Vec<Key> = clocks.iter().map(|(armed, run)| memory::clock_key(armed, *run)).collect();
        memory.load(&tx, &keys).await?;
        for (armed, run) in clocks {
            memory.arm(armed, run, now);
        }
        self.append_ticks(&tx, &mut memory, now).await?;
        memory.save(&tx).await?;
        tx.commit().await?;
        self.clocks.wake_at = progress::next_wake(&self.db).await?;
        Ok(())
    }
}

/// Whether a trigger would start a periodic task that was stopped.
fn is_over(over: &BTreeSet<(DagId, RunId, TaskId)>, armed: &Armed, run: &ActiveRun) -> bool {
    let starts = matches!(armed.spec.action, Action::Start { .. } | Action::Restart { .. });
    starts
        && armed.row.task_id.as_ref().is_some_and(|task_id| {
            !over.is_empty() && over.contains(&(run.dag_id.clone(), run.run_id.clone(), task_id.clone()))
        })
}

/// Whether a Dag gets no runs now: what a clock says meanwhile is passed by.
async fn may_not(tx: &Tx, dag_id: &DagId) -> Result<bool, StoreError> {
    let flags = dags::flags(tx, [dag_id]).await?;
    Ok(flags.get(dag_id).is_none_or(|dag| dag.why_not().is_some()))
}

fn scope(dag_id: &DagId, run_id: &str) -> Scope {
    if run_id.is_empty() {
        return Scope::All;
    }
    Scope::Run { dag_id: dag_id.clone(), run_id: RunId::from(run_id) }
}

fn timer(
    armed: &Armed,
    run: Option<&ActiveRun>,
    key: &Key,
    at: DateTime<Utc>,
    now: DateTime<Utc>,
) -> NewEvent {
    let row = &armed.row;
    NewEvent {
        namespace: AIRFLOW_NAMESPACE.to_owned(),
        key: row.id.to_string(),
        time: at,
        scope: run.map_or(Scope::All, |run| scope(&run.dag_id, run.run_id.as_str())),
        data: json!({"trigger": row.name, "dag_id": row.dag_id, "run_id": key.run_id, "correlation": key.correlation}),
        ..NewEvent::new(SOURCE, TIMER_TYPE, now)
    }
}

async fn append_one(tx: &Tx, event: NewEvent, now: DateTime<Utc>) -> Result<Position, StoreError> {
    let appended = log::append(tx, &[event], now).await?;
    let first =
        appended.first().ok_or_else(|| StoreError::Invalid("the event was not appended".to_owned()))?;
    Ok(first.position)
}
