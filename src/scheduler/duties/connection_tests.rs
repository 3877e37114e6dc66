//! Tests of connections that took too long (`_reap_stale_connection_tests`).

use chrono::{DateTime, Utc};

use crate::store::connection_tests::{self, Reaped};
use crate::store::{Db, StoreError, retry};

/// Fails tests that have not ended in time. `timeout` is `[connection_test] timeout`, in seconds.
///
/// # Errors
/// As any statement, after a few tries; then nothing was done.
pub async fn run_once(db: &Db, timeout: i64, now: DateTime<Utc>) -> Result<Vec<Reaped>, StoreError> {
    retry("reap connection tests", async || {
        let tx = db.begin().await?;
        let reaped = connection_tests::reap(&tx, timeout, now).await?;
        tx.commit().await?;
        for test in &reaped {
            tracing::warn!(id = %test.id, prior_state = test.prior_state, "Reaped stale connection test");
        }
        Ok(reaped)
    })
    .await
}
