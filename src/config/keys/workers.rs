//! `[workers]`.

use std::time::Duration;

keys! { "workers":
    /// How long at least between two heartbeats of a task.
    MIN_HEARTBEAT_INTERVAL: Duration = "min_heartbeat_interval", Duration::from_secs(5);
    /// After how many failed heartbeats in a row a task is stopped.
    MAX_FAILED_HEARTBEATS: i64 = "max_failed_heartbeats", 3;
    /// How long sockets of a task that has ended are still read.
    SOCKET_CLEANUP_TIMEOUT: Duration = "socket_cleanup_timeout", Duration::from_secs(60);
    /// How often a task whose Dag is not found is tried again.
    MISSING_DAG_RETRIES: i64 = "missing_dag_retries", 3;
    /// How long between these tries.
    MISSING_DAG_RETRY_DELAY: Duration = "missing_dag_retry_delay", Duration::from_secs(60);
    /// The class of the secrets backend of tasks.
    SECRETS_BACKEND: String = "secrets_backend", "";
    /// Its arguments, as JSON.
    SECRETS_BACKEND_KWARGS: String = "secrets_backend_kwargs", "", sensitive;
    /// The class that stores the state of tasks.
    STATE_STORE_BACKEND: String = "state_store_backend", "";
}
