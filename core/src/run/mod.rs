//! What becomes of one dag run: its first task instances, what must be loaded to judge it, and the judgement.
//!
//! Mirrors the deciding half of `airflow/models/dagrun.py` (`verify_integrity`, `update_state`, `schedule_tis`). The
//! order of calls for one running dag run is [`needs`], load what it names into [`Loaded`], [`examine`], write the
//! decisions in their order, then the outcome.

mod board;
mod completion;
mod create;
mod decision;
mod event_plan;
mod event_tasks;
mod examine;
mod expansion;
mod facts;
mod judge;
mod need;
mod outcome;
mod portion;
mod timeout;

pub use create::{Integrity, NewTi, initial_task_instances, integrity, new_task_instance};
pub use decision::{
    Dates, Decision, Examination, Expansion, FailureReason, Outcome, Reason, TiRef, TryNumber,
};
pub use event_plan::{Counting, EventPlan};
pub use event_tasks::{EventFacts, Heard, Hold, Timeout};
pub use examine::examine;
pub use facts::{Facts, Loaded, Options, Pausing, PreviousRun, RunFacts, SkipVerdict, TiFacts};
pub use need::{Needs, PreviousRunKind, PreviousRunNeed, integrity_needs, needs};
pub use portion::{Portion, changes_at_once};

#[cfg(test)]
mod tests;
