//! What `slipstream scheduler --shadow` reads besides what every scheduler reads: what another one has done since the last look.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use slipstream_core::ids::{DagId, RunId};
use slipstream_core::schedule::NextRunFacts;
use slipstream_core::state::{RunState, RunType};

use super::runs::due::next_run;
use super::{Conn, Row, StoreError};

/// A dag run that has not ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActiveRun {
    /// `dag_run.id`.
    pub id: i64,
    /// Its state; `None` for one that is not known.
    pub state: Option<RunState>,
}

/// Every dag run that is queued or running.
///
/// # Errors
/// As any statement.
pub async fn active_runs<C: Conn>(conn: &C) -> Result<Vec<ActiveRun>, StoreError> {
    let sql = conn.sql("SELECT id, state FROM dag_run WHERE state IN ('queued', 'running')");
    let read = |row: &Row| Ok(ActiveRun { id: row.int("id")?, state: row.state("state").ok() });
    conn.all(sql).await?.iter().map(read).collect()
}

/// Whether the scheduler goes on with the runs of a Dag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DagStanding {
    /// It does.
    Live,
    /// The Dag is paused or stale.
    Halted,
}

/// What else is to be known about a run that another scheduler may have ended or started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunStanding {
    /// `dag_run.id`.
    pub id: i64,
    /// When it ended.
    pub ended_at: Option<DateTime<Utc>>,
    /// Its Dag.
    pub dag: DagStanding,
    /// How many runs of its Dag, or of its backfill, are running.
    pub running: i64,
    /// How many may; `None` for any number.
    pub limit: Option<i64>,
    /// When the Dag's row was last written by the dag-processor.
    pub parsed_at: Option<DateTime<Utc>>,
}

/// The standing of these runs.
///
/// # Errors
/// As any statement.
pub async fn standings<C: Conn>(conn: &C, ids: &BTreeSet<i64>) -> Result<Vec<RunStanding>, StoreError> {
    let sql = conn
        .sql(
            "SELECT dr.id, dr.end_date, dag.is_paused, dag.is_stale, dag.last_parsed_time, \
             coalesce(backfill.max_active_runs, dag.max_active_runs) AS most, \
             (SELECT count(*) FROM dag_run other WHERE other.dag_id = dr.dag_id AND other.state = 'running' \
              AND coalesce(other.backfill_id, -1) = coalesce(dr.backfill_id, -1)) AS running \
             FROM dag_run dr JOIN dag ON dag.dag_id = dr.dag_id LEFT JOIN backfill ON backfill.id = dr.backfill_id \
             WHERE dr.id IN (?)",
        )
        .bind_list(ids.iter().copied());
    let read = |row: &Row| {
        let halted = row.bool("is_paused")? || row.bool("is_stale")?;
        Ok(RunStanding {
            id: row.int("id")?,
            ended_at: row.time_opt("end_date")?,
            dag: if halted { DagStanding::Halted } else { DagStanding::Live },
            running: row.int("running")?,
            limit: row.int_opt("most")?.filter(|most| *most != 0),
            parsed_at: row.time_opt("last_parsed_time")?,
        })
    };
    conn.all(sql).await?.iter().map(read).collect()
}

/// A dag run that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MadeRun {
    /// `dag_run.id`.
    pub id: i64,
    /// The Dag.
    pub dag_id: DagId,
    /// The run.
    pub run_id: RunId,
    /// What made it.
    pub run_type: RunType,
    /// `logical_date`.
    pub logical_date: Option<DateTime<Utc>>,
    /// The data interval.
    pub data_interval: Option<(DateTime<Utc>, DateTime<Utc>)>,
    /// `run_after`.
    pub run_after: DateTime<Utc>,
    /// `partition_key`.
    pub partition_key: Option<String>,
    /// When it was queued.
    pub queued_at: Option<DateTime<Utc>>,
}

/// The runs that were made after the one with this number. A run of a type that is not known is left out.
///
/// # Errors
/// As any statement.
pub async fn runs_after<C: Conn>(conn: &C, id: i64) -> Result<Vec<MadeRun>, StoreError> {
    let sql = conn
        .sql(
            "SELECT id, dag_id, run_id, run_type, logical_date, data_interval_start, data_interval_end, run_after, \
             partition_key, queued_at FROM dag_run WHERE id > ? ORDER BY id",
        )
        .bind(id);
    let mut made = Vec::new();
    for row in conn.all(sql).await? {
        let Ok(run_type) = row.state("run_type") else { continue };
        let interval = (row.time_opt("data_interval_start")?, row.time_opt("data_interval_end")?);
        made.push(MadeRun {
            id: row.int("id")?,
            dag_id: row.id("dag_id")?,
            run_id: row.id("run_id")?,
            run_type,
            logical_date: row.time_opt("logical_date")?,
            data_interval: interval.0.zip(interval.1),
            run_after: row.time("run_after")?,
            partition_key: row.text_opt("partition_key")?,
            queued_at: row.time_opt("queued_at")?,
        });
    }
    Ok(made)
}

