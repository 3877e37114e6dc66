//! `/task-instances/count`, `/states`, `/previous`, `/breadcrumbs` and `/validate-inlets-and-outlets`: reads.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde_json::Value as Json;
use slipstream_core::ids::{DagId, MapIndex, RunId, TaskId};
use slipstream_core::state::TaskState;
use uuid::Uuid;

use super::assets::AssetProfile;
use super::error::{ExecutionError, Refusal};
use super::serialized;
use crate::store::db::{Conn, Db};
use crate::store::error::StoreError;
use crate::store::sql::{Param, Sql};

/// Which task instances are meant; an empty list does not restrict.
#[derive(Clone, Debug)]
pub struct TiFilter {
    /// The Dag.
    pub dag_id: DagId,
    /// One copy.
    pub map_index: Option<MapIndex>,
    /// Tasks.
    pub task_ids: Vec<String>,
    /// The tasks of a group.
    pub task_group_id: Option<String>,
    /// Runs with one of these logical dates.
    pub logical_dates: Vec<DateTime<Utc>>,
    /// Runs with one of these ids.
    pub run_ids: Vec<String>,
}

impl TiFilter {
    /// Selects `columns` of `task_instance ti` with all conditions but the tasks.
    fn select(&self, db: &Db, columns: &str) -> Sql {
        let mut sql = db
            .sql(&format!(
                "SELECT {columns} FROM task_instance ti JOIN dag_run dr ON dr.dag_id = ti.dag_id \
                 AND dr.run_id = ti.run_id WHERE ti.dag_id = ?"
            ))
            .bind(&self.dag_id);
        if let Some(index) = self.map_index {
            sql = sql.push(" AND ti.map_index = ?").bind(index);
        }
        if !self.logical_dates.is_empty() {
            sql = sql.push(" AND dr.logical_date IN (?)").bind_list(self.logical_dates.iter().copied());
        }
        if !self.run_ids.is_empty() {
            sql = sql.push(" AND ti.run_id IN (?)").bind_list(&self.run_ids);
        }
        sql
    }

    fn with_task_ids(&self, sql: Sql) -> Sql {
        if self.task_ids.is_empty() {
            sql
        } else {
            sql.push(" AND ti.task_id IN (?)").bind_list(&self.task_ids)
        }
    }
}

/// The tasks of a group of the Dag's latest version.
async fn tasks_of_group(db: &Db, dag_id: &DagId, group: &str) -> Result<Vec<String>, ExecutionError> {
    let Some(dag) = serialized::latest(db, dag_id).await? else {
        return Err(Refusal::not_found(format!("The Dag with ID: `{dag_id}` was not found")).into());
    };
    dag.tasks_of_group(group)
        .ok_or_else(|| Refusal::not_found(format!("Task group {group} not found in DAG {dag_id}")).into())
}

/// How many task instances match; with states, only those in one of them (`null` is Airflow's "none").
///
/// # Errors
/// 404 for a group that does not exist; as any statement.
pub async fn count(db: &Db, filter: &TiFilter, states: &[String]) -> Result<i64, ExecutionError> {
    let mut sql = filter.with_task_ids(filter.select(db, "COUNT(*) AS n"));
    if let Some(group) = &filter.task_group_id {
        let tasks = tasks_of_group(db, &filter.dag_id, group).await?;
        let members = filter
            .select(db, "DISTINCT ti.task_id, ti.map_index")
            .push(" AND ti.task_id IN (?)")
            .bind_list(&tasks);
        let mut pairs = Vec::new();
        for row in db.all(members).await? {
            pairs.push(vec![Param::from(row.text("task_id")?), Param::from(row.int("map_index")?)]);
        }
        if pairs.is_empty() {
            // A group without task instances may be a task of that name.
            pairs.push(vec![Param::from(group), Param::from(-1)]);
        }
        let values = db.dialect().pick("", "VALUES ");
        sql = sql.push(&format!(" AND (ti.task_id, ti.map_index) IN ({values}?)")).bind_rows(pairs);
    }
    if !states.is_empty() {
        let named = states.iter().filter(|state| *state != "null");
        sql = sql.push(" AND (ti.state IN (?)").bind_list(named);
        sql = sql.push_if(states.iter().any(|state| state == "null"), " OR ti.state IS NULL").push(")");
    }
    Ok(db.one(sql).await?.map_or(Ok(0), |row| row.int("n"))?)
}

