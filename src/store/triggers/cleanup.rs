//! What ended runs and removed events leave behind.

use chrono::{DateTime, Utc};

use crate::store::{Conn, StoreError, Tx};

/// What triggers of tasks remember of runs that are no longer active.
///
/// # Errors
/// As any statement.
pub async fn progress_of_ended_runs(tx: &Tx) -> Result<u64, StoreError> {
    tx.exec(tx.sql(
        "DELETE FROM slipstream_trigger_state WHERE run_id <> '' AND NOT EXISTS (SELECT 1 FROM slipstream_trigger t \
         JOIN dag_run dr ON dr.dag_id = t.dag_id WHERE t.id = slipstream_trigger_state.trigger_id \
         AND dr.run_id = slipstream_trigger_state.run_id AND dr.state IN ('queued', 'running'))",
    ))
    .await
}

/// Where runs began that are no longer in the database.
///
/// # Errors
/// As any statement.
pub async fn runs_that_are_gone(tx: &Tx) -> Result<u64, StoreError> {
    tx.exec(tx.sql(
        "DELETE FROM slipstream_run WHERE NOT EXISTS (SELECT 1 FROM dag_run dr WHERE dr.dag_id = slipstream_run.dag_id \
         AND dr.run_id = slipstream_run.run_id)",
    ))
    .await
}

/// Firings before a moment whose event is no longer in the log.
///
/// # Errors
/// As any statement.
pub async fn firings(tx: &Tx, before: DateTime<Utc>) -> Result<u64, StoreError> {
    let sql = tx
        .sql(
            "DELETE FROM slipstream_firing WHERE fired_at < ? AND status <> 'pending' AND NOT EXISTS \
             (SELECT 1 FROM slipstream_event e WHERE e.position = slipstream_firing.position)",
        )
        .bind(before);
    tx.exec(sql).await
}
