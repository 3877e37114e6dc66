//! `PATCH /task-instances/{id}/run`: the task's process has started.

use chrono::{DateTime, Utc};
use serde_json::Value as Json;
use slipstream_core::state::TaskState;
use uuid::Uuid;

use super::dag_run::{DagRunFacts, with_consumed_events};
use super::error::{ExecutionError, Refusal};
use super::locked::LockedTi;
use super::{MultiTeam, teams, transact};
use crate::store::audit_log;
use crate::store::commands::started::TRIGGERING_EVENTS;
use crate::store::db::{Conn, Db, Tx};
use crate::store::error::StoreError;

/// Who starts the task instance, and when.
#[derive(Clone, Debug)]
pub struct EnterRunning {
    /// The host.
    pub hostname: String,
    /// The user that the process runs as.
    pub unixname: String,
    /// The process.
    pub pid: i64,
    /// When it was started.
    pub start_date: DateTime<Utc>,
}

/// What the task needs to know (`TIRunContext`).
#[derive(Clone, Debug)]
pub struct RunContext {
    /// Its run.
    pub dag_run: DagRunFacts,
    /// How often it was rescheduled in this try.
    pub task_reschedule_count: i64,
    /// Its most tries.
    pub max_tries: i32,
    /// Keys of values that it pushed in an earlier try and must delete first.
    pub xcom_keys_to_clear: Vec<String>,
    /// Whether a failure leads to another try.
    pub should_retry: bool,
    /// Where to go on after a deferral.
    pub resume: Option<Resume>,
}

/// Where a deferred task goes on.
#[derive(Clone, Debug)]
pub struct Resume {
    /// The method to call.
    pub next_method: String,
    /// Its arguments, in the form in which the SDK stored them.
    pub next_kwargs: Json,
    /// When the task was started first.
    pub start_date: Option<DateTime<Utc>>,
}

/// Why a task must not start.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The row is gone.
    #[error("Task Instance not found")]
    NotFound,
    /// The row is in a state that does not lead to running: the process must not go on.
    #[error("TI was not in a state where it could be marked as running; it was {}", .previous.map_or("none", TaskState::as_str))]
    InvalidState {
        /// That state. If it is `running`, another process has the task.
        previous: Option<TaskState>,
    },
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Marks the task instance as running. The same process may ask again and gets the same answer.
///
/// # Errors
/// As [`RunError`].
pub async fn run(db: &Db, id: Uuid, who: &EnterRunning, teams: MultiTeam) -> Result<RunContext, RunError> {
    match transact!(db, "run", |tx| start(tx, id, who, teams).await) {
        Ok(context) => Ok(context),
        Err(ExecutionError::Store(error)) => Err(RunError::Store(error)),
        Err(ExecutionError::Refused(refusal)) if refusal.status == 409 => {
            let previous = refusal.detail["previous_state"].as_str().and_then(|state| state.parse().ok());
            Err(RunError::InvalidState { previous })
        }
        Err(ExecutionError::Refused(_)) => Err(RunError::NotFound),
    }
}

async fn start(
    tx: &Tx,
    id: Uuid,
    who: &EnterRunning,
    multi_team: MultiTeam,
) -> Result<RunContext, ExecutionError> {
    let ti = LockedTi::lock(tx, id).await?;
    let now = Utc::now();
    match ti.state {
        Some(TaskState::Queued | TaskState::Restarting) => {
            let entry = ti.log_entry(TaskState::Running, Some(&who.hostname));
            audit_log::write(tx, now, &[entry]).await?;
        }
        Some(TaskState::Running) if is_same(&ti, who) => {}
        previous => {
            let message = "TI was not in a state where it could be marked as running";
            let refusal = Refusal::new(409, "invalid_state", message);
            return Err(refusal.with("previous_state", previous.map(TaskState::as_str)).into());
        }
    }
    let resuming = is_truthy(&ti.next_kwargs);
    let sql = tx
        .sql(
            "UPDATE task_instance SET state = 'running', hostname = ?, unixname = ?, pid = ?, end_date = NULL, \
             last_heartbeat_at = ?, retry_delay_override = NULL, retry_reason = NULL, updated_at = ?",
        )
        .bind(who.hostname.as_str())
        .bind(who.unixname.as_str())
        .bind(who.pid)
        .bind(now)
        .bind(now);
    let sql = if resuming { sql } else { sql.push(", start_date = ?").bind(who.start_date) };
    tx.exec(sql.push(" WHERE id = ?").bind(id)).await?;
    context(tx, ti, multi_team).await
}

/// The same process has asked before and did not get the answer.
fn is_same(ti: &LockedTi, who: &EnterRunning) -> bool {
    ti.hostname.as_deref() == Some(&who.hostname)
        && ti.unixname.as_deref() == Some(&who.unixname)
        && ti.pid == Some(who.pid)
}

/// Python's truth of a JSON value.
pub(super) fn is_truthy(json: &Json) -> bool {
    match json {
        Json::Null => false,
        Json::Bool(value) => *value,
        Json::Number(number) => number.as_f64() != Some(0.0),
        Json::String(text) => !text.is_empty(),
        Json::Array(items) => !items.is_empty(),
        Json::Object(members) => !members.is_empty(),
    }
}

async fn context(tx: &Tx, ti: LockedTi, multi_team: MultiTeam) -> Result<RunContext, ExecutionError> {
    let Some(mut dag_run) = with_consumed_events(tx, &ti.dag_id, &ti.run_id).await? else {
        let message = format!("DagRun with dag_id={} and run_id={} not found", ti.dag_id, ti.run_id);
        return Err(Refusal::not_found(message).into());
    };
    dag_run.team_name = teams::of_dag(tx, multi_team, &ti.dag_id).await?;
    let sql = tx.sql("SELECT COUNT(*) AS n FROM task_reschedule WHERE ti_id = ?").bind(ti.id);
    let task_reschedule_count = tx.one(sql).await?.map_or(Ok(0), |row| row.int("n"))?;
    let should_retry =
        ti.state == Some(TaskState::Restarting) || (ti.max_tries != 0 && ti.try_number <= ti.max_tries);
    let xcom_keys_to_clear = if ti.next_method.is_none() { xcom_keys(tx, &ti).await? } else { Vec::new() };
    let resume = ti.next_method.map(|next_method| Resume {
        next_method,
        next_kwargs: ti.next_kwargs,
        start_date: ti.start_date,
    });
    Ok(RunContext {
        dag_run,
        task_reschedule_count,
        max_tries: ti.max_tries,
        xcom_keys_to_clear,
        should_retry,
        resume,
    })
}

async fn xcom_keys(tx: &Tx, ti: &LockedTi) -> Result<Vec<String>, StoreError> {
    let sql = tx
        .sql("SELECT key FROM xcom WHERE dag_id = ? AND task_id = ? AND run_id = ?")
        .bind(&ti.dag_id)
        .bind(&ti.task_id)
        .bind(&ti.run_id);
    let sql = if ti.map_index.is_mapped() { sql.push(" AND map_index = ?").bind(ti.map_index) } else { sql };
    let keys: Vec<String> = tx.all(sql).await?.iter().map(|row| row.text("key")).collect::<Result<_, _>>()?;
    // Written for this very try, before it began.
    Ok(keys.into_iter().filter(|key| key != TRIGGERING_EVENTS).collect())
}
