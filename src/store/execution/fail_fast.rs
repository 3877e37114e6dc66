//! `_stop_remaining_tasks` (`airflow/models/taskinstance.py`): in a Dag with `fail_fast`, one failed task stops the others.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use slipstream_core::ids::{MapIndex, TaskId};
use slipstream_core::state::TaskState;
use uuid::Uuid;

use super::locked::LockedTi;
use super::serialized::{self, SerializedDag};
use crate::store::audit_log::{self, LogEntry};
use crate::store::db::{Conn, Tx};
use crate::store::error::StoreError;

/// Stops the other tasks of the run, if the Dag says so: those that run fail, the others are skipped. Teardown tasks and
/// tasks that succeeded or failed already are left alone.
pub(super) async fn stop_remaining_tasks(tx: &Tx, failed: &LockedTi) -> Result<(), StoreError> {
    let sql = tx.sql("SELECT fail_fast FROM dag WHERE dag_id = ?").bind(&failed.dag_id);
    if !tx.one(sql).await?.map_or(Ok(false), |row| row.bool("fail_fast"))? {
        return Ok(());
    }
    let Some(dag) = serialized::of_run(tx, &failed.dag_id, &failed.run_id).await? else { return Ok(()) };
    let others = others(tx, failed, &dag.teardowns()).await?;
    let now = Utc::now();
    let entries: Vec<_> = others.iter().map(|other| other.log_entry(failed)).collect();
    audit_log::write(tx, now, &entries).await?;
    let (running, rest): (Vec<_>, Vec<_>) =
        others.into_iter().partition(|other| other.state == Some(TaskState::Running));
    fail(tx, &running, now).await?;
    let rest: Vec<_> = rest.into_iter().filter(|other| other.state != Some(TaskState::Skipped)).collect();
    skip(tx, &rest, now).await
}

struct Other {
    id: Uuid,
    task_id: TaskId,
    map_index: MapIndex,
    try_number: i32,
    state: Option<TaskState>,
}

impl Other {
    fn log_entry(&self, failed: &LockedTi) -> LogEntry {
        let (event, extra) = match self.state {
            Some(TaskState::Running) => {
                ("fail task", "Forcing task to fail due to dag's `fail_fast` setting.")
            }
            _ => ("skip task", "Skipping task due to dag's `fail_fast` setting."),
        };
        LogEntry {
            event: event.to_owned(),
            dag_id: failed.dag_id.clone(),
            task_id: Some(self.task_id.clone()),
            run_id: Some(failed.run_id.clone()),
            map_index: Some(self.map_index),
            try_number: Some(self.try_number),
            logical_date: None,
            owner: None,
            owner_display_name: None,
            extra: Some(extra.to_owned()),
        }
    }
}

async fn others(tx: &Tx, failed: &LockedTi, teardowns: &HashSet<String>) -> Result<Vec<Other>, StoreError> {
    let sql = tx
        .sql(
            "SELECT id, task_id, map_index, try_number, state FROM task_instance \
             WHERE dag_id = ? AND run_id = ? AND task_id <> ? AND (state IS NULL OR state NOT IN ('success', 'failed')) \
             ORDER BY id",
        )
        .bind(&failed.dag_id)
        .bind(&failed.run_id)
        .bind(&failed.task_id)
        .push(tx.dialect().pg(" FOR UPDATE"));
    let mut others = Vec::new();
    for row in tx.all(sql).await? {
        let task_id: TaskId = row.id("task_id")?;
        if teardowns.contains(task_id.as_str()) {
            continue;
        }
        others.push(Other {
            id: row.uuid("id")?,
            task_id,
            map_index: MapIndex(row.int32("map_index")?),
            try_number: row.int32("try_number")?,
            state: row.state_opt("state")?,
        });
    }
    Ok(others)
}

async fn fail(tx: &Tx, tis: &[Other], now: DateTime<Utc>) -> Result<(), StoreError> {
    let sql = tx
        .sql("UPDATE task_instance SET state = 'failed', updated_at = ? WHERE id IN (?)")
        .bind(now)
        .bind_list(tis.iter().map(|ti| ti.id));
    tx.exec(sql).await?;
    Ok(())
}

async fn skip(tx: &Tx, tis: &[Other], now: DateTime<Utc>) -> Result<(), StoreError> {
    let dialect = tx.dialect();
    let duration = dialect.pick(
        "EXTRACT(EPOCH FROM (COALESCE(end_date, ?) - COALESCE(start_date, ?)))",
        "round((julianday(COALESCE(end_date, ?)) - julianday(COALESCE(start_date, ?))) * 86400, 6)",
    );
    let sql = tx
        .sql(&format!(
            "UPDATE task_instance SET state = 'skipped', start_date = COALESCE(start_date, ?), \
             end_date = COALESCE(end_date, ?), duration = {duration}, updated_at = ? WHERE id IN (?)"
        ))
        .bind(now)
        .bind(now)
        .bind(now)
        .bind(now)
        .bind(now)
        .bind_list(tis.iter().map(|ti| ti.id));
    tx.exec(sql).await?;
    Ok(())
}

impl SerializedDag {
    /// The tasks that are teardowns.
    fn teardowns(&self) -> HashSet<String> {
        self.tasks()
            .filter(|task| task.get("is_teardown").and_then(serde_json::Value::as_bool) == Some(true))
            .filter_map(|task| task.get("task_id")?.as_str().map(str::to_owned))
            .collect()
    }
}
