//! Whether every event of a run has been put to its triggers, so that the run may end.

use std::collections::BTreeSet;

use slipstream_core::ids::{DagId, RunId, TaskId};

use crate::store::{Conn, StoreError};

/// Whether the run's own changes of state are in the log, as far as triggers watch them: the state of each instance of
/// these tasks is the one that was observed last.
///
/// # Errors
/// As any statement.
pub async fn is_observed<C: Conn>(
    conn: &C,
    dag_id: &DagId,
    run_id: &RunId,
    watched: &BTreeSet<TaskId>,
) -> Result<bool, StoreError> {
    if watched.is_empty() {
        return Ok(true);
    }
    let sql = conn
        .sql(
            "SELECT 1 AS one FROM task_instance ti LEFT JOIN slipstream_observed o ON o.dag_id = ti.dag_id \
             AND o.run_id = ti.run_id AND o.task_id = ti.task_id AND o.map_index = ti.map_index \
             WHERE ti.dag_id = ? AND ti.run_id = ? AND ti.task_id IN (?) AND ti.state IS NOT NULL \
             AND (o.state IS NULL OR o.state <> ti.state OR o.try_number <> ti.try_number) LIMIT 1",
        )
        .bind(dag_id)
        .bind(run_id)
        .bind_list(watched);
    Ok(conn.one(sql).await?.is_none())
}

/// The last position of the log, and the one up to which the engine has come, with the Dag's triggers on tasks that ask Python.
///
/// # Errors
/// As any statement.
pub async fn progress<C: Conn>(conn: &C, dag_id: &DagId) -> Result<(i64, i64), StoreError> {
    let sql = conn
        .sql(
        "SELECT (SELECT last_position FROM slipstream_log_head WHERE id = 1) AS head, \
         (SELECT min(position) FROM slipstream_cursor WHERE name = 'engine' OR name IN (SELECT 'python/' || id \
         FROM slipstream_trigger WHERE dag_id = ? AND task_id IS NOT NULL)) AS engine",
        )
        .bind(dag_id);
    let Some(row) = conn.one(sql).await? else { return Ok((0, 0)) };
    Ok((row.int_opt("head")?.unwrap_or(0), row.int_opt("engine")?.unwrap_or(0)))
}
