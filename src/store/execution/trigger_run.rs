//! `POST /dag-runs/{dag_id}/{run_id}` and `…/clear`: a task triggers a run (`airflow/api/common/trigger_dag.py`).

use chrono::{DateTime, Utc};
use serde_json::Value as Json;
use slipstream_core::ids::{DagId, RunId};
use slipstream_core::state::RunType;
use uuid::Uuid;

use super::error::{ExecutionError, Refusal, transact};
use crate::store::db::{Conn, Db, Tx};

/// A run to be triggered.
#[derive(Clone, Debug)]
pub struct TriggerRun {
    /// The Dag.
    pub dag_id: DagId,
    /// The run's id.
    pub run_id: RunId,
    /// Its configuration.
    pub conf: Option<Json>,
    /// Its logical date.
    pub logical_date: Option<DateTime<Utc>>,
    /// When it may start.
    pub run_after: DateTime<Utc>,
    /// A note on it.
    pub note: Option<String>,
    /// The task instance that triggers it; the new run inherits the name of its run's user.
    pub by: Uuid,
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TriggerOutcome {
    /// It exists now.
    Created,
    /// A run of this name or logical date was there before.
    Exists,
}

/// Triggers the run.
///
/// # Errors
/// 404 without the Dag, 400 when the Dag has import errors or does not allow such runs, 501 else: not supported yet.
pub async fn trigger(db: &Db, request: &TriggerRun) -> Result<TriggerOutcome, ExecutionError> {
    transact!(db, "trigger", |tx| {
        check_dag(tx, &request.dag_id).await?;
        let sql = tx
            .sql("SELECT 1 AS one FROM dag_run WHERE dag_id = ? AND run_id = ?")
            .bind(&request.dag_id)
            .bind(&request.run_id);
        if tx.one(sql).await?.is_some() {
            return Ok(TriggerOutcome::Exists);
        }
        let message = "triggering runs from tasks is not supported yet";
        Err(Refusal::new(501, "not_implemented", message).into())
    })
}

/// Whether tasks may trigger runs of the Dag.
async fn check_dag(tx: &Tx, dag_id: &DagId) -> Result<(), ExecutionError> {
    let sql = tx
        .sql("SELECT is_stale, has_import_errors, allowed_run_types FROM dag WHERE dag_id = ?")
        .bind(dag_id);
    let row = tx.one(sql).await?;
    let row = match row {
        Some(row) if !row.bool("is_stale")? => row,
        _ => return Err(Refusal::not_found(format!("Dag with dag_id: '{dag_id}' not found")).into()),
    };
    if row.bool("has_import_errors")? {
        let message = format!("Dag with dag_id '{dag_id}' has import errors and cannot be triggered");
        return Err(Refusal::new(400, "import_errors", message).into());
    }
    if let Json::Array(allowed) = row.json("allowed_run_types")?
        && !allowed.iter().any(|one| one == RunType::OperatorTriggered.as_str())
    {
        let message = format!("Dag with dag_id '{dag_id}' does not allow operator-triggered runs");
        return Err(Refusal::new(400, "denied_run_type", message).into());
    }
    Ok(())
}

/// Clears a run, so that all its tasks run again.
///
/// # Errors
/// 501: not supported yet.
pub async fn clear(_: &Db, dag_id: &DagId, run_id: &RunId) -> Result<(), ExecutionError> {
    let message =
        format!("Dag run '{run_id}' of Dag '{dag_id}' exists, and resetting runs is not supported yet");
    Err(Refusal::new(501, "not_implemented", message).into())
}
