//! States of task instances and of dag runs, spelled as Airflow stores them (`airflow/utils/state.py`).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A state in the database that this version does not know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "unknown {kind} state `{text}`: it was written by a version of Airflow that this Slipstream does not support"
)]
pub struct UnknownState {
    /// What the state belongs to: `task instance` or `dag run`.
    pub kind: &'static str,
    /// The stored text.
    pub text: String,
}

macro_rules! states {
    ($(#[$doc:meta])* $name:ident, $kind:literal, { $($(#[$vdoc:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum $name { $($(#[$vdoc])* $variant),+ }

        impl $name {
            /// Every state, in the order of their declaration.
            pub const ALL: &[$name] = &[$($name::$variant),+];

            /// The text that the database holds.
            pub fn as_str(self) -> &'static str {
                match self { $($name::$variant => $text),+ }
            }
        }

        impl FromStr for $name {
            type Err = UnknownState;
            fn from_str(text: &str) -> Result<Self, UnknownState> {
                match text {
                    $($text => Ok($name::$variant),)+
                    _ => Err(UnknownState { kind: $kind, text: text.to_owned() }),
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

states!(
    /// The state of a task instance. Airflow's "none" (SQL `NULL`) is `Option::<TaskState>::None`.
    TaskState, "task instance", {
        /// The task is no longer in the Dag.
        Removed = "removed",
        /// Ready; waits for a pool slot and an executor.
        Scheduled = "scheduled",
        /// Handed to an executor.
        Queued = "queued",
        /// Its process runs.
        Running = "running",
        /// Ended well.
        Success = "success",
        /// Cleared while it ran; its process is being ended.
        Restarting = "restarting",
        /// Ended badly, with no try left.
        Failed = "failed",
        /// Ended badly; waits for its next try.
        UpForRetry = "up_for_retry",
        /// A sensor between two looks.
        UpForReschedule = "up_for_reschedule",
        /// Will not run because something before it failed.
        UpstreamFailed = "upstream_failed",
        /// Will not run because it need not.
        Skipped = "skipped",
        /// Handed to the triggerer.
        Deferred = "deferred",
        /// Waits for a person's answer.
        AwaitingInput = "awaiting_input",
    }
);

impl TaskState {
    /// Ended for good: `State.finished`.
    pub fn is_finished(self) -> bool {
        match self {
            Self::Success | Self::Failed | Self::Skipped | Self::UpstreamFailed | Self::Removed => true,
            Self::Scheduled
            | Self::Queued
            | Self::Running
            | Self::Restarting
            | Self::UpForRetry
            | Self::UpForReschedule
            | Self::Deferred
            | Self::AwaitingInput => false,
        }
    }

    /// `State.failed_states`.
    pub fn is_failure(self) -> bool {
        matches!(self, Self::Failed | Self::UpstreamFailed)
    }

    /// `State.success_states`.
    pub fn is_success(self) -> bool {
        matches!(self, Self::Success | Self::Skipped)
    }
}

/// Whether the scheduler may move a task instance in this state to `scheduled` (`SCHEDULEABLE_STATES`).
pub fn is_schedulable(state: Option<TaskState>) -> bool {
    matches!(state, None | Some(TaskState::UpForRetry | TaskState::UpForReschedule))
}

/// [`TaskState::is_finished`], where "none" is unfinished.
pub fn is_finished(state: Option<TaskState>) -> bool {
    state.is_some_and(TaskState::is_finished)
}

states!(
    /// The state of a dag run.
    RunState, "dag run", {
        /// Created; waits for room under `max_active_runs`.
        Queued = "queued",
        /// Its tasks are being scheduled.
        Running = "running",
        /// Ended well.
        Success = "success",
        /// Ended badly.
        Failed = "failed",
    }
);

impl RunState {
    /// Ended for good.
    pub fn is_finished(self) -> bool {
        matches!(self, Self::Success | Self::Failed)
    }
}

states!(
    /// What a dag run was made by (`dag_run.run_type`).
    RunType, "dag run type", {
        /// A backfill.
        Backfill = "backfill",
        /// Its timetable.
        Scheduled = "scheduled",
        /// A person or a program, over the UI, the REST API or the command line.
        Manual = "manual",
        /// A `TriggerDagRunOperator`.
        OperatorTriggered = "operator_triggered",
        /// Asset events.
        AssetTriggered = "asset_triggered",
        /// A request to materialise an asset.
        AssetMaterialization = "asset_materialization",
    }
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_reads_back_from_its_text() {
        for state in TaskState::ALL {
            assert_eq!(state.as_str().parse(), Ok(*state));
        }
        for state in RunState::ALL {
            assert_eq!(state.as_str().parse(), Ok(*state));
        }
    }

    #[test]
    fn an_unknown_state_is_named() {
        let error = "paused_forever".parse::<TaskState>().unwrap_err();
        assert!(error.to_string().contains("paused_forever"));
    }
}
