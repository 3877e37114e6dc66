//! Looks at the database of another scheduler again and again, and says where that decides differently.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use slipstream_core::ids::{DagId, MapIndex, TaskId};
use slipstream_core::run::{self, Needs};
use slipstream_core::state::{RunState, TaskState};

use super::book::{RunBook, rows};
use super::difference::{Difference, Summary};
use super::making::{Made, Making};
use super::plan::{self, Act, Planned, Plans, Turn, What};
use super::step::Deed;
use crate::config::{Config, keys};
use crate::runtime::Shutdown;
use crate::scheduler::SchedulerError;
use crate::scheduler::create_runs::{self, BATCH, CreateOptions};
use crate::scheduler::judge::{self, Judgement};
use crate::scheduler::options::Options;
use crate::scheduler::start_runs;
use crate::scheduler::tick::run_options;
use crate::store::dag_bag::{CachedDag, DagBag};
use crate::store::shadow::{self, DagStanding, RunStanding, Touch};
use crate::store::snapshot::{self, RunSnapshot};
use crate::store::watch::{self, Seen};
use crate::store::{Access, Conn, Db, StoreError, Tx, integrity};

/// How long after a person's change a run is only followed: the change and its line in the audit log may come apart.
const QUIET: TimeDelta = TimeDelta::seconds(5);
/// Dags that are due so soon are remembered, to know what they announced when a run is made.
const SOON: TimeDelta = TimeDelta::seconds(60);
/// How long a look that failed is waited for before the next one.
const PAUSE: Duration = Duration::from_secs(2);

/// How the other scheduler is watched.
#[derive(Clone, Copy, Debug)]
pub struct ShadowOptions {
    /// How long the other scheduler may take for what we would do at once.
    pub window: Duration,
    /// How long is watched; `None`: until told to stop.
    pub length: Option<Duration>,
    /// The time between two looks.
    pub pace: Duration,
}

/// Watches another scheduler. It writes nothing.
#[derive(Debug)]
pub struct Watcher {
    db: Db,
    bag: DagBag,
    options: Options,
    shadow: ShadowOptions,
    create: CreateOptions,
    window: TimeDelta,
    books: BTreeMap<i64, RunBook>,
    making: Making,
    seen: Seen,
    /// When a run is to be looked at even if nothing is written to it: a retry, a sensor, a timeout.
    ripe: BTreeMap<DateTime<Utc>, BTreeSet<i64>>,
    reexamined: DateTime<Utc>,
    place: Option<Place>,
    summary: Summary,
}

/// Up to where the history was read.
#[derive(Clone, Copy, Debug)]
struct Place {
    run: i64,
    log: i64,
    at: DateTime<Utc>,
}

impl Watcher {
    /// Watches through a connection that can only read.
    ///
    /// # Errors
    /// When the connection could write, or an option cannot be used.
    pub fn new(db: Db, config: &Config, shadow: ShadowOptions) -> Result<Self, SchedulerError> {
        if db.access() != Access::ReadOnly {
            let why = "a shadow must not be able to write to the metadata database".to_owned();
            return Err(StoreError::Invalid(why).into());
        }
        let batch = config.get(&keys::scheduler::MAX_DAGRUNS_TO_CREATE_PER_LOOP).max(BATCH);
        let create = CreateOptions { runs: run_options(config)?, job_id: 0, batch, start: 0 };
        Ok(Self {
            db,
            bag: DagBag::default(),
            options: Options::from_config(config),
            window: TimeDelta::from_std(shadow.window).unwrap_or(TimeDelta::MAX),
            shadow,
            create,
            books: BTreeMap::new(),
            making: Making::default(),
            seen: Seen::default(),
            ripe: BTreeMap::new(),
            reexamined: DateTime::<Utc>::MIN_UTC,
            place: None,
            summary: Summary::default(),
        })
    }

    /// Watches until told to stop or until the time is up. Every difference is passed to `tell` when it is clear. A database
    /// that cannot be read is logged and waited for.
    pub async fn run(mut self, shutdown: Shutdown, mut tell: impl FnMut(&Difference)) -> Summary {
        let until = self.shadow.length.map(|length| tokio::time::Instant::now() + length);
        while !shutdown.is_asked() && until.is_none_or(|until| tokio::time::Instant::now() < until) {
            let pause = match self.look(Utc::now()).await {
                Ok(found) => {
                    found.iter().for_each(&mut tell);
                    self.shadow.pace
                }
                Err(error) => {
                    tracing::error!(%error, "the metadata database could not be read; it is tried again");
                    PAUSE
                }
            };
            tokio::select! { () = tokio::time::sleep(pause) => {}, () = shutdown.asked() => {} }
        }
        self.summary()
    }

