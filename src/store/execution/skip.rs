//! `PATCH /task-instances/{id}/skip-downstream`: a branch was not taken.

use chrono::Utc;
use slipstream_core::ids::{MapIndex, TaskId};
use uuid::Uuid;

use super::error::{ExecutionError, Refusal, transact};
use crate::store::db::{Conn, Db};
use crate::store::sql::Param;

/// Skips tasks of the run that the task instance belongs to, unless they run, succeeded or failed. The duration stays empty,
/// as in Airflow.
///
/// # Errors
/// 404 without the row; as any statement.
pub async fn skip_downstream(db: &Db, id: Uuid, tasks: &[(TaskId, MapIndex)]) -> Result<(), ExecutionError> {
    transact!(db, "skip downstream", |tx| {
        let sql = tx.sql("SELECT dag_id, run_id FROM task_instance WHERE id = ?").bind(id);
        let Some(row) = tx.one(sql).await? else { return Err(Refusal::no_task_instance().into()) };
        if tasks.is_empty() {
            return Ok(());
        }
        let now = Utc::now();
        let pairs = tasks.iter().map(|(task_id, index)| vec![Param::from(task_id), Param::from(*index)]);
        let sql = tx
            .sql(&format!(
                "UPDATE task_instance SET state = 'skipped', start_date = ?, end_date = ?, updated_at = ? \
                 WHERE dag_id = ? AND run_id = ? AND (state IS NULL OR state NOT IN ('running', 'success', 'failed')) \
                 AND (task_id, map_index) IN ({}?)",
                tx.dialect().pick("", "VALUES ")
            ))
            .bind(now)
            .bind(now)
            .bind(now)
            .bind(row.text("dag_id")?)
            .bind(row.text("run_id")?)
            .bind_rows(pairs);
        tx.exec(sql).await?;
        Ok(())
    })
}
