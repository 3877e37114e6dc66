//! The scheduler: loads facts, has `slipstream_core` decide, writes the decisions, hands work to executors.
//!
//! Mirrors `airflow/jobs/scheduler_job_runner.py`. The loop sleeps until something is to be done: an event of the worker,
//! a poll that finds a change, a run that falls due, a retry whose time has come. See [`tick`] for the order of steps.

mod agenda;
mod commands;
mod conclude;
mod connection_testing;
pub mod create_runs;
mod custom_timetables;
pub mod debug;
pub mod duties;
mod duties_due;
mod enqueue;
mod event_tasks;
mod examine;
mod executor_events;
mod judge;
mod launched;
mod listeners;
mod look;
mod look_around;
mod looking_back;
mod measure;
pub mod options;
mod preparing;
mod resting;
pub mod shadow;
pub mod start_runs;
mod steps;
mod teams;
mod tick;
pub mod timers;
mod users_python;

#[cfg(test)]
mod event_tests;
#[cfg(test)]
mod executor_tests;
#[cfg(test)]
mod metric_tests;
#[cfg(test)]
mod tests;

pub use options::{DutyIntervals, Options};
pub use tick::{Links, Scheduler, SchedulerError, run_options};
pub use users_python::UsersPython;
