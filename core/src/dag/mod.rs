//! The serialized Dag in a compact form that is read once per dag version and shared.
//!
//! Mirrors what the scheduler uses of `airflow/serialization/serialized_objects.py` and
//! `airflow/serialization/definitions/`. Tasks refer to each other by [`TaskIndex`]; whatever follows from the whole
//! graph (priority weights, the scopes of setups and teardowns, the leaves that decide a run) is computed here, once.

mod error;
mod expand_input;
mod feeds;
mod graph;
mod group;
mod read;
mod read_expand;
mod read_group;
mod read_task;
mod rule;
mod scope;
mod task;
mod value;
mod weight;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

pub use error::DagError;
pub use expand_input::{ExpandInput, Fill, Length, Shape};
pub use feeds::Feeds;
pub use group::{Group, GroupIndex};
pub use rule::{TriggerRule, WeightRule};
pub use scope::Scopes;
pub use task::{Email, PastDependence, Retry, StartTrigger, Task, TaskCallbacks, TaskIndex, Traits};

use crate::event::Declared;
use crate::ids::{DagId, TaskId};
use crate::state::RunType;

/// One version of a Dag. Made once by [`Dag::from_serialized`] and shared in an `Arc`.
#[derive(Clone, Debug)]
pub struct Dag {
    /// `dag.dag_id`.
    pub dag_id: DagId,
    /// Its tasks, in the order of the serialized Dag.
    pub tasks: Vec<Task>,
    /// Its groups; the first is the root.
    pub groups: Vec<Group>,
    /// Its timetable as serialized; the `schedule` module reads it.
    pub timetable: Value,
    /// The triggers on the Dag itself.
    pub event_triggers: Vec<Declared>,
    /// Its time zone as serialized: a name, or seconds east of UTC.
    pub timezone: Value,
    /// `start_date`.
    pub start_date: Option<DateTime<Utc>>,
    /// `default_args["start_date"]`: no run with an earlier logical date can be triggered by a task.
    pub default_start_date: Option<DateTime<Utc>>,
    /// `end_date`.
    pub end_date: Option<DateTime<Utc>>,
    /// Whether missed runs are made up for.
    pub catchup: bool,
    /// How many runs may be running at once.
    pub max_active_runs: i64,
    /// How many of its task instances may be running at once, per run.
    pub max_active_tasks: i64,
    /// After how many failed runs in a row the Dag is paused; 0 for never.
    pub max_consecutive_failed_dag_runs: i64,
    /// After how long a run is failed.
    pub dagrun_timeout: Option<TimeDelta>,
    /// Whether the first failure ends the run.
    pub fail_fast: bool,
    /// Params as serialized: a list of `[name, param]`.
    pub params: Value,
    /// Ids of its deadline alerts, as text.
    pub deadline: Vec<Arc<str>>,
    /// Which types of runs may be made; `None` for all.
    pub allowed_run_types: Option<Vec<RunType>>,
    /// Whether runs are not pinned to the bundle version that they started with.
    pub disable_bundle_versioning: bool,
    /// Whether a cleared run goes on with the newest version; `None` for the configured default.
    pub rerun_with_latest_version: Option<bool>,
    /// Which callbacks it has.
    pub callbacks: DagCallbacks,
    /// Scopes of setups and teardowns, and the tasks that decide how a run ended.
    pub scopes: Scopes,
    /// Whose results decide how many copies of which tasks there are.
    pub feeds: Feeds,
    by_id: HashMap<TaskId, TaskIndex>,
}

/// Which of a Dag's callbacks exist.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DagCallbacks {
    /// `on_success_callback`.
    pub on_success: bool,
    /// `on_failure_callback`.
    pub on_failure: bool,
}

impl Dag {
    /// Reads a serialized Dag as `serialized_dag.data` holds it (format version 3; 2 is the same for our purposes).
    ///
    /// # Errors
    /// [`DagError`] when the format is not supported or the Dag is malformed.
    pub fn from_serialized(data: &Value) -> Result<Dag, DagError> {
        read::dag(data)
    }

    /// Where a task is, if it is in this version of the Dag.
    pub fn find(&self, task_id: &str) -> Option<TaskIndex> {
        self.by_id.get(task_id).copied()
    }

    /// A task by its id, if it is in this version of the Dag.
    pub fn task_by_id(&self, task_id: &str) -> Option<&Task> {
        self.find(task_id).map(|index| self.task(index))
    }

    /// The task at `index`.
    pub fn task(&self, index: TaskIndex) -> &Task {
        &self.tasks[index.at()]
    }

    /// The group at `index`.
    pub fn group(&self, index: GroupIndex) -> &Group {
        &self.groups[index.at()]
    }

    /// Every task with its index.
    pub fn iter(&self) -> impl Iterator<Item = (TaskIndex, &Task)> {
        (0..).map(TaskIndex).zip(&self.tasks)
    }

    /// The mapped groups around a task, innermost first.
    pub fn mapped_groups(&self, task: &Task) -> &[GroupIndex] {
        &self.group(task.group).mapped_chain
    }
}
