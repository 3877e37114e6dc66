//! `INSERT` of dag runs, many at once, with the columns that Airflow writes.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use serde_json::Value;
use uuid::Uuid;

use slipstream_core::ids::{DagId, RunId};
use slipstream_core::state::{RunState, RunType};

use super::super::db::Conn;
use super::super::error::StoreError;
use super::super::sql::Param;
use super::rows_per_statement;

/// What caused a run (`DagRunTriggeredByType`); the database holds the enum's name, not its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TriggeredBy {
    /// `airflow dags trigger`.
    Cli,
    /// A `TriggerDagRunOperator`.
    Operator,
    /// The REST API.
    RestApi,
    /// The Dag's timetable.
    Timetable,
    /// Asset events.
    Asset,
    /// A backfill.
    Backfill,
}

impl TriggeredBy {
    /// The text that `dag_run.triggered_by` holds.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cli => "CLI",
            Self::Operator => "OPERATOR",
            Self::RestApi => "REST_API",
            Self::Timetable => "TIMETABLE",
            Self::Asset => "ASSET",
            Self::Backfill => "BACKFILL",
        }
    }
}

/// A run that is to be created: the arguments of Airflow's `SerializedDAG.create_dagrun`.
#[derive(Clone, Debug)]
pub struct NewRun {
    /// The Dag.
    pub dag_id: DagId,
    /// Its name, unique in the Dag.
    pub run_id: RunId,
    /// What kind of run it is.
    pub run_type: RunType,
    /// What caused it.
    pub triggered_by: TriggeredBy,
    /// Who asked for it.
    pub triggering_user_name: Option<String>,
    /// The time that it stands for.
    pub logical_date: Option<DateTime<Utc>>,
    /// The time that its data is of; `None` without a logical date.
    pub data_interval: Option<(DateTime<Utc>, DateTime<Utc>)>,
    /// It starts no earlier.
    pub run_after: DateTime<Utc>,
    /// Its first state; queued in all but tests.
    pub state: RunState,
    /// `None` is stored as `{}`, as Airflow does.
    pub conf: Option<Value>,
    /// `job.id` of the scheduler that creates it.
    pub creating_job_id: Option<i64>,
    /// The backfill that it belongs to.
    pub backfill_id: Option<i64>,
    /// The partition that it stands for.
    pub partition_key: Option<String>,
    /// The time of that partition.
    pub partition_date: Option<DateTime<Utc>>,
}

/// A run as the `INSERT` needs it: what was asked for, and what was looked up for it.
#[derive(Clone, Debug)]
pub struct RunRow {
    /// What was asked for.
    pub run: NewRun,
    /// The bundle version that it is pinned to.
    pub bundle_version: Option<String>,
    /// The Dag version that it starts with.
    pub dag_version_id: Uuid,
    /// Its trace.
    pub context_carrier: Value,
}

const COLUMNS: [&str; 23] = [
    "dag_id",
    "run_id",
    "logical_date",
    "queued_at",
    "state",
    "creating_job_id",
    "run_type",
    "triggered_by",
    "triggering_user_name",
    "conf",
    "data_interval_start",
    "data_interval_end",
    "run_after",
    "log_template_id",
    "created_at",
    "updated_at",
    "clear_number",
    "backfill_id",
    "bundle_version",
    "context_carrier",
    "created_dag_version_id",
    "partition_key",
    "partition_date",
];

/// Inserts the runs; returns the database's number of each one that was inserted.
///
/// A run whose name or logical date another transaction has taken meanwhile is left out; the others are not disturbed.
///
/// # Errors
/// As any statement.
pub async fn insert_runs<C: Conn>(
    tx: &C,
    rows: &[RunRow],
    now: DateTime<Utc>,
) -> Result<HashMap<(DagId, RunId), i64>, StoreError> {
    let mut ids = HashMap::with_capacity(rows.len());
    if rows.is_empty() {
        return Ok(ids);
    }
    let template = log_template(tx).await?;
    let text = format!(
        "INSERT INTO dag_run ({}) VALUES ? ON CONFLICT DO NOTHING RETURNING id, dag_id, run_id",
        COLUMNS.join(", ")
    );
    for chunk in rows.chunks(rows_per_statement(COLUMNS.len())) {
        let values = chunk.iter().map(|row| values(row, template, now));
        for row in tx.all(tx.sql(&text).bind_rows(values)).await? {
            ids.insert((row.id("dag_id")?, row.id("run_id")?), row.int("id")?);
        }
    }
    Ok(ids)
}

/// The newest `log_template`; 0 if there is none.
async fn log_template<C: Conn>(tx: &C) -> Result<i64, StoreError> {
    let row = tx.one(tx.sql("SELECT max(id) AS id FROM log_template")).await?;
    Ok(row.map(|row| row.int_opt("id")).transpose()?.flatten().unwrap_or(0))
}

fn values(row: &RunRow, log_template: i64, now: DateTime<Utc>) -> Vec<Param> {
    let run = &row.run;
    let queued_at = (run.state == RunState::Queued).then_some(now);
    vec![
        (&run.dag_id).into(),
        (&run.run_id).into(),
        run.logical_date.into(),
        queued_at.into(),
        run.state.into(),
        run.creating_job_id.into(),
        run.run_type.into(),
        run.triggered_by.as_str().into(),
        run.triggering_user_name.clone().into(),
        run.conf.clone().unwrap_or_else(|| Value::Object(serde_json::Map::new())).into(),
        run.data_interval.map(|interval| interval.0).into(),
        run.data_interval.map(|interval| interval.1).into(),
        run.run_after.into(),
        log_template.into(),
        now.into(),
        now.into(),
        0_i64.into(),
        run.backfill_id.into(),
        row.bundle_version.clone().into(),
        (&row.context_carrier).into(),
        row.dag_version_id.into(),
        run.partition_key.clone().into(),
        run.partition_date.into(),
    ]
}
