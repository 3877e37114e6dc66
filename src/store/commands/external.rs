//! Triggers on tasks that were added from outside, not by a Dag file.

use serde_json::Value;
use slipstream_core::ids::{DagId, TaskId};

use crate::store::{Conn, StoreError};

/// One of them.
#[derive(Clone, Debug, PartialEq)]
pub struct ExternalTrigger {
    /// The Dag.
    pub dag_id: DagId,
    /// The task.
    pub task_id: TaskId,
    /// As it was written.
    pub spec: Value,
}

/// Those that are active. One that is paused holds nothing back.
///
/// # Errors
/// As any statement.
pub async fn load<C: Conn>(conn: &C) -> Result<Vec<ExternalTrigger>, StoreError> {
    let sql = conn.sql(
        "SELECT dag_id, task_id, spec FROM slipstream_trigger \
         WHERE origin = 'external' AND status = 'active' AND task_id IS NOT NULL ORDER BY id",
    );
    let rows = conn.all(sql).await?;
    rows.iter()
        .map(|row| {
            Ok(ExternalTrigger {
                dag_id: row.id("dag_id")?,
                task_id: row.id("task_id")?,
                spec: row.json("spec")?,
            })
        })
        .collect()
}
