//! One look at a handful of running dag runs: load, judge, write, in one transaction.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use slipstream_core::dag::WeightRule;
use slipstream_core::ids::{DagId, RunId};
use slipstream_core::run::{self, Decision, Examination, Outcome, Pausing, Portion, RunFacts};
use slipstream_core::state::{RunState, UnknownState};

use super::event_tasks::{EventMemory, EventWork};
use super::judge::{self, Judgement, Past};
use super::tick::Policy;
use crate::store::apply::{self, Applied, Target};
use crate::store::dag_bag::{CachedDag, DagBag};
use crate::store::execution::MultiTeam;
use crate::store::fernet::FernetKeys;
use crate::store::snapshot::{self, RunSnapshot};
use crate::store::watch::Marks;
use crate::store::{Db, StoreError, Tx, commands, integrity};

/// How long commands are left alone whose task instances another transaction holds.
const BUSY: TimeDelta = TimeDelta::milliseconds(100);

/// What one look at a run found.
#[derive(Debug)]
pub(super) struct Looked {
    pub(super) run: i64,
    pub(super) dag_id: DagId,
    pub(super) run_id: RunId,
    pub(super) applied: Applied,
    /// How many task instances the run has.
    pub(super) tis: usize,
    /// Everything up to here is known.
    pub(super) seen: Option<DateTime<Utc>>,
    /// The task instances as they were read.
    pub(super) marks: Marks,
    /// Whether it waits for an earlier run.
    pub(super) past: Past,
    pub(super) next: Next,
}

impl Looked {
    fn of(run: &RunSnapshot, applied: Applied, next: Next) -> Self {
        Self {
            run: run.id,
            dag_id: run.facts.dag_id.clone(),
            run_id: run.facts.run_id.clone(),
            // Not later than what was read: another process may commit an older time after we looked.
            seen: run.touched_at,
            marks: run.marks,
            past: Past::Irrelevant,
            applied,
            tis: run.tis.len(),
            next,
        }
    }
}

/// How a run goes on after it was looked at.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// When something changes, or at that moment.
    Later(Option<DateTime<Utc>>),
    /// At that moment: its logical date is in the future, and nothing is decided before.
    Early(Option<DateTime<Utc>>),
    /// Not at all.
    Ended { state: RunState, message: &'static str },
    /// At once, because something changed while it was looked at, or it was decided about in part only.
    Again,
    /// At once: other runs' changes, or reading the Dags, were enough for one round.
    NotYet,
    /// When users' Python has seen its new task instances.
    Prepare,
    /// Not now: its Dag or a row of it cannot be read.
    Waits,
}

/// What is known about the run's task instances that have no state yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rows {
    /// Users' Python has no say in them.
    AsTheDagSays,
    /// Users' Python has seen them.
    Prepared,
    /// Users' Python must see them before one is scheduled.
    New,
}

/// All that one pass needs, so that it can be tried again as a whole.
pub(super) struct Pass<'a> {
    pub(super) db: &'a Db,
    /// `None`: there is no event engine.
    pub(super) events: Option<&'a EventMemory>,
    pub(super) bag: &'a DagBag,
    pub(super) job: i64,
    pub(super) options: run::Options,
    /// About how many rows it may change.
    pub(super) most_changes: usize,
    /// After so many tasks of Dags were read it looks no further: they are known the next time.
    pub(super) most_reading: u64,
    pub(super) encrypt: &'a FernetKeys,
    pub(super) unixname: &'a str,
    pub(super) pausing: Pausing,
    /// `[core] multi_team`.
    pub(super) multi_team: MultiTeam,
    /// Runs that have just been started: a pause that came meanwhile counts after their first tasks.
    pub(super) launched: &'a BTreeSet<i64>,
    pub(super) policy: Policy,
    /// Runs whose new task instances users' Python has seen.
    pub(super) prepared: &'a HashSet<i64>,
    pub(super) now: DateTime<Utc>,
}

/// Runs that follow a new version of their Dag since this look.
#[derive(Debug, Default)]
struct Renewed {
    runs: HashSet<i64>,
    /// Those of which no task instance is of that version even then: Airflow asks again in each of its loops, so what is
    /// sent on its way now is moved as well.
    behind: BTreeSet<i64>,
}