    /// What was seen so far.
    pub fn summary(&self) -> Summary {
        let open = self.books.values().map(RunBook::open).sum::<u64>() + self.making.open();
        Summary { open, ..self.summary }
    }

    /// One look. What differs and was not told yet is returned.
    ///
    /// # Errors
    /// As any statement. What has been compared by then is not compared again.
    pub async fn look(&mut self, now: DateTime<Utc>) -> Result<Vec<Difference>, StoreError> {
        let tx = self.db.begin().await?;
        let found = self.look_at(&tx, now).await;
        tx.rollback().await?;
        self.summary.looks += 1;
        found
    }

    async fn look_at(&mut self, tx: &Tx, now: DateTime<Utc>) -> Result<Vec<Difference>, StoreError> {
        let place = match self.place {
            Some(place) => place,
            None => {
                let run = watch::newest_run(tx).await?.unwrap_or(0);
                Place { run, log: shadow::newest_log(tx).await?, at: now }
            }
        };
        let made = self.made(tx, place, now).await?;
        let touches = shadow::touches_after(tx, place.log).await?;
        let next = Place {
            run: made.runs.last().map_or(place.run, |run| run.id),
            log: shadow::newest_log(tx).await?.max(place.log),
            at: now,
        };
        let mut found = self.look_at_runs(tx, place, &touches, &made, now).await?;
        found.extend(self.making.look(made, self.window, now, &mut self.summary));
        for difference in &found {
            self.summary.count(difference);
        }
        self.place = Some(next);
        Ok(found)
    }

    /// Reads what runs were made, and which would be.
    async fn made(&self, tx: &Tx, place: Place, now: DateTime<Utc>) -> Result<Made, StoreError> {
        let runs = shadow::runs_after(tx, place.run).await?;
        let made = runs.iter().map(|run| run.dag_id.clone());
        let ids: BTreeSet<DagId> = self.making.dags().cloned().chain(made).collect();
        let rows = shadow::dag_rows(tx, &ids).await?;
        let foreseen = if self.options.create_runs {
            create_runs::foresee(tx, &self.bag, &self.create, now).await?
        } else {
            create_runs::ForeseenRuns::default()
        };
        Ok(Made {
            dags: self.bag.latest(tx, &ids).await?,
            rows: rows.into_iter().map(|row| (row.dag_id.clone(), row)).collect(),
            due: shadow::dags_due(tx, now + SOON).await?,
            foreseen,
            runs,
        })
    }

    async fn look_at_runs(
        &mut self,
        tx: &Tx,
        place: Place,
        touches: &[Touch],
        made: &Made,
        now: DateTime<Utc>,
    ) -> Result<Vec<Difference>, StoreError> {
        let page = i64::try_from(self.options.runs_per_pass).unwrap_or(i64::MAX);
        let chosen = start_runs::choose(tx, &self.bag, page, now).await?.started;
        let chosen: BTreeSet<i64> = chosen.into_iter().map(|run| run.id).collect();
        let ids = self.runs_to_look_at(tx, made, &chosen, now).await?;
        let mut found = Vec::new();
        let ids: Vec<i64> = ids.into_iter().collect();
        for portion in ids.chunks(self.options.runs_per_pass.max(1)) {
            let portion: BTreeSet<i64> = portion.iter().copied().collect();
            let runs = snapshot::load_in_any_state(tx, &portion).await?;
            let standings = shadow::standings(tx, &portion).await?;
            let standings: HashMap<i64, RunStanding> =
                standings.into_iter().map(|standing| (standing.id, standing)).collect();
            let dags = judge::dags(tx, &self.bag, &runs).await?;
            let there: BTreeSet<i64> = runs.iter().map(|run| run.id).collect();
            for gone in portion.difference(&there) {
                if let Some(book) = self.books.remove(gone) {
                    self.summary.withdrawn += book.open();
                }
            }
            for (run, dag) in runs.iter().zip(dags) {
                let Some(standing) = standings.get(&run.id) else { continue };
                let one = Look { tx, run, dag: dag.as_deref(), standing, place, touches, now };
                found.extend(self.follow(&one, chosen.contains(&run.id)).await?);
            }
        }
        Ok(found)
    }

