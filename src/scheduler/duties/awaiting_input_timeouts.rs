//! People who did not answer in time (`check_awaiting_input_timeouts`).

use chrono::{DateTime, Utc};

use crate::store::duties::awaiting_input::{self, TimeoutCounts};
use crate::store::{Db, StoreError, retry};

/// Ends waits for an answer whose time is over.
///
/// # Errors
/// As any statement, after a few tries; then nothing was done.
pub async fn run_once(db: &Db, now: DateTime<Utc>) -> Result<TimeoutCounts, StoreError> {
    let counts = retry("time out waits for input", async || {
        let tx = db.begin().await?;
        let counts = awaiting_input::time_out(&tx, now).await?;
        tx.commit().await?;
        Ok(counts)
    })
    .await?;
    if counts != TimeoutCounts::default() {
        tracing::info!(
            "AWAITING_INPUT timeout sweep: {} resolved (response/defaults), {} failed, {} could not be resumed",
            counts.resolved,
            counts.failed,
            counts.unresumable
        );
    }
    Ok(counts)
}
