//! How much a client may send at once.

use crate::config::{Config, keys};

/// Sizes in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// `[slipstream] event_max_bytes`: data and extension attributes of one event.
    pub event: usize,
    /// `[slipstream] event_max_batch_bytes`: the body of one request.
    pub batch: usize,
}

impl Limits {
    /// As configured.
    pub fn of(config: &Config) -> Self {
        let bytes = |value: i64| usize::try_from(value).unwrap_or(0);
        Self {
            event: bytes(config.get(&keys::slipstream::EVENT_MAX_BYTES)),
            batch: bytes(config.get(&keys::slipstream::EVENT_MAX_BATCH_BYTES)),
        }
    }
}
