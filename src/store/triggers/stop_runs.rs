//! Ends the active runs of a Dag, as the API does when a person marks them (`airflow/api/common/mark_tasks.py`,
//! `_set_dag_run_terminal_state`): what runs gets the mark and is killed by its next heartbeat, what waits is skipped.
//! Teardown tasks are not touched; a run with an unfinished one ends when they have.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use slipstream_core::ids::{DagId, RunId, TaskId};

use crate::store::{Conn, StoreError, Tx};

/// The states in which a task instance occupies something that has to be given back.
const RUNNING: &str = "'running', 'deferred', 'up_for_reschedule', 'awaiting_input'";
/// The states from which a task instance does not move by itself.
const FINISHED: &str = "'success', 'failed', 'skipped', 'upstream_failed', 'removed'";

/// Which of a Dag's active runs are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WhichRuns {
    /// All of them.
    All,
    /// One, if it is active.
    One(RunId),
}

/// Ends active runs of a Dag with this state, `success` or `failed`; returns them.
///
/// # Errors
/// As any statement.
pub async fn stop(
    tx: &Tx,
    dag_id: &DagId,
    which: &WhichRuns,
    state: &str,
    teardowns: &BTreeSet<TaskId>,
    now: DateTime<Utc>,
) -> Result<Vec<RunId>, StoreError> {
    let one = match which {
        WhichRuns::All => None,
        WhichRuns::One(run_id) => Some(run_id),
    };
    let sql = tx
        .sql(&format!(
            "SELECT run_id FROM dag_run WHERE dag_id = ? AND state IN ('queued', 'running'){} ORDER BY id{}",
            if one.is_some() { " AND run_id = ?" } else { "" },
            tx.dialect().pg(" FOR UPDATE")
        ))
        .bind(dag_id);
    let sql = match one {
        Some(run_id) => sql.bind(run_id),
        None => sql,
    };
    let runs: Vec<RunId> = tx.all(sql).await?.iter().map(|row| row.id("run_id")).collect::<Result<_, _>>()?;
    if runs.is_empty() {
        return Ok(runs);
    }
    let unless = teardowns.iter().map(TaskId::as_str).chain([""]);
    let sql = tx
        .sql(&format!(
            "UPDATE task_instance SET state = CASE WHEN state IN ({RUNNING}) THEN CAST(? AS VARCHAR) ELSE 'skipped' END, \
             end_date = ?, duration = {}, updated_at = ? \
             WHERE dag_id = ? AND run_id IN (?) AND task_id NOT IN (?) \
             AND (state IS NULL OR state NOT IN ({FINISHED}))",
            tx.dialect().pick(
                "EXTRACT(EPOCH FROM (CAST(? AS TIMESTAMPTZ) - COALESCE(start_date, CAST(? AS TIMESTAMPTZ))))",
                "(julianday(?) - julianday(COALESCE(start_date, ?))) * 86400.0"
            )
        ))
        .bind(state)
        .bind(now)
        .bind(now)
        .bind(now)
        .bind(now)
        .bind(dag_id)
        .bind_list(&runs)
        .bind_list(unless);
    tx.exec(sql).await?;
    let sql = tx
        .sql(&format!(
            "UPDATE dag_run SET state = ?, end_date = ?, updated_at = ? WHERE dag_id = ? AND run_id IN (?) \
             AND NOT EXISTS (SELECT 1 FROM task_instance ti WHERE ti.dag_id = dag_run.dag_id \
             AND ti.run_id = dag_run.run_id AND (ti.state IS NULL OR ti.state NOT IN ({FINISHED})))"
        ))
        .bind(state)
        .bind(now)
        .bind(now)
        .bind(dag_id)
        .bind_list(&runs);
    tx.exec(sql).await?;
    Ok(runs)
}
