//! Requests to run callbacks, which the dag-processor takes from the table `callback`
//! (`airflow/callbacks/database_callback_sink.py`, `airflow/callbacks/callback_requests.py`).
//!
//! Callbacks of tasks that fail inside their worker run there. What is requested here is what only the scheduler sees:
//! the end of a dag run, and task instances that were lost.

mod context;
mod executor;
#[cfg(test)]
mod tests;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

use slipstream_core::ids::{DagId, RunId};
use slipstream_core::state::TaskState;

use super::db::Conn;
use super::encoding;
use super::error::StoreError;

use context::{ti_and_run, ti_json};

pub use executor::{ExecutorCallback, mark_queued, pending_for_executors, set_outcome};

/// A callback that is to be run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallbackRequest {
    /// `on_success_callback` or `on_failure_callback` of a Dag.
    Dag {
        /// The Dag.
        dag_id: DagId,
        /// The run that ended.
        run_id: RunId,
        /// How it ended.
        outcome: Outcome,
        /// Why, in one word of Airflow's: `task_failure`, `success`, `timed_out`, `all_tasks_deadlocked`.
        msg: String,
        /// The task instance that the callback's context names.
        last_ti: Option<Uuid>,
    },
    /// A callback of a task.
    Task {
        /// The task instance.
        ti: Uuid,
        /// Which one: for a retry or for a failure; `None` for a failure too.
        kind: Option<TaskState>,
        /// Why.
        msg: String,
    },
    /// The e-mail about a failure or a retry.
    Email {
        /// The task instance.
        ti: Uuid,
        /// Which one.
        kind: EmailKind,
        /// Why.
        msg: String,
    },
}

/// How a dag run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Well.
    Success,
    /// Badly.
    Failure,
}

/// What an e-mail is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EmailKind {
    /// The task failed for good.
    Failure,
    /// The task will be tried again.
    Retry,
}

/// Whether a request was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// It waits for a dag-processor.
    Yes,
    /// What it is about is gone, or has no Dag version; there is nothing to run.
    NothingToRun,
}

/// Writes a request for the dag-processor.
///
/// # Errors
/// As any statement.
pub async fn send<C: Conn>(
    conn: &C,
    request: &CallbackRequest,
    now: DateTime<Utc>,
) -> Result<Sent, StoreError> {
    let body = match request {
        CallbackRequest::Dag { dag_id, run_id, outcome, msg, last_ti } => {
            dag_request(conn, dag_id, run_id, *outcome, msg, *last_ti).await?
        }
        CallbackRequest::Task { ti, kind, msg } => {
            let kind = kind.map(TaskState::as_str);
            task_request(conn, *ti, now, msg, "TaskCallbackRequest", ("task_callback_type", json!(kind)))
                .await?
        }
        CallbackRequest::Email { ti, kind, msg } => {
            let kind = match kind {
                EmailKind::Failure => "failure",
                EmailKind::Retry => "retry",
            };
            task_request(conn, *ti, now, msg, "EmailRequest", ("email_type", json!(kind))).await?
        }
    };
    match body {
        Some(body) => insert(conn, &body, now).await.map(|()| Sent::Yes),
        None => Ok(Sent::NothingToRun),
    }
}

async fn insert<C: Conn>(conn: &C, body: &Value, now: DateTime<Utc>) -> Result<(), StoreError> {
    let data = json!({"req_class": body["type"], "req_data": body.to_string()});
    let sql = conn
        .sql(
            "INSERT INTO callback (id, type, fetch_method, data, bundle_name, state, output, priority_weight, \
             created_at, trigger_id) VALUES (?, 'dag_processor', 'dag_attribute', ?, ?, NULL, NULL, 1, ?, NULL)",
        )
        .bind(Uuid::now_v7())
        .bind(encoding::extended(&data))
        .bind(body["bundle_name"].as_str())
        .bind(now);
    conn.exec(sql).await?;
    Ok(())
}

async fn dag_request<C: Conn>(
    conn: &C,
    dag_id: &DagId,
    run_id: &RunId,
    outcome: Outcome,
    msg: &str,
    last_ti: Option<Uuid>,
) -> Result<Option<Value>, StoreError> {
    let Some((source, dag_run)) = context::run(conn, dag_id, run_id).await? else { return Ok(None) };
    let last_ti = match last_ti {
        Some(id) => ti_json(conn, id).await?,
        None => None,
    };
    Ok(Some(json!({
        "filepath": source.filepath,
        "bundle_name": source.bundle_name,
        "bundle_version": source.bundle_version,
        "msg": msg,
        "dag_id": dag_id,
        "run_id": run_id,
        "context_from_server": {"dag_run": dag_run, "last_ti": last_ti},
        "is_failure_callback": outcome == Outcome::Failure,
        "type": "DagCallbackRequest",
    })))
}

async fn task_request<C: Conn>(
    conn: &C,
    ti: Uuid,
    now: DateTime<Utc>,
    msg: &str,
    class: &str,
    kind: (&str, Value),
) -> Result<Option<Value>, StoreError> {
    context::give_dag_version(conn, ti, now).await?;
    let Some(facts) = ti_and_run(conn, ti).await? else { return Ok(None) };
    // Airflow's own difference between the two requests.
    let bundle_version = match class {
        "EmailRequest" => facts.own_bundle_version,
        _ => facts.source.bundle_version,
    };
    let mut body = json!({
        "filepath": facts.source.filepath,
        "bundle_name": facts.source.bundle_name,
        "bundle_version": bundle_version,
        "msg": msg,
        "ti": facts.ti,
        "context_from_server": {
            "dag_run": facts.dag_run,
            "task_reschedule_count": 0,
            "max_tries": facts.max_tries,
            "variables": [],
            "connections": [],
            "next_method": null,
            "next_kwargs": null,
            "xcom_keys_to_clear": [],
            "should_retry": false,
            "start_date": null,
        },
        "type": class,
    });
    body[kind.0] = kind.1;
    Ok(Some(body))
}
