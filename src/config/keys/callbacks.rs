//! `[callbacks]`.

use std::time::Duration;

keys! { "callbacks":
    /// How long a callback of a deadline may run; 0: no limit.
    CALLBACK_EXECUTION_TIMEOUT: Duration = "callback_execution_timeout", Duration::ZERO;
}
