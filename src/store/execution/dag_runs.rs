//! `/dag-runs/…`, `/dags/…` and a task instance's previous successful run: reads.

use chrono::{DateTime, Utc};
use slipstream_core::ids::{DagId, RunId};
use slipstream_core::state::RunState;
use uuid::Uuid;

use super::dag_run::{self, DagRunFacts};
use super::error::{ExecutionError, Refusal};
use crate::store::db::{Conn, Db};

/// One run, without the asset events that it consumes.
///
/// # Errors
/// 404 without it; as any statement.
pub async fn get(db: &Db, dag_id: &DagId, run_id: &RunId) -> Result<DagRunFacts, ExecutionError> {
    dag_run::find(db, dag_id, run_id).await?.ok_or_else(|| missing(dag_id, run_id).into())
}

fn missing(dag_id: &DagId, run_id: &RunId) -> Refusal {
    Refusal::not_found(format!("Dag run with dag_id '{dag_id}' and run_id '{run_id}' was not found"))
}

/// The state of a run.
///
/// # Errors
/// 404 without it; as any statement.
pub async fn state(db: &Db, dag_id: &DagId, run_id: &RunId) -> Result<RunState, ExecutionError> {
    let sql = db.sql("SELECT state FROM dag_run WHERE dag_id = ? AND run_id = ?").bind(dag_id).bind(run_id);
    match db.one(sql).await? {
        Some(row) => Ok(row.state("state")?),
        None => Err(missing(dag_id, run_id).into()),
    }
}

/// Which runs are counted; an empty list does not restrict.
#[derive(Clone, Debug)]
pub struct RunFilter {
    /// The Dag.
    pub dag_id: DagId,
    /// Runs with one of these logical dates.
    pub logical_dates: Vec<DateTime<Utc>>,
    /// Runs with one of these ids.
    pub run_ids: Vec<String>,
    /// Runs in one of these states.
    pub states: Vec<String>,
}

/// How many runs match.
///
/// # Errors
/// As any statement.
pub async fn count(db: &Db, filter: &RunFilter) -> Result<i64, ExecutionError> {
    let mut sql = db.sql("SELECT COUNT(*) AS n FROM dag_run WHERE dag_id = ?").bind(&filter.dag_id);
    if !filter.logical_dates.is_empty() {
        sql = sql.push(" AND logical_date IN (?)").bind_list(filter.logical_dates.iter().copied());
    }
    if !filter.run_ids.is_empty() {
        sql = sql.push(" AND run_id IN (?)").bind_list(&filter.run_ids);
    }
    if !filter.states.is_empty() {
        sql = sql.push(" AND state IN (?)").bind_list(&filter.states);
    }
    Ok(db.one(sql).await?.map_or(Ok(0), |row| row.int("n"))?)
}

/// The latest run before a logical date, in a state if one is given.
///
/// # Errors
/// As any statement.
pub async fn previous(
    db: &Db,
    dag_id: &DagId,
    logical_date: DateTime<Utc>,
    state: Option<&str>,
) -> Result<Option<DagRunFacts>, ExecutionError> {
    let sql = db
        .sql(&format!("SELECT {} FROM dag_run WHERE dag_id = ? AND logical_date < ?", dag_run::COLUMNS))
        .bind(dag_id)
        .bind(logical_date);
    let sql = match state {
        Some(state) => sql.push(" AND state = ?").bind(state),
        None => sql,
    };
    let sql = sql.push(" ORDER BY logical_date DESC LIMIT 1");
    Ok(db.one(sql).await?.as_ref().map(dag_run::read).transpose()?)
}

/// The latest successful run before that of a task instance; none for a run without a logical date.
///
/// # Errors
/// As any statement.
pub async fn previous_successful(db: &Db, ti_id: Uuid) -> Result<Option<DagRunFacts>, ExecutionError> {
    let sql = db
        .sql(
            "SELECT dr.dag_id, dr.logical_date FROM task_instance ti \
             JOIN dag_run dr ON dr.dag_id = ti.dag_id AND dr.run_id = ti.run_id WHERE ti.id = ?",
        )
        .bind(ti_id);
    let Some(row) = db.one(sql).await? else { return Ok(None) };
    match row.time_opt("logical_date")? {
        Some(date) => previous(db, &row.id("dag_id")?, date, Some(RunState::Success.as_str())).await,
        None => Ok(None),
    }
}

/// A Dag (`DagResponse`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DagFacts {
    /// Its id.
    pub dag_id: DagId,
    /// Whether it is paused.
    pub paused: Paused,
    /// Its bundle.
    pub bundle_name: Option<String>,
    /// The bundle's version.
    pub bundle_version: Option<String>,
    /// Its file in the bundle.
    pub relative_fileloc: Option<String>,
    /// Its owners.
    pub owners: Option<String>,
    /// Its tags, sorted.
    pub tags: Vec<String>,
    /// The logical date of its next run.
    pub next_dagrun: Option<DateTime<Utc>>,
}

/// Whether a Dag is paused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paused {
    /// It is.
    Yes,
    /// It is not.
    No,
}

/// One Dag.
///
/// # Errors
/// 404 without it; as any statement.
pub async fn dag(db: &Db, dag_id: &DagId) -> Result<DagFacts, ExecutionError> {
    let sql = db
        .sql(
            "SELECT is_paused, bundle_name, bundle_version, relative_fileloc, owners, next_dagrun FROM dag \
             WHERE dag_id = ?",
        )
        .bind(dag_id);
    let Some(row) = db.one(sql).await? else {
        return Err(Refusal::not_found(format!("The Dag with dag_id: `{dag_id}` was not found")).into());
    };
    let sql = db.sql("SELECT name FROM dag_tag WHERE dag_id = ?").bind(dag_id);
    let mut tags = db.all(sql).await?.iter().map(|row| row.text("name")).collect::<Result<Vec<_>, _>>()?;
    tags.sort_unstable();
    Ok(DagFacts {
        dag_id: dag_id.clone(),
        paused: if row.bool("is_paused")? { Paused::Yes } else { Paused::No },
        bundle_name: row.text_opt("bundle_name")?,
        bundle_version: row.text_opt("bundle_version")?,
        relative_fileloc: row.text_opt("relative_fileloc")?,
        owners: row.text_opt("owners")?,
        tags,
        next_dagrun: row.time_opt("next_dagrun")?,
    })
}
