//! `[triggerer]`.

use std::time::Duration;

keys! { "triggerer":
    /// After how long without a heartbeat a triggerer counts as dead.
    TRIGGERER_HEALTH_CHECK_THRESHOLD: Duration = "triggerer_health_check_threshold", Duration::from_secs(30);
    /// Whether triggers go to a triggerer by their task's queue.
    QUEUES_ENABLED: bool = "queues_enabled", false;
}
