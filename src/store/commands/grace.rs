//! How long the process of a stopped task may take to end.

use std::time::Duration;

use slipstream_core::event::order::Order;
use slipstream_core::ids::{DagId, MapIndex, RunId, TaskId};

use crate::store::{Conn, Dialect, StoreError};

/// What the commands that are stopping a task say; the longest if there are several, `None` if none says anything or
/// there are no commands at all.
///
/// # Errors
/// As any statement.
pub async fn of<C: Conn>(
    conn: &C,
    dag_id: &DagId,
    run_id: &RunId,
    task_id: &TaskId,
    map_index: MapIndex,
) -> Result<Option<Duration>, StoreError> {
    // A worker may stand in front of a database without our tables.
    let exists = match conn.dialect() {
        Dialect::Postgres => "SELECT 1 AS one WHERE to_regclass('slipstream_command') IS NOT NULL",
        Dialect::Sqlite => "SELECT 1 AS one FROM sqlite_master WHERE name = 'slipstream_command'",
    };
    if conn.one(conn.sql(exists)).await?.is_none() {
        return Ok(None);
    }
    let sql = conn
        .sql(
            "SELECT action, options FROM slipstream_command WHERE status = 'stopping' AND dag_id = ? AND run_id = ? \
             AND task_id = ? AND map_index IN (-1, ?)",
        )
        .bind(dag_id)
        .bind(run_id)
        .bind(task_id)
        .bind(map_index);
    let mut longest = None;
    for row in conn.all(sql).await? {
        let order = Order::from_json(&row.text("action")?, &row.json("options")?);
        if let Some(Order::Stop { grace, .. } | Order::Restart { grace, .. }) = order {
            longest = longest.max(grace.and_then(|grace| grace.to_std().ok()));
        }
    }
    Ok(longest)
}
