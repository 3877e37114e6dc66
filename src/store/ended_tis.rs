//! Task instances whose process is gone.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use slipstream_core::ids::{MapIndex, TiKey};
use slipstream_core::state::TaskState;
use uuid::Uuid;

use super::{Conn, StoreError, Tx};

/// What the row says about a try that an executor reported as ended.
#[derive(Clone, Debug)]
pub struct EndedTi {
    /// `task_instance.id`.
    pub id: Uuid,
    /// What names the try.
    pub key: TiKey,
    /// Its state now.
    pub state: Option<TaskState>,
    /// `task_instance.max_tries`.
    pub max_tries: i32,
    /// The scheduler that queued it last.
    pub queued_by_job_id: Option<i64>,
    /// Whether it resumes from a trigger.
    pub has_next_method: bool,
}

/// Reads and locks these rows; those that another transaction holds are left out, as in Airflow.
///
/// # Errors
/// As any statement.
pub async fn lock(tx: &Tx, ids: impl IntoIterator<Item = Uuid>) -> Result<Vec<EndedTi>, StoreError> {
    let sql = tx
        .sql(
            "SELECT id, dag_id, task_id, run_id, map_index, try_number, max_tries, state, queued_by_job_id, next_method \
             FROM task_instance WHERE id IN (?) ORDER BY id",
        )
        .bind_list(ids)
        .push(tx.dialect().pg(" FOR NO KEY UPDATE OF task_instance SKIP LOCKED"));
    let rows = tx.all(sql).await?;
    rows.iter()
        .map(|row| {
            Ok(EndedTi {
                id: row.uuid("id")?,
                key: TiKey {
                    dag_id: row.id("dag_id")?,
                    task_id: row.id("task_id")?,
                    run_id: row.id("run_id")?,
                    try_number: row.int32("try_number")?,
                    map_index: MapIndex(row.int32("map_index")?),
                },
                state: row.state_opt("state")?,
                max_tries: row.int32("max_tries")?,
                queued_by_job_id: row.int_opt("queued_by_job_id")?,
                has_next_method: row.text_opt("next_method")?.is_some(),
            })
        })
        .collect()
}

/// Which of these rows there are at all: [`lock`] leaves out those that another transaction holds.
///
/// # Errors
/// As any statement.
pub async fn existing(tx: &Tx, ids: Vec<Uuid>) -> Result<HashSet<Uuid>, StoreError> {
    if ids.is_empty() {
        return Ok(HashSet::new());
    }
    let rows = tx.all(tx.sql("SELECT id FROM task_instance WHERE id IN (?)").bind_list(ids)).await?;
    rows.iter().map(|row| row.uuid("id")).collect()
}

/// Ends a task instance whose Dag cannot be found in the state that its executor reports.
///
/// # Errors
/// As any statement.
pub async fn set_state(tx: &Tx, id: Uuid, state: TaskState, now: DateTime<Utc>) -> Result<(), StoreError> {
    let sql = tx
        .sql(
            "UPDATE task_instance SET state = ?, start_date = COALESCE(start_date, ?), end_date = COALESCE(end_date, ?), \
             updated_at = ? WHERE id = ?",
        )
        .bind(state)
        .bind(now)
        .bind(now)
        .bind(now)
        .bind(id);
    tx.exec(sql).await?;
    Ok(())
}

/// A task instance that was cleared while it ran: back to "none", with as many further tries as the task has retries.
///
/// # Errors
/// As any statement.
pub async fn restart(tx: &Tx, id: Uuid, max_tries: i32, now: DateTime<Utc>) -> Result<(), StoreError> {
    let sql = tx
        .sql("UPDATE task_instance SET state = NULL, max_tries = ?, updated_at = ? WHERE id = ? AND state = 'restarting'")
        .bind(max_tries)
        .bind(now)
        .bind(id);
    tx.exec(sql).await?;
    Ok(())
}
