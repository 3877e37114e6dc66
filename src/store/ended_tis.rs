//! Task instances whose process is gone.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use slipstream_core::ids::{MapIndex, TiKey};
use slipstream_core::state::TaskState;
use uuid::Uuid;

use super::{Conn, Param, Row, StoreError, Tx};

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
    /// The version of the Dag that its run is pinned to.
    pub pinned_version: Option<Uuid>,
}

/// Reads and locks the rows of these tries, by their keys: who clears a running task instance gives its row a new id.
/// Rows that another transaction holds are left out, as in Airflow.
///
/// # Errors
/// As any statement.
pub async fn lock(tx: &Tx, tries: &[&TiKey]) -> Result<Vec<EndedTi>, StoreError> {
    let sql = tx
        .sql(
            "SELECT ti.id, ti.dag_id, ti.task_id, ti.run_id, ti.map_index, ti.try_number, ti.max_tries, ti.state, \
             ti.queued_by_job_id, ti.next_method, dr.bundle_version, dr.created_dag_version_id FROM task_instance ti \
             JOIN dag_run dr ON dr.dag_id = ti.dag_id AND dr.run_id = ti.run_id \
             WHERE (ti.dag_id, ti.task_id, ti.run_id, ti.map_index, ti.try_number) IN (VALUES ?) ORDER BY ti.id",
        )
        .bind_rows(tries.iter().map(|key| columns(key)))
        .push(tx.dialect().pg(" FOR NO KEY UPDATE OF ti SKIP LOCKED"));
    let rows = tx.all(sql).await?;
    rows.iter()
        .map(|row| {
            Ok(EndedTi {
                id: row.uuid("id")?,
                key: ti_key(row)?,
                state: row.state_opt("state")?,
                max_tries: row.int32("max_tries")?,
                queued_by_job_id: row.int_opt("queued_by_job_id")?,
                has_next_method: row.text_opt("next_method")?.is_some(),
                pinned_version: pinned_version(row)?,
            })
        })
        .collect()
}

/// Which of these tries there are at all: [`lock`] leaves out those that another transaction holds.
///
/// # Errors
/// As any statement.
pub async fn existing(tx: &Tx, tries: &[&TiKey]) -> Result<HashSet<TiKey>, StoreError> {
    if tries.is_empty() {
        return Ok(HashSet::new());
    }
    let sql = tx
        .sql(
            "SELECT dag_id, task_id, run_id, map_index, try_number FROM task_instance \
             WHERE (dag_id, task_id, run_id, map_index, try_number) IN (VALUES ?)",
        )
        .bind_rows(tries.iter().map(|key| columns(key)));
    tx.all(sql).await?.iter().map(ti_key).collect()
}

/// The version that a run keeps to: it was made from a bundle that has versions (`DBDagBag.get_dag_for_run`).
///
/// # Errors
/// For a row without these columns of `dag_run`.
pub fn pinned_version(row: &Row) -> Result<Option<Uuid>, StoreError> {
    Ok(match row.text_opt("bundle_version")? {
        Some(_) => row.uuid_opt("created_dag_version_id")?,
        None => None,
    })
}

fn columns(key: &TiKey) -> Vec<Param> {
    vec![
        Param::from(&key.dag_id),
        Param::from(&key.task_id),
        Param::from(&key.run_id),
        Param::from(key.map_index),
        Param::from(i64::from(key.try_number)),
    ]
}

fn ti_key(row: &Row) -> Result<TiKey, StoreError> {
    Ok(TiKey {
        dag_id: row.id("dag_id")?,
        task_id: row.id("task_id")?,
        run_id: row.id("run_id")?,
        try_number: row.int32("try_number")?,
        map_index: MapIndex(row.int32("map_index")?),
    })
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

/// Notes the executor's own name for a try, if it is a new one.
///
/// # Errors
/// As any statement.
pub async fn set_external_id<C: Conn>(
    conn: &C,
    key: &TiKey,
    name: Option<&str>,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let sql = conn
        .sql(
            "UPDATE task_instance SET external_executor_id = ?, updated_at = ? WHERE dag_id = ? AND task_id = ? \
             AND run_id = ? AND map_index = ? AND try_number = ? AND external_executor_id IS DISTINCT FROM ?",
        )
        .bind(name)
        .bind(now)
        .bind(&key.dag_id)
        .bind(&key.task_id)
        .bind(&key.run_id)
        .bind(key.map_index)
        .bind(key.try_number)
        .bind(name);
    conn.exec(sql).await?;
    Ok(())
}

/// A task instance that was cleared while it ran: back to "none", with so many tries.
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
