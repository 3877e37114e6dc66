//! Events in one look at a run: commands are carried out before the run is judged, and what they started is recorded
//! after. Nothing here is done, and no statement is sent, for a run of a Dag without event tasks.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use slipstream_core::event::TriggerSpec;
use slipstream_core::event::command::{self, Fate, Nature, Settled};
use slipstream_core::event::order::{Command, Order};
use slipstream_core::ids::{DagId, TaskId};
use slipstream_core::run::{Decision, EventFacts, EventPlan, Heard, TiFacts, TiRef};
use slipstream_core::state::{TaskState, is_finished};

use super::look::Pass;
use crate::store::commands::started::{self, Execution};
use crate::store::commands::{ByTask, Stored, change, heard, load, settle};
use crate::store::dag_bag::CachedDag;
use crate::store::snapshot::{self, RunSnapshot};
use crate::store::{Conn, StoreError, Tx};

/// What the scheduler knows of events between two looks.
#[derive(Debug, Default)]
pub(super) struct EventMemory {
    /// Triggers that were added from outside, by Dag.
    pub(super) external: HashMap<DagId, Vec<(TaskId, TriggerSpec)>>,
    /// Runs that would be over if it were known that no event is on its way.
    hearing: Mutex<HashMap<i64, Hearing>>,
}

/// What must be heard before a run may end.
#[derive(Clone, Copy, Debug)]
struct Hearing {
    /// Since when nothing in the run is under way.
    since: DateTime<Utc>,
    /// The head of the log when the run's own changes were in it.
    head: Option<i64>,
}

/// How long a run waits for the event engine before it ends all the same, and a task before it starts again.
const HEARING_LIMIT: TimeDelta = TimeDelta::seconds(30);

impl EventMemory {
    fn hearing(&self, run: i64, now: DateTime<Utc>) -> Hearing {
        let mut hearing = self.hearing.lock().unwrap_or_else(PoisonError::into_inner);
        *hearing.entry(run).or_insert(Hearing { since: now, head: None })
    }

    /// Notes the head of the log, once; returns what was noted first.
    fn must_hear(&self, run: i64, head: i64) -> i64 {
        let mut hearing = self.hearing.lock().unwrap_or_else(PoisonError::into_inner);
        hearing.get_mut(&run).map_or(head, |hearing| *hearing.head.get_or_insert(head))
    }

    /// The run goes on, or has ended.
    pub(super) fn forget(&self, run: i64) {
        self.hearing.lock().unwrap_or_else(PoisonError::into_inner).remove(&run);
    }
}

/// What events have to do with one look at a run.
#[derive(Debug)]
pub(super) struct EventWork {
    plan: EventPlan,
    /// For the judgement.
    pub(super) facts: EventFacts,
    /// The commands that let tasks start.
    causes: BTreeMap<TaskId, Stored>,
    /// Some commands could not be taken: another transaction held their instances, or the event log lacks the state that they
    /// would overwrite.
    pub(super) busy: bool,
}

