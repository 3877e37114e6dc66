//! `[slipstream]`.

use std::time::Duration;

keys! { "slipstream":
    /// The Python interpreter that has Airflow; empty: found as `docs/operations.md` says.
    PYTHON: String = "python", "";
    /// Where the sockets between our processes are; empty: `AIRFLOW_HOME/slipstream`.
    RUNTIME_DIR: String = "runtime_dir", "";
    /// After how long a Dag file that did not change is executed again.
    MAX_PARSE_AGE: Duration = "max_parse_age", Duration::from_secs(300);
}