    /// Runs about which something may have happened, or is to be settled.
    async fn runs_to_look_at(
        &mut self,
        tx: &Tx,
        made: &Made,
        chosen: &BTreeSet<i64>,
        now: DateTime<Utc>,
    ) -> Result<BTreeSet<i64>, StoreError> {
        let reexamine = TimeDelta::from_std(self.options.reexamine).unwrap_or(TimeDelta::MAX);
        if now - self.reexamined >= reexamine {
            self.seen.forget_all();
            self.reexamined = now;
        }
        let running = watch::running_runs(tx).await?;
        let mut ids: BTreeSet<i64> = self.seen.changed(&running).into_iter().collect();
        let active: HashMap<i64, Option<RunState>> =
            shadow::active_runs(tx).await?.into_iter().map(|run| (run.id, run.state)).collect();
        let is_as_known = |id: &i64, book: &RunBook| active.get(id) == Some(&Some(book.state()));
        let known = self.books.iter().filter(|(id, book)| book.is_open() || !is_as_known(id, book));
        ids.extend(known.map(|(id, _)| *id));
        ids.extend(active.keys().filter(|id| !self.books.contains_key(id)));
        ids.extend(made.runs.iter().map(|run| run.id));
        ids.extend(chosen);
        while let Some(first) = self.ripe.first_entry() {
            if *first.key() > now {
                break;
            }
            ids.extend(first.remove().into_iter().filter(|id| self.books.contains_key(id)));
        }
        Ok(ids)
    }

    /// One run: what has happened to it, and what is to happen next.
    async fn follow(&mut self, look: &Look<'_>, is_chosen: bool) -> Result<Vec<Difference>, StoreError> {
        let Look { run, now, .. } = *look;
        let (state, present) = (run.facts.state, rows(&run.tis));
        let mut book = match self.books.remove(&run.id) {
            Some(book) => book,
            None => {
                self.summary.runs += 1;
                let (dag_id, run_id) = (run.facts.dag_id.clone(), run.facts.run_id.clone());
                if run.id > look.place.run && self.place.is_some() {
                    RunBook::made(dag_id, run_id, present.clone(), look.place.at)
                } else {
                    RunBook::found(dag_id, run_id, state, present.clone(), now)
                }
            }
        };
        if look.touches.iter().any(|touch| concerns(touch, &book)) {
            book.touch(now + QUIET, &mut self.summary);
        }
        book.compare(state, &present, now, &mut self.summary);
        let (plans, next_look) = match state {
            RunState::Running if look.may_go_on() => self.plan(look, run, now).await?,
            RunState::Queued if is_chosen => (Plans::from([(What::Run, START)]), None),
            _ => (Plans::new(), None),
        };
        book.expect(&plans, now, &mut self.summary);
        for at in 0..book.moves().len() {
            self.explain(look, &mut book, at).await?;
        }
        let found = book.overdue(self.window, now);
        if let Some(at) = next_look {
            self.ripe.entry(at).or_default().insert(run.id);
        }
        self.seen.examined(run.id, run.touched_at, Some(run.marks));
        if !state.is_finished() || book.is_open() {
            self.books.insert(run.id, book);
        }
        Ok(found)
    }

    /// What we would do about a run with these facts at this moment, and when it is to be looked at again.
    async fn plan(
        &self,
        look: &Look<'_>,
        run: &RunSnapshot,
        at: DateTime<Utc>,
    ) -> Result<(Plans, Option<DateTime<Utc>>), StoreError> {
        let (tx, Some(dag)) = (look.tx, look.dag) else { return Ok((Plans::new(), None)) };
        if run.unreadable.is_some() {
            return Ok((Plans::new(), None));
        }
        if let Some(plans) = new_version(tx, run, dag, at).await? {
            return Ok((plans, None));
        }
        match judge::judge(tx, run, dag, None, self.options.decisions, at).await? {
            Judgement::Is(judged, _) => {
                let next_look = match judged.outcome {
                    run::Outcome::StillRunning { next_look } => next_look,
                    _ => None,
                };
                Ok((plan::of(&judged, &dag.dag), next_look))
            }
            Judgement::Unreadable(_) => Ok((Plans::new(), None)),
        }
    }

