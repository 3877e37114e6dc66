//! `slipstream_command`: what triggers ask of tasks in runs. Written here, carried out by the scheduler's loop.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde_json::Value;
use uuid::Uuid;

use slipstream_core::ids::{DagId, RunId, TaskId};

use super::{rows_per_statement, text_enum};
use crate::store::{Conn, StoreError};

text_enum! {
    /// What is asked of a task.
    Action, {
        /// Begin an execution.
        Start = "start",
        /// End the execution that runs.
        Stop = "stop",
        /// End it, then begin another.
        Restart = "restart",
    }
}

/// A command that is to be written.
#[derive(Clone, Debug, PartialEq)]
pub struct NewCommand {
    /// The firing that asks.
    pub firing_id: Uuid,
    /// The Dag.
    pub dag_id: DagId,
    /// The run.
    pub run_id: RunId,
    /// The task.
    pub task_id: TaskId,
    /// What is asked.
    pub action: Action,
    /// How: the trigger's `do`.
    pub options: Value,
}

/// Writes commands; they are carried out in the order of their numbers.
///
/// # Errors
/// As any statement.
pub async fn insert<C: Conn>(tx: &C, commands: &[NewCommand], now: DateTime<Utc>) -> Result<(), StoreError> {
    for chunk in commands.chunks(rows_per_statement(9)) {
        let values = chunk.iter().map(|command| {
            vec![
                command.firing_id.into(),
                (&command.dag_id).into(),
                (&command.run_id).into(),
                (&command.task_id).into(),
                (-1_i64).into(),
                command.action.into(),
                (&command.options).into(),
                "pending".into(),
                now.into(),
            ]
        });
        let sql = tx
            .sql(
                "INSERT INTO slipstream_command (firing_id, dag_id, run_id, task_id, map_index, action, options, \
                 status, created_at) VALUES ?",
            )
            .bind_rows(values);
        tx.exec(sql).await?;
    }
    Ok(())
}

/// The tasks that a command has stopped in these runs.
///
/// # Errors
/// As any statement.
pub async fn stopped<C: Conn>(
    conn: &C,
    runs: &[(DagId, RunId)],
) -> Result<BTreeSet<(DagId, RunId, TaskId)>, StoreError> {
    let mut stopped = BTreeSet::new();
    for chunk in runs.chunks(rows_per_statement(2)) {
        let sql = conn
            .sql(
                "SELECT DISTINCT dag_id, run_id, task_id FROM slipstream_command WHERE status = 'done' \
                 AND action = 'stop' AND (dag_id, run_id) IN (VALUES ?)",
            )
            .bind_keys(chunk.iter().map(|(dag_id, run_id)| vec![dag_id.into(), run_id.into()]));
        for row in conn.all(sql).await? {
            stopped.insert((row.id("dag_id")?, row.id("run_id")?, row.id("task_id")?));
        }
    }
    Ok(stopped)
}

/// What became of the commands of a firing, in lines for a person.
///
/// # Errors
/// As any statement.
pub async fn of_firing<C: Conn>(conn: &C, firing: Uuid) -> Result<Vec<String>, StoreError> {
    let sql = conn
        .sql("SELECT action, task_id, run_id, status, reason FROM slipstream_command WHERE firing_id = ? ORDER BY id")
        .bind(firing);
    conn.all(sql)
        .await?
        .iter()
        .map(|row| {
            let reason = row.text_opt("reason")?.map(|reason| format!(", {reason}")).unwrap_or_default();
            let (action, task, run) = (row.text("action")?, row.text("task_id")?, row.text("run_id")?);
            Ok(format!("{action} {task} in run {run}: {}{reason}", row.text("status")?))
        })
        .collect()
}
