//! Triggers that did not fire in time (`check_trigger_timeouts`).

use chrono::{DateTime, Utc};

use crate::store::duties::triggers;
use crate::store::{Db, StoreError, retry};

/// Wakes task instances whose trigger did not fire in time; they fail when they run. Returns how many.
///
/// # Errors
/// As any statement, after a few tries.
pub async fn run_once(db: &Db, now: DateTime<Utc>) -> Result<u64, StoreError> {
    let woken = retry("time out triggers", async || triggers::time_out(db, now).await).await?;
    if woken > 0 {
        tracing::info!("Timed out {woken} deferred tasks without fired triggers");
    }
    Ok(woken)
}
