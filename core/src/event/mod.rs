//! Event triggers: a small language over the events of the log, evaluated without I/O.
//!
//! A [`TriggerSpec`] is read from JSON; [`step`] feeds it one event or the passing of time, and says whether it fires.
//! What it remembers is a [`Progress`], one per trigger, run and correlation key, which the caller keeps.

mod action;
pub mod command;
mod command_table;
mod declared;
mod describe;
mod error;
#[allow(clippy::module_inception)]
mod event;
mod feed;
mod field;
mod filter;
mod filter_budget;
mod filter_depth;
mod filter_weight;
mod memory;
mod node;
pub mod order;
mod pattern;
mod progress;
mod python;
mod read;
mod read_action;
mod read_condition;
pub mod source;
mod spec;
mod step;
mod term;
mod tick;

#[cfg(test)]
mod tests;

pub use action::{Action, Mark, Mode, NewRun, WhenRunning, WhileActive};
pub use declared::{Declared, Overlap, Streaming, TaskEvents};
pub use error::{EvalError, SpecError};
pub use event::{
    AIRFLOW_NAMESPACE, ASSET_TYPE, DAG_RUN_TYPE, DEFAULT_NAMESPACE, Event, Position, Scope,
    TASK_INSTANCE_TYPE, TICK_TYPE,
};
pub use field::Field;
pub use memory::MAX_LISTED;
pub use pattern::Pattern;
pub use progress::Progress;
pub use python::{Answers, Passes, Predicate, Question, Reply, questions};
pub use spec::{Interest, Reach, TriggerSpec};
pub use step::{DueTick, Input, Step, Verdict, is_over, step};
