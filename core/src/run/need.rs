//! What must be loaded, besides a run's task instances, to judge it.

use std::collections::HashSet;

use uuid::Uuid;

use super::{RunFacts, TiFacts};
use crate::dag::{Dag, TaskIndex};
use crate::deps::ready_to_reschedule;
use crate::ids::{MapIndex, TaskId};
use crate::state::{is_finished, is_schedulable};

/// What must be loaded into [`super::Loaded`]. Everything is empty for a plain Dag.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// The previous run's states of some tasks.
    pub previous_run: Option<PreviousRunNeed>,
    /// XComs `skipmixin_key`, by the task and map index that pushed them.
    pub skips: Vec<(TaskId, MapIndex)>,
    /// Tasks whose `task_map.length` (with a negative map index) is needed.
    pub map_lengths: Vec<TaskId>,
    /// Tasks whose XComs `return_value` with a map index of 0 or more are to be counted.
    pub result_counts: Vec<TaskId>,
    /// Task instances whose newest `task_reschedule.reschedule_date` is needed.
    pub reschedules: Vec<Uuid>,
}

impl Needs {
    /// Whether nothing must be loaded.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What is needed of the previous run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreviousRunNeed {
    /// Which run is meant.
    pub kind: PreviousRunKind,
    /// Tasks whose instances' states are needed.
    pub tasks: Vec<TaskId>,
    /// Tasks of which it must be known whether they have an instance in any earlier run.
    pub ever_ran: Vec<TaskId>,
}

/// Which run is the previous one. Both are of the same Dag, with the greatest `logical_date` below this run's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PreviousRunKind {
    /// Of any type (Dags without catchup).
    Any,
    /// Of any type but `manual` (Dags with catchup).
    NotManual,
}

/// What must be loaded before [`super::examine`].
pub fn needs(dag: &Dag, run: &RunFacts, tis: &[TiFacts]) -> Needs {
    let summaries = Summary::of_all(dag, tis);
    let mut needs = Needs {
        previous_run: previous_run(dag, run, &summaries),
        skips: skips(dag, tis, &summaries),
        reschedules: reschedules(dag, tis),
        ..Needs::default()
    };
    add_lengths(&mut needs, dag, &summaries, |summary| summary.unfinished);
    needs
}

/// What must be loaded before [`super::integrity`].
pub fn integrity_needs(dag: &Dag, tis: &[TiFacts]) -> Needs {
    let mut needs = Needs::default();
    add_lengths(&mut needs, dag, &Summary::of_all(dag, tis), |_| true);
    needs
}

/// What a task's instances have in common.
#[derive(Clone, Copy, Default)]
struct Summary {
    /// Some has been run, so that it may have pushed something.
    tried: bool,
    /// Some is not finished.
    unfinished: bool,
    /// Some may be scheduled.
    schedulable: bool,
}

impl Summary {
    fn of_all(dag: &Dag, tis: &[TiFacts]) -> Vec<Summary> {
        let mut summaries = vec![Summary::default(); dag.tasks.len()];
        for ti in tis {
            if let Some(task) = dag.find(ti.task_id.as_str()) {
                let summary = &mut summaries[task.at()];
                summary.tried |= ti.try_number > 0;
                summary.unfinished |= !is_finished(ti.state);
                summary.schedulable |= is_schedulable(ti.state);
            }
        }
        summaries
    }
}

/// The results that the copies of the tasks in question are counted by.
fn add_lengths(needs: &mut Needs, dag: &Dag, summaries: &[Summary], asks: impl Fn(&Summary) -> bool) {
    if dag.feeds.is_empty() {
        return;
    }
    let asking = dag.iter().filter(|(task, _)| asks(&summaries[task.at()]));
    let sources: HashSet<TaskIndex> = asking.flat_map(|(task, _)| dag.feeds.sources(task)).copied().collect();
    let mut sources: Vec<TaskIndex> =
        sources.into_iter().filter(|source| summaries[source.at()].tried).collect();
    sources.sort_unstable();
    for source in sources {
        let task = dag.task(source);
        let list = if task.is_mapped() { &mut needs.result_counts } else { &mut needs.map_lengths };
        list.push(task.task_id.clone());
    }
}

fn previous_run(dag: &Dag, run: &RunFacts, summaries: &[Summary]) -> Option<PreviousRunNeed> {
    if run.logical_date.is_none() || run.backfill_ordinal == Some(1) {
        return None;
    }
    let mut tasks = HashSet::new();
    let mut ever_ran = Vec::new();
    for (index, task) in dag.iter() {
        if !task.past.depends_on_past || !summaries[index.at()].schedulable {
            continue;
        }
        tasks.insert(index);
        if task.past.wait_for_downstream {
            tasks.extend(&task.downstream);
        }
        if task.past.ignore_first {
            ever_ran.push(task.task_id.clone());
        }
    }
    let kind = if dag.catchup { PreviousRunKind::NotManual } else { PreviousRunKind::Any };
    let mut tasks: Vec<TaskIndex> = tasks.into_iter().collect();
    tasks.sort_unstable();
    let tasks: Vec<TaskId> = tasks.into_iter().map(|task| dag.task(task).task_id.clone()).collect();
    (!tasks.is_empty()).then_some(PreviousRunNeed { kind, tasks, ever_ran })
}

/// The verdicts of tasks that can skip others and have been run, where a task directly after them has not ended.
fn skips(dag: &Dag, tis: &[TiFacts], summaries: &[Summary]) -> Vec<(TaskId, MapIndex)> {
    let waits = |below: &TaskIndex| summaries[below.at()].unfinished;
    let mut mapped = HashSet::new();
    let mut needed = Vec::new();
    for (index, task) in dag.iter() {
        let asked = task.traits.can_skip_downstream && summaries[index.at()].tried;
        if !asked || !task.downstream.iter().any(waits) {
            continue;
        }
        if task.is_mapped() {
            mapped.insert(&task.task_id);
        } else {
            needed.push((task.task_id.clone(), MapIndex::UNMAPPED));
        }
    }
    if !mapped.is_empty() {
        let pushed = tis.iter().filter(|ti| ti.try_number > 0 && mapped.contains(&ti.task_id));
        needed.extend(pushed.map(|ti| (ti.task_id.clone(), ti.map_index)));
    }
    needed
}

fn reschedules(dag: &Dag, tis: &[TiFacts]) -> Vec<Uuid> {
    let applies = |ti: &&TiFacts| {
        is_schedulable(ti.state)
            && ti.try_number > 0
            && dag
                .task_by_id(ti.task_id.as_str())
                .is_some_and(|task| ready_to_reschedule::applies(task, ti.map_index, ti.state))
    };
    tis.iter().filter(applies).map(|ti| ti.id).collect()
}
