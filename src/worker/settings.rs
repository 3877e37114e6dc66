//! What the deployment says about running tasks.

use std::time::Duration;

use super::log::{Level, LogFiles};
use super::remote_logs::RemoteLogs;
use crate::supervisor::masker::Masker;

/// Options of the supervision of tasks, under Airflow's names and with its defaults.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Tasks at once: `[core] parallelism`.
    pub parallelism: usize,
    /// Streaming tasks at once, besides: `[slipstream] streaming_parallelism`.
    pub streaming_parallelism: usize,
    /// Dag files that are kept parsed: `[slipstream] prepared_dag_files`.
    pub prepared_dag_files: usize,
    /// Time between heartbeats: `[workers] min_heartbeat_interval`.
    pub heartbeat_interval: Duration,
    /// Heartbeats that may fail in a row before the task is stopped: `[workers] max_failed_heartbeats`.
    pub max_failed_heartbeats: u32,
    /// How long a task's process may go on after it reported its end: `[core] task_success_overtime`.
    pub overtime: Duration,
    /// How long sockets are read after the process is gone, while something else holds them open:
    /// `[workers] socket_cleanup_timeout`.
    pub socket_cleanup: Duration,
    /// Time between two signals of the kill ladder. Airflow has no option for it.
    pub escalation: Duration,
    /// How long the process that tasks are forked from may take to fork one; then another takes its place. Airflow has no option
    /// for it.
    pub fork_limit: Duration,
    /// How long a callback may run: `[callbacks] callback_execution_timeout`; none without a limit.
    pub callback_timeout: Option<Duration>,
    /// Where logs go.
    pub logs: LogFiles,
    /// `[logging] logging_level`.
    pub level: Level,
    /// What every task's masker begins with: no secrets, but the deployment's rules.
    pub masker: Masker,
    /// Uploads logs when a task has ended; `None`: they stay on this machine.
    pub remote_logs: Option<RemoteLogs>,
}
