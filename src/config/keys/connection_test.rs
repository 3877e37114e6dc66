//! `[connection_test]`.

use std::time::Duration;

keys! { "connection_test":
    /// How long a test of a connection may take.
    TIMEOUT: Duration = "timeout", Duration::from_secs(60);
    /// How many tests may be under way.
    MAX_CONCURRENCY: i64 = "max_concurrency", 4;
    /// How often tests that hang are looked for.
    REAPER_INTERVAL: Duration = "reaper_interval", Duration::from_secs(30);
}