/// States by run and task; a copy of a mapped task is named `task_index`.
pub type States = BTreeMap<RunId, Vec<(String, Option<TaskState>)>>;

/// The states of the task instances that match.
///
/// # Errors
/// As [`count`].
pub async fn states(db: &Db, filter: &TiFilter) -> Result<States, ExecutionError> {
    const COLUMNS: &str = "ti.run_id, ti.task_id, ti.map_index, ti.state";
    let mut rows = Vec::new();
    if filter.task_group_id.is_none() || !filter.task_ids.is_empty() {
        rows = db.all(filter.with_task_ids(filter.select(db, COLUMNS))).await?;
    }
    if let Some(group) = &filter.task_group_id {
        let tasks = tasks_of_group(db, &filter.dag_id, group).await?;
        let sql = filter.select(db, COLUMNS).push(" AND ti.task_id IN (?)").bind_list(&tasks);
        rows.extend(db.all(sql).await?);
    }
    let mut states = States::new();
    for row in rows {
        let (task_id, index) = (row.text("task_id")?, row.int("map_index")?);
        let name = if index < 0 { task_id } else { format!("{task_id}_{index}") };
        states.entry(row.id("run_id")?).or_default().push((name, row.state_opt("state")?));
    }
    Ok(states)
}

/// A task instance of an earlier run (`PreviousTIResponse`).
#[derive(Clone, Debug, PartialEq)]
pub struct PreviousTi {
    /// The Dag.
    pub dag_id: DagId,
    /// The run.
    pub run_id: RunId,
    /// The task.
    pub task_id: TaskId,
    /// The run's logical date.
    pub logical_date: Option<DateTime<Utc>>,
    /// When it started.
    pub start_date: Option<DateTime<Utc>>,
    /// When it ended.
    pub end_date: Option<DateTime<Utc>>,
    /// Its state.
    pub state: Option<TaskState>,
    /// Which try.
    pub try_number: i32,
    /// Which copy.
    pub map_index: MapIndex,
    /// How long it took, in seconds.
    pub duration: Option<f64>,
}

/// Which earlier task instance is meant.
#[derive(Clone, Debug)]
pub struct PreviousOf {
    /// The Dag.
    pub dag_id: DagId,
    /// The task.
    pub task_id: TaskId,
    /// Before this logical date.
    pub logical_date: Option<DateTime<Utc>>,
    /// Which copy.
    pub map_index: MapIndex,
    /// In this state.
    pub state: Option<String>,
}

/// The task instance of the latest run that matches.
///
/// # Errors
/// As any statement.
pub async fn previous(db: &Db, of: &PreviousOf) -> Result<Option<PreviousTi>, ExecutionError> {
    let mut sql = db
        .sql(
            "SELECT ti.dag_id, ti.run_id, ti.task_id, ti.start_date, ti.end_date, ti.state, ti.try_number, ti.map_index, \
             ti.duration, dr.logical_date FROM task_instance ti JOIN dag_run dr ON dr.dag_id = ti.dag_id \
             AND dr.run_id = ti.run_id WHERE ti.dag_id = ? AND ti.task_id = ? AND ti.map_index = ?",
        )
        .bind(&of.dag_id)
        .bind(&of.task_id)
        .bind(of.map_index);
    if let Some(date) = of.logical_date {
        sql = sql.push(" AND dr.logical_date < ?").bind(date);
    }
    if let Some(state) = &of.state {
        sql = sql.push(" AND ti.state = ?").bind(state);
    }
    let Some(row) = db.one(sql.push(" ORDER BY dr.logical_date DESC LIMIT 1")).await? else {
        return Ok(None);
    };
    Ok(Some(PreviousTi {
        dag_id: row.id("dag_id")?,
        run_id: row.id("run_id")?,
        task_id: row.id("task_id")?,
        logical_date: row.time_opt("logical_date")?,
        start_date: row.time_opt("start_date")?,
        end_date: row.time_opt("end_date")?,
        state: row.state_opt("state")?,
        try_number: row.int32("try_number")?,
        map_index: MapIndex(row.int32("map_index")?),
        duration: row.float_opt("duration")?,
    }))
}

