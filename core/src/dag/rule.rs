//! Trigger rules and priority weight rules, spelled as Airflow serializes them.

use std::sync::Arc;

/// When a task may run, given how its upstream tasks ended (`airflow/task/trigger_rule.py`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TriggerRule {
    /// All succeeded.
    AllSuccess,
    /// All failed.
    AllFailed,
    /// All ended.
    AllDone,
    /// All ended, none was skipped, and at least one succeeded.
    AllDoneMinOneSuccess,
    /// All ended, and at least one of the setups among them succeeded.
    AllDoneSetupSuccess,
    /// At least one succeeded.
    OneSuccess,
    /// At least one failed.
    OneFailed,
    /// At least one succeeded or failed.
    OneDone,
    /// All succeeded or were skipped.
    NoneFailed,
    /// All succeeded or were skipped, and at least one succeeded.
    NoneFailedMinOneSuccess,
    /// All ended and none was skipped.
    NoneSkipped,
    /// All were skipped.
    AllSkipped,
    /// Whatever happened.
    Always,
    /// A rule that this version does not know: such a task never runs, as in Airflow.
    Unknown,
}

impl TriggerRule {
    /// Reads the serialized name.
    pub fn from_name(name: &str) -> Self {
        match name {
            "all_success" => Self::AllSuccess,
            "all_failed" => Self::AllFailed,
            "all_done" => Self::AllDone,
            "all_done_min_one_success" => Self::AllDoneMinOneSuccess,
            "all_done_setup_success" => Self::AllDoneSetupSuccess,
            "one_success" => Self::OneSuccess,
            "one_failed" => Self::OneFailed,
            "one_done" => Self::OneDone,
            "none_failed" => Self::NoneFailed,
            "none_failed_min_one_success" => Self::NoneFailedMinOneSuccess,
            "none_skipped" => Self::NoneSkipped,
            "all_skipped" => Self::AllSkipped,
            "always" => Self::Always,
            _ => Self::Unknown,
        }
    }

    /// Whether a part of the upstream tasks can satisfy the rule, so that a task in a mapped group must not judge by
    /// them before it is expanded.
    pub fn can_fire_early(self) -> bool {
        matches!(self, Self::OneSuccess | Self::OneFailed | Self::OneDone | Self::NoneFailedMinOneSuccess)
    }
}

/// How a task's priority weight is made from its own and its relatives' (`airflow/task/priority_strategy.py`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WeightRule {
    /// Its own only.
    Absolute,
    /// Its own and that of everything downstream.
    Downstream,
    /// Its own and that of everything upstream.
    Upstream,
    /// A user's strategy class, by its import path: only Python can tell.
    Custom(Arc<str>),
}

impl WeightRule {
    /// Reads the serialized name or import path.
    pub fn from_name(name: &str) -> Self {
        match name {
            "absolute" | "airflow.task.priority_strategy._AbsolutePriorityWeightStrategy" => Self::Absolute,
            "downstream" | "airflow.task.priority_strategy._DownstreamPriorityWeightStrategy" => {
                Self::Downstream
            }
            "upstream" | "airflow.task.priority_strategy._UpstreamPriorityWeightStrategy" => Self::Upstream,
            path => Self::Custom(path.into()),
        }
    }

    /// The text that stands for a strategy and cannot be the import path of one. A strategy that is given as an object to a
    /// mapped task is serialized as Python shows the object; Airflow fails when it needs its weight.
    pub fn unknown_strategy(&self) -> Option<&str> {
        let Self::Custom(path) = self else { return None };
        let is_name = |part: &str| !part.is_empty() && part.chars().all(|c| c == '_' || c.is_alphanumeric());
        (!path.split('.').all(is_name)).then_some(path)
    }
}
