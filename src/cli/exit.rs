//! How the command ends: exit codes, documented in `--help`.

use std::process::ExitCode;

use crate::api::ApiError;
use crate::config::ConfigError;
use crate::python::PythonError;
use crate::store::StoreError;
use crate::store::migration::SchemaError;

/// Shown below `--help`.
pub(super) const HELP: &str = "\
Exit codes:
  0  done, or stopped by SIGTERM or SIGINT
  1  stopped by an error
  2  the command line is wrong
  3  the configuration is wrong
  4  the metadata database cannot be reached
  5  the metadata database is not migrated, or belongs to an Airflow that Slipstream does not know
  6  Python, or the Airflow in it, cannot be used
  7  a port is in use, or another process holds the PID file
  8  `check` found something that is refused
  9  `scheduler --shadow` saw the other scheduler decide differently";

/// An exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// All went well.
    Done = 0,
    /// Something failed while it was running.
    Failed = 1,
    /// The command line is wrong.
    Usage = 2,
    /// The configuration is wrong.
    Config = 3,
    /// The database cannot be reached.
    Database = 4,
    /// The database's schema is not one that we know.
    Schema = 5,
    /// Python or Airflow cannot be used.
    Python = 6,
    /// Something else is where we want to be.
    InUse = 7,
    /// `slipstream check` found something that is refused.
    Refused = 8,
    /// `slipstream scheduler --shadow` saw another scheduler decide differently.
    Differs = 9,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why the command could not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    exit: Exit,
    message: String,
}

impl Failure {
    pub(super) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into() }
    }

    pub(super) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// An error of a running role.
    pub(super) fn failed(error: impl std::fmt::Display) -> Self {
        Self::new(Exit::Failed, error.to_string())
    }

    /// Tells the person what is wrong.
    #[allow(clippy::print_stderr)]
    pub(super) fn report(&self) -> Exit {
        eprintln!("slipstream: {}", self.message);
        self.exit
    }
}

macro_rules! failure_from {
    ($($error:ty => $exit:expr;)+) => {
        $(impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                Self::new($exit, error.to_string())
            }
        })+
    };
}

failure_from! {
    ConfigError => Exit::Config;
    PythonError => Exit::Python;
    ApiError => Exit::InUse;
    std::io::Error => Exit::Failed;
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unreachable(why) => Self::new(
                Exit::Database,
                format!(
                    "the metadata database cannot be reached ({why}): check [database] sql_alchemy_conn, and that it runs"
                ),
            ),
            other => Self::new(Exit::Failed, other.to_string()),
        }
    }
}

impl From<SchemaError> for Failure {
    fn from(error: SchemaError) -> Self {
        match error {
            SchemaError::Store(error) => error.into(),
            other => Self::new(Exit::Schema, other.to_string()),
        }
    }
}
