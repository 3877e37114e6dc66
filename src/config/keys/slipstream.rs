//! `[slipstream]`.

use std::time::Duration;

keys! { "slipstream":
    /// The Python interpreter that has Airflow; empty: found as `docs/operations.md` says.
    PYTHON: String = "python", "";
    /// Where the sockets between our processes are; empty: `AIRFLOW_HOME/.slipstream`.
    RUNTIME_DIR: String = "runtime_dir", "";
    /// After how long a Dag file that did not change is executed again.
    MAX_PARSE_AGE: Duration = "max_parse_age", Duration::from_secs(300);
    /// How often the database is asked for what others changed.
    POLL_INTERVAL: Duration = "poll_interval", Duration::from_millis(200);
    /// How often running dag runs are asked for changes that others made.
    DEEP_POLL_INTERVAL: Duration = "deep_poll_interval", Duration::from_secs(1);
    /// How often every running dag run is examined, whether it changed or not.
    REEXAMINE_INTERVAL: Duration = "reexamine_interval", Duration::from_secs(30);
}