impl Pass<'_> {
    /// Carries out what the run's commands ask for at once, and says what they mean for its judgement.
    pub(super) async fn take_commands(
        &self,
        tx: &Tx,
        run: &mut RunSnapshot,
        dag: &CachedDag,
    ) -> Result<Option<EventWork>, StoreError> {
        let Some(memory) = self.events.filter(|_| run.unreadable.is_none()) else { return Ok(None) };
        let external = memory.external.get(&run.facts.dag_id).map_or(&[][..], Vec::as_slice);
        let Some(plan) = EventPlan::of(&dag.dag, external) else { return Ok(None) };
        // Before the commands are read, so that none can come in between.
        let heard = self.heard(tx, run, &plan, memory).await?;
        let mut commands = load::load(tx, &run.facts.dag_id, &run.facts.run_id).await?;
        let stopped = self.stopped(tx, run, dag, &plan).await?;
        let mut work = EventWork {
            facts: EventFacts {
                held: plan.held.clone(),
                streaming: plan.streaming.clone(),
                periodic: plan.periodic.clone(),
                timeout: plan.timeout,
                heard,
                ..EventFacts::default()
            },
            plan,
            causes: BTreeMap::new(),
            busy: false,
        };
        if self.carry_out(tx, run, dag, &mut commands, &stopped, &mut work).await? == Changed::Yes {
            snapshot::load_task_instances(tx, std::slice::from_mut(run)).await?;
        }
        let ends = |task: &TaskId| stopped.contains(task);
        work.facts.periodic.retain(|index| !ends(&dag.dag.task(*index).task_id));
        work.facts.stopped = work.plan.periodic.difference(&work.facts.periodic).copied().collect();
        Ok(Some(work))
    }

    async fn carry_out(
        &self,
        tx: &Tx,
        run: &RunSnapshot,
        dag: &CachedDag,
        commands: &mut ByTask,
        stopped: &BTreeSet<TaskId>,
        work: &mut EventWork,
    ) -> Result<Changed, StoreError> {
        let (dag_id, run_id) = (&run.facts.dag_id, &run.facts.run_id);
        let tasks = commands.keys().collect();
        let locked = load::lock(tx, dag_id, run_id, &tasks, self.now - HEARING_LIMIT).await?;
        let mut changed = Changed::No;
        for (task_id, stored) in commands {
            if locked.busy.contains(task_id) {
                work.busy = true;
                continue;
            }
            let index = dag.dag.find(task_id.as_str());
            let nature = match index {
                Some(index) if work.plan.periodic.contains(&index) => match stopped.contains(task_id) {
                    true => Nature::PeriodicStopped,
                    false => Nature::Periodic,
                },
                _ => Nature::Ordinary,
            };
            let instances = locked.instances.get(task_id).map_or(&[][..], Vec::as_slice);
            let list: Vec<Command> = stored.iter().map(|stored| stored.command).collect();
            let settled = command::settle(nature, instances, &list);
            for step in &settled.moves {
                tracing::debug!(
                    %dag_id, %run_id, %task_id, command = step.command, fate = ?step.fate, "{}", step.reason
                );
            }
            self.join(tx, run, task_id, &settled, stored).await?;
            change::make(tx, &dag.dag, &settled.changes, self.now).await?;
            settle::write(tx, stored, &settled.moves, self.now).await?;
            if !settled.changes.is_empty() {
                changed = Changed::Yes;
            }
            work.busy |= settled.waits_for_log;
            if let (Some(opening), Some(index)) = (settled.opening, index) {
                work.facts.openings.insert(index, opening);
                let cause = stored.iter().find(|stored| stored.command.id == opening.command);
                work.causes.extend(cause.map(|cause| (task_id.clone(), cause.clone())));
            }
            if nature == Nature::Periodic && was_stopped(&settled, stored) {
                work.facts.periodic.retain(|other| Some(*other) != index);
            }
        }
        Ok(changed)
    }

    /// Events of a start that has not begun join the events that caused it.
    async fn join(
        &self,
        tx: &Tx,
        run: &RunSnapshot,
        task_id: &TaskId,
        settled: &Settled,
        stored: &[Stored],
    ) -> Result<(), StoreError> {
        for step in settled.moves.iter().filter(|step| step.fate == Fate::Joined) {
            let Some(cause) = stored.iter().find(|stored| stored.command.id == step.command) else {
                continue;
            };
            let meant = |ti: &&TiFacts| {
                ti.task_id == *task_id
                    && matches!(ti.state, Some(TaskState::Scheduled | TaskState::Queued))
                    && (cause.command.map_index < 0 || ti.map_index.0 == cause.command.map_index)
            };
            for ti in run.tis.iter().filter(meant) {
                let name = TiRef { task_id: ti.task_id.clone(), map_index: ti.map_index, id: Some(ti.id) };
                started::join(tx, &execution(run, &name, ti.try_number), cause, self.now).await?;
            }
        }
        Ok(())
    }

    /// Periodic tasks of the run that were stopped.
    async fn stopped(
        &self,
        tx: &Tx,
        run: &RunSnapshot,
        dag: &CachedDag,
        plan: &EventPlan,
    ) -> Result<BTreeSet<TaskId>, StoreError> {
        if plan.periodic.is_empty() {
            return Ok(BTreeSet::new());
        }
        let tasks = plan.periodic.iter().map(|index| &dag.dag.task(*index).task_id);
        load::stopped(tx, &run.facts.dag_id, &run.facts.run_id, tasks).await
    }

    /// Whether the run may end as far as events are concerned. Asked only when nothing in it is under way.
    async fn heard(
        &self,
        tx: &Tx,
        run: &RunSnapshot,
        plan: &EventPlan,
        memory: &EventMemory,
    ) -> Result<Heard, StoreError> {
        let under_way = |ti: &TiFacts| !is_finished(ti.state) && ti.state.is_some();
        if run.tis.iter().any(under_way) {
            memory.forget(run.id);
            return Ok(Heard::NotYet);
        }
        if plan.triggered.is_empty() {
            return Ok(Heard::Everything);
        }
        let (dag_id, run_id) = (&run.facts.dag_id, &run.facts.run_id);
        if self.now - memory.hearing(run.id, self.now).since > HEARING_LIMIT {
            tracing::warn!(%dag_id, %run_id, "the event engine is late: what it has not told the run by now is not waited for");
            return Ok(Heard::Everything);
        }
        if !heard::is_observed(tx, dag_id, run_id, &plan.watched).await? {
            return Ok(Heard::NotYet);
        }
        let (head, engine) = heard::progress(tx, dag_id).await?;
        Ok(if engine >= memory.must_hear(run.id, head) { Heard::Everything } else { Heard::NotYet })
    }

    /// Records the executions that this look began, with the commands that caused them.
    pub(super) async fn record_starts(
        &self,
        tx: &Tx,
        run: &RunSnapshot,
        dag: &CachedDag,
        work: &EventWork,
        decisions: &[Decision],
        missed: u64,
    ) -> Result<(), StoreError> {
        let mut begun = BTreeSet::new();
        for (ti, from) in decisions.iter().filter_map(starts) {
            let event_task =
                dag.dag.find(ti.task_id.as_str()).is_some_and(|task| work.plan.tasks.contains(&task));
            let goes_on = matches!(from, Some(TaskState::UpForRetry | TaskState::UpForReschedule));
            if !event_task || goes_on {
                continue;
            }
            let last_try = run.tis.iter().find(|row| Some(row.id) == ti.id).map_or(0, |row| row.try_number);
            let at = execution(run, ti, last_try + 1);
            if missed > 0 && !went(tx, &at).await? {
                continue;
            }
            let cause = work.causes.get(&ti.task_id);
            started::begin(tx, &at, cause, self.now).await?;
            if let Some(cause) = cause {
                begun.insert(cause.command.id);
            }
        }
        for command in begun {
            started::done(tx, command, self.now).await?;
        }
        Ok(())
    }
}