/// What a person changed by the UI, the REST API or the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Touch {
    /// The Dag; `None` for any.
    pub dag_id: Option<DagId>,
    /// The run; `None` for any of the Dag.
    pub run_id: Option<RunId>,
}

/// The newest number of the audit log; 0 if it is empty.
///
/// # Errors
/// As any statement.
pub async fn newest_log<C: Conn>(conn: &C) -> Result<i64, StoreError> {
    let row = conn.one(conn.sql("SELECT max(id) AS id FROM log")).await?;
    Ok(row.map(|row| row.int_opt("id")).transpose()?.flatten().unwrap_or(0))
}

/// What the audit log says since this number about states that people changed (`action_logging` of Airflow's REST API, and
/// `airflow tasks clear`). Pausing, triggering and reading change no state of a run that is there.
///
/// # Errors
/// As any statement.
pub async fn touches_after<C: Conn>(conn: &C, id: i64) -> Result<Vec<Touch>, StoreError> {
    let sql = conn
        .sql(
            "SELECT dag_id, run_id FROM log WHERE id > ? AND event NOT IN ('patch_dag', 'patch_dags') \
             AND (event LIKE 'patch%' OR event LIKE 'delete%' OR event LIKE 'bulk%' OR event LIKE 'clear%' \
             OR event LIKE 'post_clear%' OR event LIKE 'update_hitl%' OR event LIKE '%backfill%' \
             OR event LIKE 'cli_task_clear%' OR event LIKE 'cli_dag_delete%')",
        )
        .bind(id);
    let read = |row: &Row| {
        Ok(Touch {
            dag_id: row.text_opt("dag_id")?.map(DagId::from),
            run_id: row.text_opt("run_id")?.map(RunId::from),
        })
    };
    conn.all(sql).await?.iter().map(read).collect()
}

/// Whether a Dag can get a run at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Receptive {
    /// It can.
    Yes,
    /// It is paused, stale, at its limit of runs, or does not import.
    No,
}

/// The row of a Dag, as far as its next run goes.
#[derive(Clone, Debug)]
pub struct DagRow {
    /// The Dag.
    pub dag_id: DagId,
    /// What it says about its next run.
    pub next: NextRunFacts,
    /// When the dag-processor last wrote it.
    pub parsed_at: Option<DateTime<Utc>>,
    /// Whether it can get one.
    pub receptive: Receptive,
}

const SELECT_DAGS: &str = "SELECT dag_id, next_dagrun, next_dagrun_data_interval_start, next_dagrun_data_interval_end, \
     next_dagrun_create_after, next_dagrun_partition_key, next_dagrun_partition_date, last_parsed_time, \
     (is_paused OR is_stale OR coalesce(has_import_errors, false) OR exceeds_max_non_backfill) AS closed FROM dag";

/// The Dags whose next run is due by then.
///
/// # Errors
/// As any statement.
pub async fn dags_due<C: Conn>(conn: &C, until: DateTime<Utc>) -> Result<Vec<DagRow>, StoreError> {
    let sql = conn.sql(SELECT_DAGS).push(" WHERE next_dagrun_create_after <= ?").bind(until);
    conn.all(sql).await?.iter().map(read_dag).collect()
}

/// The rows of these Dags.
///
/// # Errors
/// As any statement.
pub async fn dag_rows<C: Conn>(conn: &C, ids: &BTreeSet<DagId>) -> Result<Vec<DagRow>, StoreError> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let sql = conn.sql(SELECT_DAGS).push(" WHERE dag_id IN (?)").bind_list(ids);
    conn.all(sql).await?.iter().map(read_dag).collect()
}

fn read_dag(row: &Row) -> Result<DagRow, StoreError> {
    Ok(DagRow {
        dag_id: row.id("dag_id")?,
        next: next_run(row)?,
        parsed_at: row.time_opt("last_parsed_time")?,
        receptive: if row.bool("closed")? { Receptive::No } else { Receptive::Yes },
    })
}
