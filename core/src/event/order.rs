//! A command on a task as the database holds it.

use chrono::TimeDelta;
use serde_json::Value;

use super::{Mark, Mode, WhenRunning};

/// A command on one task of a run, that has not had its effect yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Command {
    /// Its number; commands of one task are taken in the order of their numbers.
    pub id: i64,
    /// Which copy of a mapped task; -1 for all.
    pub map_index: i32,
    /// What is asked.
    pub order: Order,
    /// How far it is.
    pub status: Status,
}

/// What is asked of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// An execution.
    Start {
        /// How the event and the task's dependencies combine.
        mode: Mode,
        /// What happens while the task is under way.
        when_running: WhenRunning,
    },
    /// The end of the execution that is under way.
    Stop {
        /// The state that the task gets.
        mark: Mark,
        /// How long its process may take to end; `None` for the deployment's limit.
        grace: Option<TimeDelta>,
    },
    /// The end of the execution that is under way, then another one.
    Restart {
        /// How the event and the task's dependencies combine.
        mode: Mode,
        /// How long its process may take to end; `None` for the deployment's limit.
        grace: Option<TimeDelta>,
    },
}

/// How far a command is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Status {
    /// Nobody has looked at it.
    Pending,
    /// It waits for its turn.
    Waiting,
    /// The task's process has been told to end.
    Stopping,
    /// The task may start.
    Open,
}

impl Status {
    /// As the database spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Waiting => "waiting",
            Self::Stopping => "stopping",
            Self::Open => "open",
        }
    }

    /// The status with this text; `None` for a command that is over.
    pub fn from_text(text: &str) -> Option<Self> {
        [Self::Pending, Self::Waiting, Self::Stopping, Self::Open]
            .into_iter()
            .find(|status| status.as_str() == text)
    }
}

impl Order {
    /// Reads `slipstream_command.action` and `.options`; the options are the trigger's `do`. `None` for an action that
    /// this version does not know. What is absent has its default, as in the trigger.
    pub fn from_json(action: &str, options: &Value) -> Option<Self> {
        let inner = options.get(action).unwrap_or(options);
        let text = |name: &str| inner.get(name).and_then(Value::as_str);
        let mode = match text("mode") {
            Some("event_only") => Mode::EventOnly,
            Some("gate") => Mode::Gate,
            Some("control") => Mode::Control,
            _ if action == "restart" => Mode::Control,
            _ => Mode::Gate,
        };
        let seconds = inner.get("grace").and_then(Value::as_f64);
        let grace = seconds.map(|seconds| TimeDelta::milliseconds((seconds * 1000.0) as i64));
        Some(match action {
            "start" => Self::Start {
                mode,
                when_running: match text("when_running") {
                    Some("queue") => WhenRunning::Queue,
                    Some("coalesce") => WhenRunning::Coalesce,
                    _ => WhenRunning::Ignore,
                },
            },
            "stop" => Self::Stop {
                mark: match text("mark") {
                    Some("success") => Mark::Success,
                    Some("skipped") => Mark::Skipped,
                    _ => Mark::Failed,
                },
                grace,
            },
            "restart" => Self::Restart { mode, grace },
            _ => return None,
        })
    }
}
