//! `[workers]`.

use std::time::Duration;

keys! { "workers":
    /// How long at least between two heartbeats of a task.
    MIN_HEARTBEAT_INTERVAL: Duration = "min_heartbeat_interval", Duration::from_secs(5);
    /// After how many failed heartbeats in a row a task is stopped.
    MAX_FAILED_HEARTBEATS: i64 = "max_failed_heartbeats", 3;
    /// How long sockets of a task that has ended are still read.
    SOCKET_CLEANUP_TIMEOUT: Duration = "socket_cleanup_timeout", Duration::from_secs(60);
}
