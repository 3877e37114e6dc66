//! What a firing does.

use chrono::TimeDelta;

use super::Field;

/// What a firing does to a Dag, or to a task inside a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Makes a run of the Dag.
    NewRun(NewRun),
    /// Ends the Dag's active runs; for an event of one of them only that one.
    StopRuns {
        /// The state they get.
        mark: Mark,
    },
    /// Ends the run in which the trigger fires. The trigger is on a task, as all are that see one run only.
    StopRun {
        /// The state it gets.
        mark: Mark,
    },
    /// Starts the task.
    Start {
        /// How events and dependencies combine.
        mode: Mode,
        /// What happens while the task still runs.
        when_running: WhenRunning,
    },
    /// Stops the task.
    Stop {
        /// The state it gets.
        mark: Mark,
        /// How long it may take to end; `None` for the deployment's.
        grace: Option<TimeDelta>,
    },
    /// Stops the task if it runs, and starts it.
    Restart {
        /// How events and dependencies combine.
        mode: Mode,
        /// How long it may take to end; `None` for the deployment's.
        grace: Option<TimeDelta>,
    },
}

/// How a run is made. A field is looked up in the latest of the events that has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewRun {
    /// What happens while another run of the lane is active.
    pub while_active: WhileActive,
    /// Firings with the same value share a lane; without a field all of the trigger's do.
    pub lane: Option<Field>,
    /// The object that becomes the run's conf, beside the events.
    pub conf: Option<Field>,
    /// The run's logical date; without a field it has none.
    pub logical_date: Option<Field>,
    /// The run's partition key.
    pub partition_key: Option<Field>,
}

/// What a firing does while a run of its lane is active.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhileActive {
    /// Makes its run all the same; `max_active_runs` decides when it starts.
    #[default]
    Run,
    /// Nothing; the decision says so.
    Skip,
    /// Waits until the lane is free, in the order of the events.
    Queue,
}

/// How a task's ordinary dependencies and its triggers combine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Both must hold.
    #[default]
    Gate,
    /// Events only; dependencies do not matter.
    EventOnly,
    /// Dependencies start the task; events stop or restart it, or start it again.
    Control,
}

/// What START does while the task runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhenRunning {
    /// Nothing.
    #[default]
    Ignore,
    /// Each firing waits for its turn.
    Queue,
    /// One more execution, for all that fired meanwhile.
    Coalesce,
}

/// The state that a stopped task or run gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// `success`.
    Success,
    /// `failed`.
    Failed,
    /// `skipped`; not for runs.
    Skipped,
}

impl Mark {
    /// As the database spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }
}
