//! Which runs have commands that nobody has looked at yet.

use chrono::{DateTime, Utc};
use slipstream_core::ids::{DagId, RunId, TiKey};
use slipstream_core::state::RunState;

use crate::store::{Conn, StoreError};

/// A run that has new commands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The Dag.
    pub dag_id: DagId,
    /// The run.
    pub run_id: RunId,
    /// The run's state; `None` if there is no such run.
    pub run: Option<RunState>,
}

/// Runs that have new commands.
///
/// # Errors
/// As any statement.
pub async fn find<C: Conn>(conn: &C) -> Result<Vec<Found>, StoreError> {
    let sql = conn.sql(
        "SELECT c.dag_id, c.run_id, dr.state FROM \
         (SELECT DISTINCT dag_id, run_id FROM slipstream_command WHERE status = 'pending') c \
         LEFT JOIN dag_run dr ON dr.dag_id = c.dag_id AND dr.run_id = c.run_id",
    );
    let rows = conn.all(sql).await?;
    rows.iter()
        .map(|row| {
            Ok(Found { dag_id: row.id("dag_id")?, run_id: row.id("run_id")?, run: row.state_opt("state")? })
        })
        .collect()
}

/// Drops every command that has not had its effect, of a run that has ended or does not exist.
///
/// # Errors
/// As any statement.
pub async fn drop_of_run<C: Conn>(
    conn: &C,
    dag_id: &DagId,
    run_id: &RunId,
    reason: &str,
    now: DateTime<Utc>,
) -> Result<u64, StoreError> {
    let sql = conn
        .sql(
            "UPDATE slipstream_command SET status = 'dropped', reason = ?, done_at = ? \
             WHERE dag_id = ? AND run_id = ? AND status IN ('pending', 'waiting', 'stopping', 'open') \
             AND NOT EXISTS (SELECT 1 FROM dag_run dr WHERE dr.dag_id = slipstream_command.dag_id \
             AND dr.run_id = slipstream_command.run_id AND dr.state IN ('queued', 'running'))",
        )
        .bind(reason)
        .bind(now)
        .bind(dag_id)
        .bind(run_id);
    conn.exec(sql).await
}

/// Whether a command is stopping this task instance.
///
/// # Errors
/// As any statement.
pub async fn is_being_stopped<C: Conn>(conn: &C, ti: &TiKey) -> Result<bool, StoreError> {
    let sql = conn
        .sql(
            "SELECT 1 AS one FROM slipstream_command WHERE status = 'stopping' AND action = 'stop' \
             AND dag_id = ? AND run_id = ? AND task_id = ? AND map_index IN (-1, ?) LIMIT 1",
        )
        .bind(&ti.dag_id)
        .bind(&ti.run_id)
        .bind(&ti.task_id)
        .bind(ti.map_index);
    Ok(conn.one(sql).await?.is_some())
}