/// Whether instances changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Changed {
    No,
    Yes,
}

fn was_stopped(settled: &Settled, stored: &[Stored]) -> bool {
    settled.moves.iter().any(|step| {
        step.fate == Fate::Done
            && stored.iter().any(|stored| {
                stored.command.id == step.command && matches!(stored.command.order, Order::Stop { .. })
            })
    })
}

fn execution(run: &RunSnapshot, ti: &TiRef, first_try: i32) -> Execution {
    Execution {
        dag_id: run.facts.dag_id.clone(),
        run_id: run.facts.run_id.clone(),
        run: run.id,
        task_id: ti.task_id.clone(),
        map_index: ti.map_index,
        ti: ti.id,
        first_try,
    }
}

fn starts(decision: &Decision) -> Option<(&TiRef, Option<TaskState>)> {
    match decision {
        Decision::Schedule { ti, from, .. }
        | Decision::SucceedEmpty { ti, from }
        | Decision::DeferFromTrigger { ti, from, .. } => Some((ti, *from)),
        Decision::SetState { .. }
        | Decision::ClearReferences { .. }
        | Decision::Expand(_)
        | Decision::Remove { .. } => None,
    }
}

/// Whether the instance was really sent on its way; asked only if some row was found in another state than expected.
async fn went(tx: &Tx, at: &Execution) -> Result<bool, StoreError> {
    let sql = tx
        .sql(
            "SELECT 1 AS one FROM task_instance WHERE dag_id = ? AND run_id = ? AND task_id = ? AND map_index = ? \
             AND try_number = ? AND state IN ('scheduled', 'success', 'deferred')",
        )
        .bind(&at.dag_id)
        .bind(&at.run_id)
        .bind(&at.task_id)
        .bind(at.map_index)
        .bind(at.first_try);
    Ok(tx.one(sql).await?.is_some())
}
