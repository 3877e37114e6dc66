//! Backfills whose runs have all ended (`SchedulerJobRunner._mark_backfills_complete`).

use chrono::{DateTime, TimeDelta, Utc};

use super::super::db::Conn;
use super::super::error::StoreError;

/// A backfill without any run is complete only after this time: until then it may still be on its way.
const SETTING_UP: TimeDelta = TimeDelta::minutes(2);

/// Marks complete backfills; returns how many.
///
/// # Errors
/// As any statement.
pub async fn mark_complete<C: Conn>(conn: &C, now: DateTime<Utc>) -> Result<u64, StoreError> {
    let sql = conn
        .sql(
            "UPDATE backfill SET completed_at = ?, updated_at = ? WHERE completed_at IS NULL \
             AND (EXISTS (SELECT 1 FROM backfill_dag_run b WHERE b.backfill_id = backfill.id) OR created_at < ?) \
             AND NOT EXISTS (SELECT 1 FROM dag_run r WHERE r.backfill_id = backfill.id \
             AND r.state IN ('running', 'queued'))",
        )
        .bind(now)
        .bind(now)
        .bind(now - SETTING_UP);
    conn.exec(sql).await
}
