//! The task instances of a new run, and what a changed Dag does to those of an old one (`DagRun.verify_integrity`).

use std::collections::HashSet;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::{Dates, Decision, Loaded, Reason, RunFacts, TiFacts, TiRef};
use crate::dag::{Dag, Task, TaskIndex, WeightRule};
use crate::expand::{Count, count, literal_count};
use crate::ids::{MapIndex, TaskId};
use crate::state::{RunState, RunType, TaskState, is_finished};

/// What a new row of `task_instance` takes from the Dag (`TaskInstance.insert_mapping`).
#[derive(Clone, Debug, PartialEq)]
pub struct NewTi {
    /// The task.
    pub task_id: TaskId,
    /// Which copy of it.
    pub map_index: MapIndex,
    /// `max_tries`.
    pub max_tries: i32,
    /// `pool`.
    pub pool: Arc<str>,
    /// `pool_slots`.
    pub pool_slots: i32,
    /// `queue`.
    pub queue: Arc<str>,
    /// `priority_weight`; the task's own weight where a custom rule decides.
    pub priority_weight: i32,
    /// The import path of the custom priority weight strategy, which only Python can ask.
    pub custom_weight_rule: Option<Arc<str>>,
    /// `run_as_user`.
    pub run_as_user: Option<Arc<str>>,
    /// `executor`.
    pub executor: Option<Arc<str>>,
    /// `executor_config` in the Dag's serialized form (typed encoding); `None` for an empty one.
    pub executor_config: Option<Value>,
    /// `operator`.
    pub operator: Arc<str>,
    /// `custom_operator_name`.
    pub custom_operator_name: Arc<str>,
    /// `task_display_name`; NULL in rows that expansion adds later.
    pub task_display_name: Arc<str>,
}

/// What a changed Dag does to a run's task instances.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Integrity {
    /// States that change: removed, or restored to none.
    pub decisions: Vec<Decision>,
    /// Instances of tasks that the run did not have.
    pub new: Vec<NewTi>,
}

/// The row of one copy of a task.
pub fn new_task_instance(task: &Task, map_index: MapIndex) -> NewTi {
    NewTi {
        task_id: task.task_id.clone(),
        map_index,
        max_tries: task.retry.retries,
        pool: task.pool.clone(),
        pool_slots: task.pool_slots,
        queue: task.queue.clone(),
        priority_weight: task.priority_weight,
        custom_weight_rule: match &task.weight_rule {
            WeightRule::Custom(path) => Some(path.clone()),
            _ => None,
        },
        run_as_user: task.run_as_user.clone(),
        executor: task.executor.clone(),
        executor_config: task.executor_config.clone(),
        operator: task.task_type.clone(),
        custom_operator_name: task.operator_name.clone(),
        task_display_name: task.display_name.clone(),
    }
}

/// The task instances of a new run, in the order of the Dag's tasks. Tasks that are expanded over literals only have all
/// their copies from the beginning.
pub fn initial_task_instances(
    dag: &Dag,
    run_type: RunType,
    logical_date: Option<DateTime<Utc>>,
) -> Vec<NewTi> {
    let tasks = dag.iter().filter(|(_, task)| takes_part(task, run_type, logical_date));
    tasks.flat_map(|(index, task)| copies(task, literal_count(dag, index))).collect()
}

/// What a Dag that has changed since a run began does to the run. `loaded` answers [`super::integrity_needs`].
pub fn integrity(dag: &Dag, run: &RunFacts, tis: &[TiFacts], loaded: &Loaded) -> Integrity {
    let mut unfinished = vec![false; dag.tasks.len()];
    let mut present = HashSet::new();
    for ti in tis {
        if let Some(task) = dag.find(ti.task_id.as_str()) {
            present.insert(task);
            unfinished[task.at()] |= !is_finished(ti.state);
        }
    }
    let result = |source: TaskIndex| {
        let task = dag.task(source);
        if !task.is_mapped() {
            return loaded.map_lengths.get(&task.task_id).copied();
        }
        let counted = || loaded.result_counts.get(&task.task_id).copied().unwrap_or(0);
        (!unfinished[source.at()]).then(counted)
    };
    let decisions = tis.iter().filter_map(|ti| {
        let to = match dag.find(ti.task_id.as_str()) {
            Some(task) => kept_state(dag, task, ti, &result),
            None if run.state == RunState::Running => ti.state,
            None => Some(TaskState::Removed),
        };
        change(ti, to)
    });
    let missing = dag
        .iter()
        .filter(|(index, task)| !present.contains(index) && takes_part(task, run.run_type, run.logical_date));
    Integrity {
        decisions: decisions.collect(),
        new: missing.flat_map(|(index, task)| copies(task, count(dag, index, &result))).collect(),
    }
}

/// The state of an instance whose task exists: restored if it was removed, removed if there is no such copy any more.
fn kept_state(
    dag: &Dag,
    task: TaskIndex,
    ti: &TiFacts,
    result: &impl Fn(TaskIndex) -> Option<u64>,
) -> Option<TaskState> {
    let index = i64::from(ti.map_index.0);
    let beyond = |total: u64| index >= i64::try_from(total).unwrap_or(i64::MAX);
    let removed = match (literal_count(dag, task), count(dag, task, result)) {
        (Count::NotMapped, _) | (_, Count::NotMapped) => false,
        (Count::Known(total), _) => beyond(total) || index < 0,
        (Count::Unknown, Count::Known(total)) => beyond(total),
        (Count::Unknown, Count::Unknown) => index >= 0,
    };
    if removed { Some(TaskState::Removed) } else { ti.state.filter(|state| *state != TaskState::Removed) }
}

fn change(ti: &TiFacts, to: Option<TaskState>) -> Option<Decision> {
    if ti.state == to {
        return None;
    }
    let name = TiRef { task_id: ti.task_id.clone(), map_index: ti.map_index, id: Some(ti.id) };
    Some(if to == Some(TaskState::Removed) {
        Decision::Remove { ti: name, from: ti.state }
    } else {
        let (dates, reason) = (Dates::Untouched, Reason::Restored);
        Decision::SetState { ti: name, from: ti.state, to, dates, reason }
    })
}

/// Whether a run has instances of a task at all: its dates must include the logical date, except in backfills.
fn takes_part(task: &Task, run_type: RunType, logical_date: Option<DateTime<Utc>>) -> bool {
    let Some(date) = logical_date.filter(|_| run_type != RunType::Backfill) else {
        return true;
    };
    task.start_date.is_none_or(|start| start <= date) && task.end_date.is_none_or(|end| date <= end)
}

/// One instance that is not expanded, or all copies where their number is known and not zero.
fn copies(task: &Task, count: Count) -> impl Iterator<Item = NewTi> + '_ {
    let indexes = match count {
        Count::Known(total @ 1..) => 0..i32::try_from(total).unwrap_or(i32::MAX),
        Count::Known(0) | Count::Unknown | Count::NotMapped => -1..0,
    };
    indexes.map(|index| new_task_instance(task, MapIndex(index)))
}
