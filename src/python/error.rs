//! What can go wrong with a Python process.

use std::path::PathBuf;
use std::time::Duration;

/// An error of the Python side.
#[derive(Debug, thiserror::Error)]
pub enum PythonError {
    /// No interpreter was found.
    #[error(
        "no Python interpreter was found: activate Airflow's virtual environment, put its `airflow` on PATH, or set `[slipstream] python`"
    )]
    NoInterpreter,
    /// The option names something that is not there.
    #[error("`[slipstream] python` is `{}`, which is not a file: set it to the `python` of Airflow's environment", .0.display())]
    NotAFile(PathBuf),
    /// The interpreter has no Airflow.
    #[error(
        "{} has no Airflow: activate Airflow's virtual environment, or set `[slipstream] python` to its `python`", .0.display()
    )]
    NoAirflow(PathBuf),
    /// The interpreter's Airflow is not one that this version works with.
    #[error("{} has Airflow {found}, which is not supported: install Airflow 3.3", interpreter.display())]
    UnsupportedAirflow {
        /// The interpreter.
        interpreter: PathBuf,
        /// Its Airflow's version.
        found: String,
    },
    /// The process could not be started.
    #[error("the Python host ({}) did not start: {why}", interpreter.display())]
    Start {
        /// The interpreter.
        interpreter: PathBuf,
        /// The reason, perhaps a traceback's last lines.
        why: String,
    },
    /// The process is gone.
    #[error("the Python host has ended")]
    Died,
    /// A fork was refused by the system.
    #[error("a child process could not be forked: {0}")]
    Fork(String),
    /// Tasks of a Dag file cannot share its parse.
    #[error("tasks of the Dag file cannot share its parse: {why}")]
    Unfit {
        /// What stands against it.
        why: String,
        /// Whether it may be otherwise in a moment.
        again: bool,
    },
    /// A Dag file was changed after it was parsed.
    #[error("the Dag file was changed after it was parsed")]
    Stale,
    /// An operation took longer than it may; its process was killed.
    #[error("`{op}` took longer than {limit:?} and was stopped")]
    Overran {
        /// The operation.
        op: String,
        /// Its limit.
        limit: Duration,
    },
    /// An operation raised.
    #[error("`{op}` failed: {why}")]
    Op {
        /// The operation.
        op: String,
        /// The traceback's last lines.
        why: String,
        /// What kind of reason it was.
        cause: Cause,
    },
    /// The socket failed, or what came through it makes no sense.
    #[error("the Python host cannot be talked to: {0}")]
    Io(#[from] std::io::Error),
}

/// Why an operation raised, as far as it matters to its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The database could not be reached, or was lost on the way: it may be there again soon.
    Database,
    /// Anything else.
    Other,
}
