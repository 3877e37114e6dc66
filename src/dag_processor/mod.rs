//! The dag processor: decides which Dag files are parsed when, has them parsed in child processes and their results
//! written to the database (`airflow/dag_processing/manager.py`).
//!
//! Discovery of files and the writing of results are Airflow's own functions, called in a Python service; parsing is
//! Airflow's own entry point in a forked child. What is ours is everything around them, above all: a file is not executed
//! again while nothing changed that it depends on ([`memory`]).

mod at_start;
mod child;
mod children;
mod error;
mod files;
mod log;
mod measure;
mod memory;
mod options;
mod pass;
mod processor;
mod queue;
mod refresh;
mod stale;
mod sync;
#[cfg(test)]
mod tests;
mod watch;

pub use error::DagProcessorError;
pub use options::{LogTarget, Options, Runs, Settings, SortMode};
pub use processor::run;
