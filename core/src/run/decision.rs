//! What was decided about a dag run.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::ids::{MapIndex, TaskId};
use crate::state::TaskState;

/// A task instance as decisions name it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TiRef {
    /// The task.
    pub task_id: TaskId,
    /// Which copy, at that point in the sequence of decisions.
    pub map_index: MapIndex,
    /// Its primary key; `None` for one that an earlier decision of the same examination makes.
    pub id: Option<Uuid>,
}

/// One change. Decisions are written in their order; each only if the row still has the state `from`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// A new state.
    SetState {
        /// The task instance.
        ti: TiRef,
        /// The state that it must still have.
        from: Option<TaskState>,
        /// The new state.
        to: Option<TaskState>,
        /// What happens to its dates.
        dates: Dates,
        /// Why.
        reason: Reason,
    },
    /// To `scheduled`.
    Schedule {
        /// The task instance.
        ti: TiRef,
        /// The state that it must still have.
        from: Option<TaskState>,
        /// Whether this is a new try.
        try_number: TryNumber,
    },
    /// To `success` at once, without being run: `start_date = end_date = now`, `duration = 0`, try number + 1.
    SucceedEmpty {
        /// The task instance.
        ti: TiRef,
        /// The state that it must still have.
        from: Option<TaskState>,
    },
    /// To `deferred` with the task's start trigger.
    DeferFromTrigger {
        /// The task instance.
        ti: TiRef,
        /// The state that it must still have.
        from: Option<TaskState>,
        /// Whether this is a new try.
        try_number: TryNumber,
    },
    /// Deletes the XComs, rendered fields, task map, note and reschedules of an instance that is about to be expanded
    /// (`TaskInstance.clear_db_references`). Does not touch the row itself.
    ClearReferences {
        /// The task instance.
        ti: TiRef,
    },
    /// Copies of a mapped task.
    Expand(Expansion),
    /// To `removed`, without touching the dates: its task is no longer in the Dag, or there are fewer copies now.
    Remove {
        /// The task instance.
        ti: TiRef,
        /// The state that it must still have.
        from: Option<TaskState>,
    },
}

/// How a mapped task gets its copies (`TaskMap.expand_mapped_task`, `DagRun._revise_map_indexes_if_mapped`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expansion {
    /// The unexpanded instance becomes copy 0.
    Rename {
        /// The unexpanded instance.
        ti: TiRef,
        /// The state that it must still have.
        from: Option<TaskState>,
    },
    /// The unexpanded instance is deleted because there is a copy 0 already.
    Delete {
        /// The unexpanded instance.
        ti: TiRef,
        /// The state that it must still have.
        from: Option<TaskState>,
    },
    /// New instances, as `run::new_task_instance` describes them, except that `task_display_name` stays NULL.
    Add {
        /// The task.
        task_id: TaskId,
        /// The new map indexes, ascending.
        map_indexes: Vec<MapIndex>,
        /// The state of the new rows.
        state: Option<TaskState>,
    },
}

/// What happens to a task instance's dates with its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dates {
    /// As `TaskInstance.set_state`: `start_date` if it is NULL, for a finished state also `end_date` if it is NULL, and
    /// the duration between them.
    Stamped,
    /// Nothing (plain assignment of the state).
    Untouched,
}

/// What happens to a task instance's try number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TryNumber {
    /// A new try.
    Increment,
    /// The same try goes on, after a reschedule.
    Keep,
}

/// Why a task instance gets a state without being run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Its trigger rule can no longer be satisfied.
    TriggerRule,
    /// A setup that it needs did not succeed.
    Setup,
    /// A task before it chose other branches.
    SkippedByUpstream,
    /// What it is expanded over did not succeed.
    ExpansionSource,
    /// There is nothing to expand over.
    NothingToExpand,
    /// What it is to be expanded over was never pushed.
    LengthUnknown,
    /// The run took longer than `dagrun_timeout`.
    TimedOut,
    /// Its task is in the Dag again.
    Restored,
    /// No event started it before the run was over.
    NoEvent,
}

/// What became of the run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It goes on.
    StillRunning {
        /// When it should be looked at even if nothing changes: the earliest retry, reschedule or timeout.
        next_look: Option<DateTime<Utc>>,
    },
    /// It ended well.
    Success {
        /// For the Dag's callback.
        last_ti: Option<TiRef>,
    },
    /// It ended badly.
    Failed {
        /// Why.
        reason: FailureReason,
        /// For the Dag's callback.
        last_ti: Option<TiRef>,
    },
}

/// Why a run failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureReason {
    /// One of the tasks that decide the run failed.
    TaskFailure,
    /// Nothing can run any more.
    Deadlock,
    /// It took longer than `dagrun_timeout`.
    TimedOut,
}

impl FailureReason {
    /// The message that listeners and callbacks get.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TaskFailure => "task_failure",
            Self::Deadlock => "all_tasks_deadlocked",
            Self::TimedOut => "timed_out",
        }
    }
}

/// The judgement of one run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Examination {
    /// What changes, in order.
    pub decisions: Vec<Decision>,
    /// What became of the run. Holds only if every decision could be written; otherwise examine again.
    pub outcome: Outcome,
}