/// A finished task instance of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Breadcrumb {
    /// The task.
    pub task_id: String,
    /// Which copy.
    pub map_index: i64,
    /// Its state.
    pub state: String,
    /// Its operator.
    pub operator: Option<String>,
    /// How long it took, in seconds.
    pub duration: Option<f64>,
}

/// The finished task instances of a run.
///
/// # Errors
/// As any statement.
pub async fn breadcrumbs(db: &Db, dag_id: &DagId, run_id: &RunId) -> Result<Vec<Breadcrumb>, ExecutionError> {
    let sql = db
        .sql(
            "SELECT task_id, map_index, state, operator, duration FROM task_instance WHERE dag_id = ? AND run_id = ? \
             AND state IN ('success', 'failed', 'skipped', 'upstream_failed', 'removed') ORDER BY task_id, map_index",
        )
        .bind(dag_id)
        .bind(run_id);
    let rows = db.all(sql).await?;
    let read = |row: &crate::store::row::Row| -> Result<Breadcrumb, StoreError> {
        Ok(Breadcrumb {
            task_id: row.text("task_id")?,
            map_index: row.int("map_index")?,
            state: row.text("state")?,
            operator: row.text_opt("operator")?,
            duration: row.float_opt("duration")?,
        })
    };
    Ok(rows.iter().map(read).collect::<Result<_, _>>()?)
}

/// The assets among a task's inlets and outlets that are not active, as (name, URI).
///
/// # Errors
/// 404 without the task instance; as any statement.
pub async fn inactive_assets(db: &Db, ti_id: Uuid) -> Result<Vec<(String, String)>, ExecutionError> {
    let sql = db.sql("SELECT dag_id, run_id, task_id FROM task_instance WHERE id = ?").bind(ti_id);
    let Some(row) = db.one(sql).await? else { return Err(Refusal::no_task_instance().into()) };
    let Some(dag) = serialized::of_run(db, &row.id("dag_id")?, &row.id("run_id")?).await? else {
        return Ok(Vec::new());
    };
    let mut assets: BTreeSet<(String, String)> = BTreeSet::new();
    if let Some(task) = dag.task(&row.text("task_id")?) {
        assets.extend(["inlets", "outlets"].iter().flat_map(|side| plain_assets(task, side)));
    }
    if assets.is_empty() {
        return Ok(Vec::new());
    }
    let pairs = assets.iter().map(|(name, uri)| vec![Param::from(name), Param::from(uri)]);
    let values = db.dialect().pick("", "VALUES ");
    let sql = db
        .sql(&format!("SELECT name, uri FROM asset_active WHERE (name, uri) IN ({values}?)"))
        .bind_rows(pairs);
    for row in db.all(sql).await? {
        assets.remove(&(row.text("name")?, row.text("uri")?));
    }
    Ok(assets.into_iter().collect())
}

/// The assets, without references and aliases, on one side of a serialised task.
fn plain_assets(task: &Json, side: &str) -> Vec<(String, String)> {
    let partial = task.get("partial_kwargs").and_then(|kwargs| kwargs.get(side));
    let items = task.get(side).or(partial).and_then(Json::as_array);
    items
        .into_iter()
        .flatten()
        .filter(|item| item.get("__type").and_then(Json::as_str) == Some("asset"))
        .filter_map(|item| {
            let asset = item.get("__var").unwrap_or(item);
            let profile =
                AssetProfile::read("Asset", asset.get("name")?.as_str(), asset.get("uri")?.as_str());
            match profile {
                Some(AssetProfile::Asset(key)) => Some((key.name, key.uri)),
                _ => None,
            }
        })
        .collect()
}