impl Pass<'_> {
    pub(super) async fn run(
        &self,
        ids: &BTreeSet<i64>,
        keys: &BTreeSet<(DagId, RunId)>,
    ) -> Result<Vec<Looked>, StoreError> {
        let tx = self.db.begin().await?;
        let mut runs = snapshot::lock_runs(&tx, ids, keys, self.launched, self.pausing, self.now).await?;
        if runs.is_empty() {
            tx.rollback().await?;
            return Ok(Vec::new());
        }
        let before = self.bag.tasks_read();
        let dags = judge::dags(&tx, self.bag, &runs).await?;
        if self.bag.tasks_read() - before >= self.most_reading {
            tx.rollback().await?;
            return Ok(runs.iter().map(|run| Looked::of(run, Applied::default(), Next::NotYet)).collect());
        }
        snapshot::load_task_instances(&tx, &mut runs).await?;
        Pass { now: self.moment(&runs), ..*self }.look_at(tx, runs, &dags).await
    }

    /// The moment of the decisions: not before what they are about, or a task would seem to have started before the one that
    /// it waited for had ended. The round's moment is too old when a row had to be waited for or the transaction is tried again.
    fn moment(&self, runs: &[RunSnapshot]) -> DateTime<Utc> {
        let youngest = runs.iter().filter_map(|run| run.touched_at).max();
        // Not the time of a machine whose clock is ahead.
        youngest.filter(|touched| *touched <= Utc::now()).map_or(self.now, |touched| touched.max(self.now))
    }

    async fn look_at(
        &self,
        tx: Tx,
        mut runs: Vec<RunSnapshot>,
        dags: &[Option<Arc<CachedDag>>],
    ) -> Result<Vec<Looked>, StoreError> {
        let renewed = self.follow_new_versions(&tx, &mut runs, dags).await?;
        let mut looked = Vec::with_capacity(runs.len());
        let mut left = self.most_changes;
        for (run, dag) in runs.iter_mut().zip(dags) {
            if left == 0 && !renewed.runs.contains(&run.id) {
                looked.push(Looked::of(run, Applied::default(), Next::NotYet));
                continue;
            }
            let rows = self.rows(run, dag.as_ref(), &renewed.runs);
            let events = match dag {
                Some(dag) => self.take_commands(&tx, run, dag).await?,
                None => None,
            };
            let run = &*run;
            let look = self.look(&tx, run, dag.as_ref(), (rows, events), left).await?;
            left = left.saturating_sub(usize::try_from(look.applied.changed).unwrap_or(usize::MAX));
            looked.push(look);
            if let Some(dag) = dag.as_ref().filter(|_| renewed.behind.contains(&run.id)) {
                integrity::move_unfinished(&tx, run, dag.version_id, self.now).await?;
            }
        }
        let examined: Vec<i64> = looked
            .iter()
            .filter(|look| !matches!(look.next, Next::Waits | Next::Early(_) | Next::NotYet))
            .map(|look| look.run)
            .collect();
        apply::mark_examined(&tx, &examined, self.job, self.now).await?;
        tx.commit().await?;
        Ok(looked)
    }

    /// Runs that are not pinned follow the newest version of their Dag, unless it is paused (`_verify_integrity_if_dag_changed`).
    /// Returns those that got a new one.
    async fn follow_new_versions(
        &self,
        tx: &Tx,
        runs: &mut [RunSnapshot],
        dags: &[Option<Arc<CachedDag>>],
    ) -> Result<Renewed, StoreError> {
        let mut renewed = Renewed::default();
        for (run, dag) in runs.iter_mut().zip(dags) {
            let Some(dag) = dag else { continue };
            if self.pausing == Pausing::Paused
                || run.bundle_version.is_some()
                || run.facts.logical_date.is_some_and(|date| date > self.now)
                || run.unreadable.is_some()
                || run.ti_versions.contains(&dag.version_id)
                || integrity::version_in_history(tx, run, dag.version_id).await?
            {
                continue;
            }
            integrity::verify(tx, run, dag, self.unixname, self.now).await?;
            snapshot::load_task_instances(tx, std::slice::from_mut(run)).await?;
            renewed.runs.insert(run.id);
            if !run.ti_versions.contains(&dag.version_id) {
                renewed.behind.insert(run.id);
            }
        }
        Ok(renewed)
    }

    /// Whether users' Python has a say in the run's new task instances, and has had it.
    fn rows(&self, run: &RunSnapshot, dag: Option<&Arc<CachedDag>>, renewed: &HashSet<i64>) -> Rows {
        let custom = |dag: &Arc<CachedDag>| {
            dag.dag.iter().any(|(_, task)| matches!(task.weight_rule, WeightRule::Custom(_)))
        };
        if self.policy == Policy::None && !dag.is_some_and(custom) {
            return Rows::AsTheDagSays;
        }
        let seen = self.prepared.contains(&run.id) && !renewed.contains(&run.id);
        if seen || run.tis.iter().all(|ti| ti.state.is_some()) { Rows::Prepared } else { Rows::New }
    }

    async fn look(
        &self,
        tx: &Tx,
        run: &RunSnapshot,
        dag: Option<&Arc<CachedDag>>,
        (rows, events): (Rows, Option<EventWork>),
        most_changes: usize,
    ) -> Result<Looked, StoreError> {
        let facts = &run.facts;
        let looked = |applied: Applied, next| Looked::of(run, applied, next);
        if let Some(why) = &run.unreadable {
            leave_alone(facts, why);
            return Ok(looked(Applied::default(), Next::Waits));
        }
        let Some(dag) = dag else {
            tracing::error!(dag_id = %facts.dag_id, run_id = %facts.run_id, "Couldn't find the serialised Dag, its run waits");
            return Ok(looked(Applied::default(), Next::Waits));
        };
        let early = facts.logical_date.filter(|date| *date > self.now);
        if let Some(date) = early {
            tracing::error!(dag_id = %facts.dag_id, run_id = %facts.run_id, "Logical date is in future: {date}");
        }
        if rows == Rows::New && early.is_none() {
            return Ok(looked(Applied::default(), Next::Prepare));
        }
        let known = events.as_ref().map(|events| events.facts.clone());
        let options = run::Options { pausing: self.pausing, ..self.options };
        let (mut judged, past) = match judge::judge(tx, run, dag, known, options, self.now).await? {
            Judgement::Is(judged, past) => (judged, past),
            Judgement::Unreadable(why) => {
                leave_alone(facts, &why);
                return Ok(looked(Applied::default(), Next::Waits));
            }
        };
        if self.pausing == Pausing::Paused {
            start_nothing(&mut judged);
        }
        let expands = rows != Rows::AsTheDagSays && pause_after_expansion(&mut judged);
        let portion = judged.cut(run::changes_at_once(most_changes, run.tis.len()));
        let target = Target {
            tx,
            run,
            dag: &dag.dag,
            version_id: dag.version_id,
            unixname: self.unixname,
            now: self.now,
            multi_team: self.multi_team,
        };
        let applied = apply::apply(&target, &judged.decisions, self.encrypt).await?;
        if let Some(events) = &events {
            self.record_starts(tx, run, dag, events, &judged.decisions, applied.missed).await?;
        }
        let next = if events.as_ref().is_some_and(|events| events.busy) {
            Next::Later(Some(self.now + BUSY))
        } else if applied.missed > 0 {
            Next::Again
        } else if expands {
            Next::Prepare
        } else if portion == Portion::First {
            Next::Again
        } else {
            let next = self.conclude(tx, run, dag, judged.outcome).await?;
            if events.is_some() && matches!(next, Next::Ended { .. }) {
                let (dag_id, run_id) = (&facts.dag_id, &facts.run_id);
                commands::drop_of_run(tx, dag_id, run_id, "the run has ended", self.now).await?;
            }
            match next {
                Next::Later(at) if early.is_some() => Next::Early(at),
                next => next,
            }
        };
        Ok(Looked { past, ..looked(applied, next) })
    }
}

