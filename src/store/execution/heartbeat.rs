//! `PUT /task-instances/{id}/heartbeat`.

use chrono::Utc;
use slipstream_core::state::TaskState;
use uuid::Uuid;

use super::error::{ExecutionError, Refusal};
use super::transact;
use crate::store::db::{Conn, Db, Tx};
use crate::store::error::StoreError;

/// What the heartbeat found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeartbeatReply {
    /// The task still runs here; the time was written.
    Ok,
    /// The row is gone: the task was cleared or retried (then the history has it), or deleted.
    NotFound {
        /// Whether the history has it: the API answers 410 instead of 404.
        archived: bool,
    },
    /// Another process runs the task instance.
    RunningElsewhere {
        /// Its host.
        hostname: Option<String>,
        /// Its process id.
        pid: Option<i64>,
    },
    /// The task instance was brought to another state.
    NotRunning {
        /// That state.
        state: Option<TaskState>,
    },
}

/// Says that the task still runs on `hostname` as process `pid`.
///
/// # Errors
/// As any statement; the caller should count such failures as failed heartbeats.
pub async fn heartbeat(db: &Db, id: Uuid, hostname: &str, pid: i64) -> Result<HeartbeatReply, StoreError> {
    let now = Utc::now();
    let sql = db
        .sql(
            "UPDATE task_instance SET last_heartbeat_at = ?, updated_at = ? \
             WHERE id = ? AND state = 'running' AND hostname = ? AND pid = ?",
        )
        .bind(now)
        .bind(now)
        .bind(id)
        .bind(hostname)
        .bind(pid);
    if db.exec(sql).await? > 0 {
        return Ok(HeartbeatReply::Ok);
    }
    let found = transact!(db, "heartbeat", |tx| Ok(diagnose(tx, id, hostname, pid).await?));
    match found {
        Ok(reply) => Ok(reply),
        Err(ExecutionError::Store(error)) => Err(error),
        Err(ExecutionError::Refused(refusal)) => Err(StoreError::Invalid(refusal.message())),
    }
}

/// Why the quick update found no row; writes the time after all if the row came back meanwhile.
async fn diagnose(tx: &Tx, id: Uuid, hostname: &str, pid: i64) -> Result<HeartbeatReply, StoreError> {
    let sql = tx
        .sql("SELECT state, hostname, pid FROM task_instance WHERE id = ?")
        .push(tx.dialect().pg(" FOR UPDATE"))
        .bind(id);
    let Some(row) = tx.one(sql).await? else {
        return Ok(HeartbeatReply::NotFound { archived: is_archived(tx, id).await? });
    };
    let (current_host, current_pid) = (row.text_opt("hostname")?, row.int_opt("pid")?);
    if current_host.as_deref() != Some(hostname) || current_pid != Some(pid) {
        return Ok(HeartbeatReply::RunningElsewhere { hostname: current_host, pid: current_pid });
    }
    let state = row.state_opt("state")?;
    if state != Some(TaskState::Running) {
        return Ok(HeartbeatReply::NotRunning { state });
    }
    let now = Utc::now();
    let sql = tx
        .sql("UPDATE task_instance SET last_heartbeat_at = ?, updated_at = ? WHERE id = ?")
        .bind(now)
        .bind(now)
        .bind(id);
    tx.exec(sql).await?;
    Ok(HeartbeatReply::Ok)
}

/// Whether the history has a try with this id.
async fn is_archived(conn: &impl Conn, id: Uuid) -> Result<bool, StoreError> {
    let sql = conn.sql("SELECT 1 AS one FROM task_instance_history WHERE task_instance_id = ?").bind(id);
    Ok(conn.one(sql).await?.is_some())
}

/// The refusal for an id that `task_instance` does not have: 410 if the history has it, else 404.
pub(super) async fn not_in_live_table(conn: &impl Conn, id: Uuid) -> Result<Refusal, StoreError> {
    Ok(if is_archived(conn, id).await? { Refusal::gone() } else { Refusal::no_task_instance() })
}
