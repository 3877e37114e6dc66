//! Deadlines that a run has met (`Deadline.prune_deadlines`).

use chrono::{DateTime, Utc};

use super::super::db::Conn;
use super::super::error::StoreError;
use super::super::snapshot::RunSnapshot;
use crate::telemetry::metrics::Held;

/// Deletes the deadlines of a run that ended at `end`, as far as they were met; returns how many.
///
/// # Errors
/// As any statement.
pub async fn prune<C: Conn>(tx: &C, run: &RunSnapshot, end: DateTime<Utc>) -> Result<u64, StoreError> {
    let sql = tx
        .sql("DELETE FROM deadline WHERE dagrun_id = ? AND NOT missed AND deadline_time >= ?")
        .bind(run.id)
        .bind(end);
    let met = tx.exec(sql).await?;
    if met > 0 {
        let count = usize::try_from(met).unwrap_or(usize::MAX);
        let tags = [("dag_id", run.facts.dag_id.as_str()), ("dagrun_id", run.facts.run_id.as_str())];
        tx.measure(|| Held::count("deadline_alerts.deadline_not_missed", count, &tags));
    }
    Ok(met)
}
