//! What must be loaded, besides a run's task instances, to judge it.

use uuid::Uuid;

use crate::ids::{MapIndex, TaskId};

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
