//! Deadlines that a run has met (`Deadline.prune_deadlines`).

use chrono::{DateTime, Utc};

use super::super::db::Conn;
use super::super::error::StoreError;

/// Deletes the deadlines of a run that ended at `end`, as far as they were met; returns how many.
///
/// # Errors
/// As any statement.
pub async fn prune<C: Conn>(tx: &C, dag_run: i64, end: DateTime<Utc>) -> Result<u64, StoreError> {
    let sql = tx
        .sql("DELETE FROM deadline WHERE dagrun_id = ? AND NOT missed AND deadline_time >= ?")
        .bind(dag_run)
        .bind(end);
    tx.exec(sql).await
}
