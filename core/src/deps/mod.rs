//! The dependencies that a task instance must meet to be scheduled, one file each (`airflow/ti_deps/deps/`).
//!
//! Each is a function of the facts it names. Some do not only say whether the instance may run but also write its
//! state, as in Airflow: see [`Verdict`].

pub mod mapped_task_upstream;
pub mod not_in_retry_period;
pub mod not_previously_skipped;
pub mod prev_dagrun;
pub mod ready_to_reschedule;
pub mod setup;
pub mod trigger_rule;
mod upstream;

#[cfg(test)]
mod tests;

use chrono::{DateTime, Utc};

pub use upstream::{Tally, Upstream};

use crate::state::TaskState;

/// What a dependency says about a task instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Whether the instance may run as far as this dependency is concerned.
    pub answer: Answer,
    /// The state that it gets at once, if any. An instance that gets one never runs, whatever the answer.
    pub writes: Option<TaskState>,
}

/// Whether a dependency is met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is.
    Met,
    /// It is not.
    NotMet,
}

impl Verdict {
    /// Met, and nothing is written.
    pub const MET: Verdict = Verdict { answer: Answer::Met, writes: None };
    /// Not met, and nothing is written.
    pub const NOT_MET: Verdict = Verdict { answer: Answer::NotMet, writes: None };

    /// Not met, and the instance gets `state`.
    pub fn not_met_writing(state: TaskState) -> Self {
        Self { answer: Answer::NotMet, writes: Some(state) }
    }
}

/// What a dependency on the time says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// The time has come.
    Now,
    /// It comes then.
    Later(DateTime<Utc>),
}