    /// Judges again what we did not foresee, as if it had not happened.
    async fn explain(&mut self, look: &Look<'_>, book: &mut RunBook, at: usize) -> Result<(), StoreError> {
        let Look { run, standing, now, .. } = *look;
        let one = &book.moves()[at];
        if one.has(|deed| deed == Deed::RunStarted) {
            let reread = standing.parsed_at.is_some_and(|at| at >= one.before_at - QUIET);
            if standing.limit.is_none_or(|limit| standing.running <= limit) || reread {
                let plans = Plans::from([(What::Run, START)]);
                book.explain(at, &plans, &mut self.summary);
            }
            return Ok(());
        }
        let undone = one.undone(&rows(&run.tis));
        let mut as_before = RunSnapshot { tis: undone, ..run.clone() };
        as_before.facts.state = RunState::Running;
        // The clock must not have reached what it had not reached then: the timeout of a run, say.
        let moments = BTreeSet::from([standing.ended_at.map_or(now, |ended| ended.min(now)), one.before_at]);
        for moment in moments {
            let (plans, _) = self.plan(look, &as_before, moment).await?;
            book.explain(at, &plans, &mut self.summary);
        }
        if book.moves()[at].has(follows_a_version) {
            as_before.ti_versions.clear();
            let (plans, _) = self.plan(look, &as_before, now).await?;
            book.explain(at, &plans, &mut self.summary);
        }
        let skipped = |deed| deed == Deed::Became(TaskState::Skipped);
        if book.moves()[at].has(skipped) && self.tasks_skip(look, book.moves()[at].task.as_ref()).await? {
            book.excuse(at, skipped, &mut self.summary);
        }
        Ok(())
    }

    /// Whether a task may have been skipped by another task: directly, or because the Dag fails fast.
    async fn tasks_skip(&self, look: &Look<'_>, task: Option<&TaskId>) -> Result<bool, StoreError> {
        let (Some(dag), Some(task)) = (look.dag, task) else { return Ok(false) };
        let tis = &look.run.tis;
        if dag.dag.fail_fast && tis.iter().any(|ti| ti.state == Some(TaskState::Failed)) {
            return Ok(true);
        }
        let can_skip = |ti: &&run::TiFacts| {
            let task = dag.dag.task_by_id(ti.task_id.as_str());
            ti.try_number > 0 && task.is_some_and(|task| task.traits.can_skip_downstream)
        };
        let skips: Vec<(TaskId, MapIndex)> =
            tis.iter().filter(can_skip).map(|ti| (ti.task_id.clone(), ti.map_index)).collect();
        let needs = Needs { skips, ..Needs::default() };
        let loaded = snapshot::load_needs(look.tx, &look.run.facts, &needs).await?;
        Ok(loaded.skips.values().any(|verdict| verdict.skips(task)))
    }
}

/// What a look at one run works with.
#[derive(Clone, Copy)]
struct Look<'a> {
    tx: &'a Tx,
    run: &'a RunSnapshot,
    dag: Option<&'a CachedDag>,
    standing: &'a RunStanding,
    place: Place,
    touches: &'a [Touch],
    now: DateTime<Utc>,
}

impl Look<'_> {
    /// Whether a scheduler examines the run.
    fn may_go_on(&self) -> bool {
        self.standing.dag == DagStanding::Live && self.run.facts.run_after <= self.now
    }
}

/// Whether a new version of the Dag may be the reason.
fn follows_a_version(deed: Deed) -> bool {
    matches!(deed, Deed::Made | Deed::Restored | Deed::Became(TaskState::Removed))
}

const START: Planned =
    Planned { act: Act::StartRun, why: "fewer runs than may run are running", turn: Turn::Now };

fn concerns(touch: &Touch, book: &RunBook) -> bool {
    touch.dag_id.as_ref().is_none_or(|dag_id| dag_id == book.dag_id())
        && touch.run_id.as_ref().is_none_or(|run_id| run_id == book.run_id())
}

/// What a new version of its Dag does to a run, if there is one that it has not followed yet and that changes it.
async fn new_version(
    tx: &Tx,
    run: &RunSnapshot,
    dag: &CachedDag,
    now: DateTime<Utc>,
) -> Result<Option<Plans>, StoreError> {
    if run.pinned_version().is_some()
        || run.facts.logical_date.is_some_and(|date| date > now)
        || run.ti_versions.contains(&dag.version_id)
        || integrity::version_in_history(tx, run, dag.version_id).await?
    {
        return Ok(None);
    }
    let loaded = snapshot::load_needs(tx, &run.facts, &run::integrity_needs(&dag.dag, &run.tis)).await?;
    let changes = run::integrity(&dag.dag, &run.facts, &run.tis, &loaded);
    let mut plans = plan::of_decisions(&changes.decisions);
    let added = Planned { act: Act::Make, why: "the Dag has this task now", turn: Turn::Now };
    plans.extend(changes.new.into_iter().map(|ti| (What::Ti(ti.task_id, ti.map_index), added)));
    Ok((!plans.is_empty()).then_some(plans))
}
