//! Tests of connections that took too long (`_reap_stale_connection_tests`).

use chrono::{DateTime, Utc};
use slipstream_core::executor::Roster;

use crate::store::duties::connection_tests::{self, Reaped};
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

/// How many tests an executor has, and how many wait for one.
///
/// # Errors
/// As any statement.
pub async fn waiting(db: &Db) -> Result<(i64, i64), StoreError> {
    connection_tests::waiting(db).await
}

/// Fails tests that wait for an executor: none of ours can run them. In stock Airflow they wait for the reaper.
///
/// # Errors
/// As any statement, after a few tries; then nothing was done.
pub async fn refuse_pending(db: &Db, roster: &Roster, now: DateTime<Utc>) -> Result<u64, StoreError> {
    retry("refuse connection tests", async || {
        let tx = db.begin().await?;
        let reason = |wanted: Option<&str>| {
            let found = roster.resolve(wanted, None).and_then(|index| roster.get(index));
            match (found, wanted) {
                (None, wanted) => format!("No executor matches '{}'", wanted.unwrap_or_default()),
                (Some(found), wanted) => {
                    let name = wanted.unwrap_or_else(|| found.shown());
                    format!("Executor '{name}' does not support connection testing")
                }
            }
        };
        let refused = connection_tests::refuse_pending(&tx, reason, now).await?;
        tx.commit().await?;
        Ok(refused)
    })
    .await
}