/// One row that a newer program or a person wrote must not stop the other runs.
fn leave_alone(run: &RunFacts, why: &UnknownState) {
    tracing::error!(
        dag_id = %run.dag_id,
        run_id = %run.run_id,
        "{why}: the run is left alone until the row is corrected, e.g. by clearing the task instance"
    );
}

/// Keeps of a judgement what comes before the start of a copy that it makes; says whether it makes any.
fn pause_after_expansion(judged: &mut Examination) -> bool {
    let expands = |decision: &Decision| matches!(decision, Decision::Expand(_));
    let Some(first) = judged.decisions.iter().position(expands) else { return false };
    if let Some(start) = judged.decisions[first..].iter().position(starts) {
        judged.decisions.truncate(first + start);
    }
    judged.outcome = Outcome::StillRunning { next_look: None };
    true
}

/// Whether a decision starts a task instance.
fn starts(decision: &Decision) -> bool {
    matches!(
        decision,
        Decision::Schedule { .. } | Decision::SucceedEmpty { .. } | Decision::DeferFromTrigger { .. }
    )
}

/// Keeps of a judgement what does not start anything. A run in which something could start goes on.
fn start_nothing(judged: &mut Examination) {
    if let Some(first) = judged.decisions.iter().position(starts) {
        judged.decisions.truncate(first);
        judged.outcome = Outcome::StillRunning { next_look: None };
    }
}
