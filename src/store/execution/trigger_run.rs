//! `POST /dag-runs/{dag_id}/{run_id}`: a task triggers a run (`airflow/api/common/trigger_dag.py`).

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde_json::Value as Json;
use slipstream_core::dag::Dag;
use slipstream_core::ids::{DagId, RunId};
use slipstream_core::schedule::TimetableError;
use slipstream_core::state::{RunState, RunType};
use uuid::Uuid;

use super::error::{ExecutionError, Refusal, transact};
use crate::store::create_run::{self, Creation, NewRun, RunOptions, RunRefused, RunRequest, TriggeredBy};
use crate::store::dag_bag::DagBag;
use crate::store::db::{Conn, Db, Tx};
use crate::store::error::StoreError;
use crate::store::row::Row;
use crate::store::runs::run_id::isoformat;

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
    /// The data interval, where only users' Python can infer it ([`TriggerOutcome::NeedsInterval`]).
    pub data_interval: Option<(DateTime<Utc>, DateTime<Utc>)>,
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
    /// Nothing yet: the Dag's timetable is one of a plugin, which has to infer the data interval first.
    NeedsInterval,
}

/// Triggers the run.
///
/// # Errors
/// 404 without the Dag, 400 when the Dag has import errors, does not allow such runs, or the run breaks a rule; as any
/// statement.
pub async fn trigger(
    db: &Db,
    request: &TriggerRun,
    options: &RunOptions,
    dags: &DagBag,
) -> Result<TriggerOutcome, ExecutionError> {
    transact!(db, "trigger", |tx| {
        check_dag(tx, &request.dag_id).await?;
        let user = inherited_user(tx, request.by).await?;
        let found = dags.latest(tx, &BTreeSet::from([request.dag_id.clone()])).await?;
        let Some(dag) = found.into_values().next() else {
            return Err(Refusal::not_found(format!("Dag with dag_id: '{}' not found", request.dag_id)).into());
        };
        let data_interval = match request.logical_date {
            Some(date) => {
                check_start_date(&dag.dag, date)?;
                let inferred = dag.timetable.infer_manual_data_interval(request.run_after);
                match (inferred, request.data_interval) {
                    (Ok(interval), _) => Some((interval.start, interval.end)),
                    (Err(TimetableError::Custom { .. }), Some(interval)) => Some(interval),
                    (Err(TimetableError::Custom { .. }), None) => return Ok(TriggerOutcome::NeedsInterval),
                    (Err(error), _) => return Err(Refusal::new(400, "value_error", error.to_string()).into()),
                }
            }
            None => None,
        };
        let run = NewRun {
            dag_id: request.dag_id.clone(),
            run_id: request.run_id.clone(),
            run_type: RunType::OperatorTriggered,
            triggered_by: TriggeredBy::Operator,
            triggering_user_name: user,
            logical_date: request.logical_date,
            data_interval,
            run_after: request.run_after,
            state: RunState::Queued,
            conf: request.conf.clone(),
            creating_job_id: None,
            backfill_id: None,
            partition_key: None,
            partition_date: None,
        };
        // Looked for before anything about the run is checked.
        if run_exists(tx, request).await? {
            return Ok(TriggerOutcome::Exists);
        }
        let now = Utc::now();
        let created = create_run::create(tx, vec![RunRequest { run, dag }], options, now).await?;
        match created.into_iter().next() {
            Some(Creation::Created(run)) => {
                write_note(tx, run.id, request.note.as_deref(), now).await?;
                Ok(TriggerOutcome::Created)
            }
            Some(Creation::Exists) | None => Ok(TriggerOutcome::Exists),
            Some(Creation::Refused(why)) => Err(refused(&why).into()),
        }
    })
}

async fn run_exists(tx: &Tx, request: &TriggerRun) -> Result<bool, StoreError> {
    let sql = tx
        .sql("SELECT 1 AS one FROM dag_run WHERE dag_id = ? AND run_id = ?")
        .bind(&request.dag_id)
        .bind(&request.run_id);
    Ok(tx.one(sql).await?.is_some())
}

/// A logical date must not be before the start date of the Dag's default arguments.
fn check_start_date(dag: &Dag, logical_date: DateTime<Utc>) -> Result<(), Refusal> {
    match dag.default_start_date {
        Some(start) if logical_date < start => Err(Refusal::new(
            400,
            "value_error",
            format!(
                "Logical date [{}] should be >= start_date [{}] from Dag's default_args",
                isoformat(logical_date),
                isoformat(start)
            ),
        )),
        _ => Ok(()),
    }
}

fn refused(why: &RunRefused) -> Refusal {
    let reason = match why {
        RunRefused::NotPartitioned(_) => "not_partitioned",
        RunRefused::PartitionKey(_) => "invalid_partition_key",
        RunRefused::RunId(_)
        | RunRefused::DataInterval
        | RunRefused::Params(_)
        | RunRefused::WeightRule(_) => "value_error",
    };
    Refusal::new(400, reason, why.to_string())
}

/// Whether the Dag is there, parsed without errors; the row says which types of runs it allows.
pub(super) async fn check_parsed(tx: &Tx, dag_id: &DagId) -> Result<Row, ExecutionError> {
    let sql = tx
        .sql("SELECT is_stale, has_import_errors, allowed_run_types FROM dag WHERE dag_id = ?")
        .bind(dag_id);
    let row = match tx.one(sql).await? {
        Some(row) if !row.bool("is_stale")? => row,
        _ => return Err(Refusal::not_found(format!("Dag with dag_id: '{dag_id}' not found")).into()),
    };
    if row.bool("has_import_errors")? {
        let message = format!("Dag with dag_id '{dag_id}' has import errors and cannot be triggered");
        return Err(Refusal::new(400, "import_errors", message).into());
    }
    Ok(row)
}

/// Whether tasks may trigger runs of the Dag.
async fn check_dag(tx: &Tx, dag_id: &DagId) -> Result<(), ExecutionError> {
    let row = check_parsed(tx, dag_id).await?;
    if let Json::Array(allowed) = row.json("allowed_run_types")?
        && !allowed.iter().any(|one| one == RunType::OperatorTriggered.as_str())
    {
        let message = format!("Dag with dag_id '{dag_id}' does not allow operator-triggered runs");
        return Err(Refusal::new(400, "denied_run_type", message).into());
    }
    Ok(())
}

async fn inherited_user(tx: &Tx, ti_id: Uuid) -> Result<Option<String>, StoreError> {
    let sql = tx
        .sql(
            "SELECT dr.triggering_user_name FROM task_instance ti JOIN dag_run dr ON dr.dag_id = ti.dag_id \
             AND dr.run_id = ti.run_id WHERE ti.id = ?",
        )
        .bind(ti_id);
    tx.one(sql).await?.map_or(Ok(None), |row| row.text_opt("triggering_user_name"))
}

async fn write_note(tx: &Tx, run: i64, note: Option<&str>, now: DateTime<Utc>) -> Result<(), StoreError> {
    let Some(note) = note.filter(|note| !note.is_empty()) else { return Ok(()) };
    let sql = tx
        .sql("INSERT INTO dag_run_note (dag_run_id, content, created_at, updated_at) VALUES (?, ?, ?, ?)")
        .bind(run)
        .bind(note)
        .bind(now)
        .bind(now);
    tx.exec(sql).await?;
    Ok(())
}
