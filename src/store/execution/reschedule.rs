//! `PATCH /task-instances/{id}/state` with `up_for_reschedule` and `GET /task-reschedules/{id}/start_date`: a sensor
//! between two looks.

use chrono::{DateTime, Utc};
use slipstream_core::state::TaskState;
use uuid::Uuid;

use super::Reported;
use super::duration::duration_until;
use super::error::{ExecutionError, transact};
use super::locked::LockedTi;
use crate::store::audit_log;
use crate::store::db::{Conn, Db};
use crate::store::sql::Param;

/// Frees the task's slot until `reschedule_date`.
///
/// # Errors
/// 404 without the row, 409 when the task instance does not run; as any statement.
pub async fn reschedule(
    db: &Db,
    id: Uuid,
    reschedule_date: DateTime<Utc>,
    end_date: DateTime<Utc>,
) -> Result<Reported, ExecutionError> {
    transact!(db, "reschedule", |tx| {
        let ti = LockedTi::lock(tx, id).await?;
        if !ti.admits(TaskState::UpForReschedule)? {
            return Ok(Reported::Already);
        }
        // The start is the time of the report, as in Airflow: it lies after the end, and the duration is 0 or less.
        let now = Utc::now();
        let sql = tx
            .sql(
                "INSERT INTO task_reschedule (ti_id, start_date, end_date, duration, reschedule_date) \
                 VALUES (?, ?, ?, ?, ?)",
            )
            .bind(id)
            .bind(now)
            .bind(end_date)
            .bind((end_date - now).num_seconds())
            .bind(reschedule_date);
        tx.exec(sql).await?;
        let sql = tx
            .sql(&format!(
                "UPDATE task_instance SET state = 'up_for_reschedule', end_date = ?, duration = {}, \
                 next_method = NULL, next_kwargs = ?, updated_at = ? WHERE id = ?",
                duration_until(tx.dialect())
            ))
            .bind(end_date)
            .bind(end_date)
            .bind(Param::Json(Some(serde_json::Value::Null)))
            .bind(now)
            .bind(id);
        tx.exec(sql).await?;
        let entry = ti.log_entry(TaskState::UpForReschedule, ti.hostname.as_deref());
        audit_log::write(tx, now, &[entry]).await?;
        Ok(Reported::Written)
    })
}

/// When the task instance was rescheduled first in this try.
///
/// # Errors
/// As any statement.
pub async fn first_reschedule(db: &Db, id: Uuid) -> Result<Option<DateTime<Utc>>, ExecutionError> {
    let sql = db.sql("SELECT start_date FROM task_reschedule WHERE ti_id = ? ORDER BY id LIMIT 1").bind(id);
    Ok(db.one(sql).await?.map(|row| row.time("start_date")).transpose()?)
}
