//! What is written with the start of an execution: which events caused it, for the task and for people.

use chrono::{DateTime, Utc};
use serde_json::Value;
use slipstream_core::ids::{DagId, MapIndex, RunId, TaskId};
use uuid::Uuid;

use super::load::Stored;
use super::settle;
use super::told::told;
use crate::store::execution::xcom;
use crate::store::{Conn, StoreError, Tx, audit_log, failure};

/// Key of the XCom that a task started by events finds them under.
pub const TRIGGERING_EVENTS: &str = "triggering_events";

/// An execution that begins: a task instance has just been sent on its way, and not for a retry.
#[derive(Clone, Debug)]
pub struct Execution {
    /// The Dag.
    pub dag_id: DagId,
    /// The run.
    pub run_id: RunId,
    /// `dag_run.id`.
    pub run: i64,
    /// The task.
    pub task_id: TaskId,
    /// Which copy.
    pub map_index: MapIndex,
    /// The instance; `None` if it was made a moment ago.
    pub ti: Option<Uuid>,
    /// The number of its first try.
    pub first_try: i32,
}

/// Records an execution, and for one that a command caused hands the task its events.
///
/// # Errors
/// As any statement.
pub async fn begin(
    tx: &Tx,
    execution: &Execution,
    cause: Option<&Stored>,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let at = execution;
    let sql = tx
        .sql(
            "INSERT INTO slipstream_execution (dag_id, run_id, task_id, map_index, sequence, ti_id, first_try, \
             firing_id, created_at) SELECT ?, ?, ?, ?, COALESCE(MAX(sequence), 0) + 1, ",
        )
        .bind(&at.dag_id)
        .bind(&at.run_id)
        .bind(&at.task_id)
        .bind(at.map_index)
        .push(tx.dialect().pick("CAST(? AS uuid), ?, CAST(? AS uuid), CAST(? AS timestamptz)", "?, ?, ?, ?"))
        .bind(at.ti)
        .bind(at.first_try)
        .bind(cause.map(|cause| cause.firing))
        .bind(now)
        .push(
            " FROM slipstream_execution WHERE dag_id = ? AND run_id = ? AND task_id = ? AND map_index = ?",
        )
        .bind(&at.dag_id)
        .bind(&at.run_id)
        .bind(&at.task_id)
        .bind(at.map_index);
    tx.exec(sql).await?;
    // What an earlier execution was told is not this one's.
    forget(tx, at).await?;
    let Some(cause) = cause else { return Ok(()) };
    let told = told(tx, &cause.firings()).await?;
    tell(tx, at, told, now).await?;
    let key = slipstream_core::ids::TiKey {
        dag_id: at.dag_id.clone(),
        task_id: at.task_id.clone(),
        run_id: at.run_id.clone(),
        try_number: at.first_try,
        map_index: at.map_index,
    };
    let extra = format!("command {}, firing {}", cause.command.id, cause.firing);
    audit_log::write(tx, now, &[failure::log_entry(&key, "started by event", Some(extra))]).await
}

/// A command's task has been started.
///
/// # Errors
/// As any statement.
pub async fn done(tx: &Tx, command: i64, now: DateTime<Utc>) -> Result<(), StoreError> {
    settle::over(tx, command, "done", "the task was started", now).await
}

/// Adds a command's events to those of a start that is under way.
///
/// # Errors
/// As any statement.
pub async fn join(
    tx: &Tx,
    execution: &Execution,
    cause: &Stored,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let sql = at(
        tx.sql("SELECT value FROM xcom WHERE key = ? AND dag_id = ? AND run_id = ? AND task_id = ? AND map_index = ?"),
        execution,
    );
    let known = tx.one(sql).await?.map(|row| row.json("value")).transpose()?;
    let mut all = match known {
        Some(Value::Array(known)) => known,
        _ => Vec::new(),
    };
    all.extend(told(tx, &cause.firings()).await?);
    forget(tx, execution).await?;
    tell(tx, execution, all, now).await
}

fn at(sql: crate::store::Sql, execution: &Execution) -> crate::store::Sql {
    sql.bind(TRIGGERING_EVENTS)
        .bind(&execution.dag_id)
        .bind(&execution.run_id)
        .bind(&execution.task_id)
        .bind(execution.map_index)
}

async fn forget(tx: &Tx, execution: &Execution) -> Result<(), StoreError> {
    let text =
        "DELETE FROM xcom WHERE key = ? AND dag_id = ? AND run_id = ? AND task_id = ? AND map_index = ?";
    tx.exec(at(tx.sql(text), execution)).await?;
    Ok(())
}

async fn tell(
    tx: &Tx,
    execution: &Execution,
    told: Vec<Value>,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let key = xcom::XComKey {
        dag_id: execution.dag_id.clone(),
        run_id: execution.run_id.clone(),
        task_id: execution.task_id.clone(),
        key: TRIGGERING_EVENTS.to_owned(),
    };
    xcom::insert(tx, execution.run, &key, execution.map_index, xcom::Role::Value, &Value::Array(told), now)
        .await
}
