//! `PATCH /task-instances/{id}/state` with `up_for_retry`.

use chrono::{DateTime, Utc};
use slipstream_core::state::TaskState;
use uuid::Uuid;

use super::error::ExecutionError;
use super::locked::LockedTi;
use super::{Reported, transact};
use crate::store::db::{Conn, Db};
use crate::store::sql::Param;
use crate::store::{audit_log, history};

/// A failed try that is followed by another one.
#[derive(Clone, Debug)]
pub struct RetryReport {
    /// When the try ended.
    pub end_date: DateTime<Utc>,
    /// As [`super::Finish::rendered_map_index`].
    pub rendered_map_index: Option<String>,
    /// Seconds to the next try, when the task's retry policy says so.
    pub retry_delay_seconds: Option<f64>,
    /// Why, in the policy's words; cut to what the column holds.
    pub retry_reason: Option<String>,
}

/// The length of `task_instance.retry_reason`.
const REASON_LENGTH: usize = 500;

/// Moves the try to the history and readies the row, under a new id, for the next one.
///
/// # Errors
/// 404 without the row, 409 when the task instance does not run; as any statement.
pub async fn retry(db: &Db, id: Uuid, report: &RetryReport) -> Result<Reported, ExecutionError> {
    transact!(db, "retry", |tx| {
        let ti = LockedTi::lock(tx, id).await?;
        if !ti.admits(TaskState::UpForRetry)? {
            return Ok(Reported::Already);
        }
        let now = Utc::now();
        let reason: Option<String> = report
            .retry_reason
            .as_deref()
            .filter(|reason| !reason.is_empty())
            .map(|reason| reason.chars().take(REASON_LENGTH).collect());
        // The ending try's values go into the row first: its history is copied from there.
        let sql = tx
            .sql(
                "UPDATE task_instance SET end_date = ?, duration = ?, rendered_map_index = ?, \
                 retry_delay_override = ?, retry_reason = ? WHERE id = ?",
            )
            .bind(report.end_date)
            .bind(ti.start_date.map(|start| seconds_between(start, report.end_date)))
            .bind(report.rendered_map_index.as_deref())
            .bind(report.retry_delay_seconds)
            .bind(reason)
            .bind(id);
        tx.exec(sql).await?;
        let pairs = history::prepare_db_for_next_try(tx, &[id], now).await?;
        let sql = tx
            .sql("UPDATE task_instance SET state = 'up_for_retry', next_method = NULL, next_kwargs = ? WHERE id IN (?)")
            .bind(Param::Json(Some(serde_json::Value::Null)))
            .bind_list(pairs.iter().map(|(_, new)| *new));
        tx.exec(sql).await?;
        audit_log::write(tx, now, &[ti.log_entry(TaskState::UpForRetry, ti.hostname.as_deref())]).await?;
        Ok(Reported::Written)
    })
}

/// `timedelta.total_seconds()`.
fn seconds_between(start: DateTime<Utc>, end: DateTime<Utc>) -> f64 {
    match (end - start).num_microseconds() {
        Some(micros) => micros as f64 / 1e6,
        None => (end - start).num_seconds() as f64,
    }
}
