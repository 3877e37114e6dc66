//! What a worker needs to know, and how the configuration says it.

use std::path::PathBuf;
use std::time::Duration;

use super::error::WorkerError;
use super::log::{Level, LogFiles};
use super::remote_logs::RemoteLogs;
use super::settings::Settings;
use crate::config::{Config, keys};
use crate::executor::Place;
use crate::python::Interpreter;
use crate::runtime::Shutdown;
use crate::store::Db;
use crate::supervisor::answer;
use crate::supervisor::masker::Masker;

/// How long a worker stays without a scheduler and without work.
const IDLE: Duration = Duration::from_secs(10);

/// What a worker needs to know.
#[derive(Clone, Debug)]
pub struct WorkerOptions {
    /// Where schedulers find it.
    pub place: Place,
    /// How tasks are supervised.
    pub settings: Settings,
    /// The metadata database.
    pub db: Db,
    /// How the database answers tasks.
    pub answers: answer::Options,
    /// The Airflow environment's Python.
    pub interpreter: Interpreter,
    /// This host's name, as `[core] hostname_callable` gives it.
    pub hostname: String,
    /// The user that tasks run as.
    pub unixname: String,
    /// How long it stays when nobody is connected and nothing is left to do.
    pub idle: Duration,
    /// When it is told to stop its tasks and end.
    pub shutdown: Shutdown,
}

impl WorkerOptions {
    /// As the configuration says.
    ///
    /// # Errors
    /// [`WorkerError::Options`] for encryption keys that are none.
    pub fn new(
        config: &Config,
        db: Db,
        interpreter: Interpreter,
        hostname: String,
        shutdown: Shutdown,
    ) -> Result<Self, WorkerError> {
        let unixname = unixname();
        let answers = answer::Options::from_config(config, &unixname)?;
        Ok(Self {
            place: Place::of(config),
            settings: Settings {
                remote_logs: RemoteLogs::from_config(config, &interpreter),
                ..Settings::new(config, answers.masker.clone())
            },
            db,
            answers,
            interpreter,
            hostname,
            unixname,
            idle: IDLE,
            shutdown,
        })
    }
}

impl Settings {
    /// As the configuration says, without an upload of logs; `masker` is what every task's masker begins with.
    pub fn new(config: &Config, masker: Masker) -> Self {
        let level = config.get(&keys::logging::LOGGING_LEVEL);
        Self {
            parallelism: usize::try_from(config.get(&keys::core::PARALLELISM)).unwrap_or(1),
            streaming_parallelism: usize::try_from(config.get(&keys::slipstream::STREAMING_PARALLELISM))
                .unwrap_or(0),
            prepared_dag_files: usize::try_from(config.get(&keys::slipstream::PREPARED_DAG_FILES))
                .unwrap_or(0),
            heartbeat_interval: config.get(&keys::workers::MIN_HEARTBEAT_INTERVAL),
            max_failed_heartbeats: u32::try_from(config.get(&keys::workers::MAX_FAILED_HEARTBEATS))
                .unwrap_or(1),
            overtime: config.get(&keys::core::TASK_SUCCESS_OVERTIME),
            socket_cleanup: config.get(&keys::workers::SOCKET_CLEANUP_TIMEOUT),
            escalation: Duration::from_secs(5),
            fork_limit: Duration::from_secs(60),
            callback_timeout: Some(config.get(&keys::callbacks::CALLBACK_EXECUTION_TIMEOUT))
                .filter(|limit| !limit.is_zero()),
            logs: LogFiles {
                folder: PathBuf::from(config.get(&keys::logging::BASE_LOG_FOLDER)),
                file_mode: mode(&config.get(&keys::logging::FILE_TASK_HANDLER_NEW_FILE_PERMISSIONS), 0o664),
                folder_mode: mode(
                    &config.get(&keys::logging::FILE_TASK_HANDLER_NEW_FOLDER_PERMISSIONS),
                    0o775,
                ),
            },
            level: level.parse().unwrap_or(Level::Info),
            masker,
            remote_logs: None,
        }
    }
}

/// The name of this process's user, as `getpass.getuser` finds it.
fn unixname() -> String {
    let named = ["LOGNAME", "USER", "LNAME", "USERNAME"].iter().find_map(|name| std::env::var(name).ok());
    if let Some(name) = named.filter(|name| !name.is_empty()) {
        return name;
    }
    let user = nix::unistd::geteuid();
    match nix::unistd::User::from_uid(user) {
        Ok(Some(entry)) => entry.name,
        Ok(None) | Err(_) => user.to_string(),
    }
}

/// An octal number as Python reads it: with or without `0o`.
fn mode(text: &str, default: u32) -> u32 {
    let digits = text.trim().trim_start_matches("0o").trim_start_matches("0O");
    u32::from_str_radix(digits, 8).unwrap_or_else(|_| {
        tracing::warn!(text, "a permission in [logging] is not an octal number; the default is used");
        default
    })
}
