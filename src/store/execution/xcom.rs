//! `/xcoms/{dag_id}/{run_id}/{task_id}/{key}`: values that tasks hand to each other
//! (`airflow/api_fastapi/execution_api/routes/xcoms.py`, `airflow/models/xcom.py`).

use chrono::{DateTime, Utc};
use serde_json::Value as Json;
use slipstream_core::ids::{DagId, MapIndex, RunId, TaskId};

use super::error::{ExecutionError, Refusal};
use super::{Options, transact};
use crate::store::db::{Conn, Db, Tx};
use crate::store::error::StoreError;
use crate::store::sql::{Param, Sql};

/// Where a value is: the task that pushed it and the value's key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct XComKey {
    /// The Dag.
    pub dag_id: DagId,
    /// The run.
    pub run_id: RunId,
    /// The task.
    pub task_id: TaskId,
    /// The key; `return_value` for what the task returned.
    pub key: String,
}

/// Which runs a value is looked for in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runs {
    /// The named one.
    This,
    /// It and all before it; the latest value wins.
    UpToThis,
}

/// Whether a value is the Dag's result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// An ordinary value.
    Value,
    /// The result of the whole Dag.
    DagResult,
}

/// A value to be pushed.
#[derive(Clone, Debug)]
pub struct NewXCom {
    /// The value, as the SDK encoded it.
    pub value: Json,
    /// The copy that pushes it.
    pub map_index: MapIndex,
    /// What it is.
    pub role: Role,
    /// How many copies of a later task it expands to, if one maps over it.
    pub mapped_length: Option<i64>,
}

/// Pushes a value; one under the same key is replaced.
///
/// # Errors
/// 400 for an empty key and for a value that is too long to map over, 404 without the run; as any statement.
pub async fn set(db: &Db, at: &XComKey, new: &NewXCom, options: &Options) -> Result<(), ExecutionError> {
    if at.key.is_empty() {
        return Err(Refusal::new(400, "invalid_key", "XCom key must be a non-empty string.").into());
    }
    if new.mapped_length.is_some_and(|length| length > options.max_map_length) {
        let message = "pushed value is too large to map as a downstream's dependency";
        return Err(Refusal::new(400, "unmappable_return_value_length", message).into());
    }
    transact!(db, "xcom", |tx| {
        if let Some(length) = new.mapped_length {
            write_length(tx, at, new.map_index, length).await?;
        }
        let sql = tx
            .sql("SELECT id FROM dag_run WHERE dag_id = ? AND run_id = ?")
            .bind(&at.dag_id)
            .bind(&at.run_id);
        let Some(run) = tx.one(sql).await? else {
            let message = format!("DAG run not found on DAG '{}' with ID '{}'", at.dag_id, at.run_id);
            return Err(Refusal { status: 404, detail: Json::from(message) }.into());
        };
        delete_in(tx, at, new.map_index).await?;
        Ok(insert(tx, run.int("id")?, at, new.map_index, new.role, &new.value, Utc::now()).await?)
    })
}

/// Writes a value that is not there yet; `run` is `dag_run.id`.
pub(in crate::store) async fn insert(
    tx: &Tx,
    run: i64,
    at: &XComKey,
    map_index: MapIndex,
    role: Role,
    value: &Json,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let sql = tx
        .sql(
            "INSERT INTO xcom (dag_run_id, task_id, map_index, key, dag_result, dag_id, run_id, value, timestamp) \
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(run)
        .bind(&at.task_id)
        .bind(map_index)
        .bind(&at.key)
        .bind(role == Role::DagResult)
        .bind(&at.dag_id)
        .bind(&at.run_id)
        .bind(value)
        .bind(now);
    tx.exec(sql).await?;
    Ok(())
}

/// Writes how many copies the value expands to (`task_map`).
async fn write_length(tx: &Tx, at: &XComKey, map_index: MapIndex, length: i64) -> Result<(), StoreError> {
    let sql = tx
        .sql(
            "INSERT INTO task_map (dag_id, task_id, run_id, map_index, length, keys) VALUES (?, ?, ?, ?, ?, ?) \
             ON CONFLICT (dag_id, task_id, run_id, map_index) DO UPDATE SET length = excluded.length, keys = excluded.keys",
        )
        .bind(&at.dag_id)
        .bind(&at.task_id)
        .bind(&at.run_id)
        .bind(map_index)
        .bind(length)
        .bind(Param::Json(Some(Json::Null)));
    tx.exec(sql).await?;
    Ok(())
}

/// Deletes a value; it is no error if there is none.
///
/// # Errors
/// As any statement.
pub async fn delete(db: &Db, at: &XComKey, map_index: MapIndex) -> Result<(), ExecutionError> {
    transact!(db, "xcom", |tx| Ok(delete_in(tx, at, map_index).await?))
}

async fn delete_in(tx: &Tx, at: &XComKey, map_index: MapIndex) -> Result<(), StoreError> {
    let sql = tx
        .sql("DELETE FROM xcom WHERE key = ? AND run_id = ? AND task_id = ? AND dag_id = ? AND map_index = ?")
        .bind(&at.key)
        .bind(&at.run_id)
        .bind(&at.task_id)
        .bind(&at.dag_id)
        .bind(map_index);
    tx.exec(sql).await?;
    Ok(())
}

/// `XComModel.get_many`: selects values by key and task, with the run in `dr`.
fn many(conn: &impl Conn, columns: &str, at: &XComKey, runs: Runs) -> Sql {
    let sql = conn
        .sql(&format!(
            "SELECT {columns} FROM xcom x JOIN dag_run dr ON x.dag_run_id = dr.id \
             WHERE x.key = ? AND x.task_id = ? AND x.dag_id = ?"
        ))
        .bind(&at.key)
        .bind(&at.task_id)
        .bind(&at.dag_id);
    match runs {
        Runs::This => sql.push(" AND x.run_id = ?").bind(&at.run_id),
        Runs::UpToThis => sql
            .push(
                " AND COALESCE(dr.logical_date, dr.run_after) <= (SELECT COALESCE(r.logical_date, r.run_after) \
                 FROM dag_run r WHERE r.run_id = ? AND r.dag_id = x.dag_id)",
            )
            .bind(&at.run_id),
    }
}

/// The value of one copy, or nothing. A value that is JSON `null` is `Some(Null)`.
///
/// # Errors
/// As any statement.
pub async fn get(
    db: &Db,
    at: &XComKey,
    map_index: MapIndex,
    runs: Runs,
) -> Result<Option<Json>, ExecutionError> {
    let latest = db.dialect().pick("dr.logical_date DESC NULLS FIRST", "dr.logical_date DESC");
    let sql = many(db, "x.value", at, runs)
        .push(" AND x.map_index = ?")
        .bind(map_index)
        .push(&format!(" ORDER BY {latest}, x.timestamp DESC LIMIT 1"));
    Ok(db.one(sql).await?.map(|row| row.json("value")).transpose()?)
}

/// How many copies of the task have pushed a value under the key.
///
/// # Errors
/// As any statement.
pub async fn count(db: &Db, at: &XComKey) -> Result<i64, ExecutionError> {
    let sql = many(db, "COUNT(*) AS n", at, Runs::This);
    Ok(db.one(sql).await?.map_or(Ok(0), |row| row.int("n"))?)
}

/// The value at a position among those of all copies, ordered by copy; a negative one counts from the end.
///
/// # Errors
/// 404 when there is none; as any statement.
pub async fn item(db: &Db, at: &XComKey, offset: i64) -> Result<Json, ExecutionError> {
    let (order, skip) = if offset >= 0 { ("ASC", offset) } else { ("DESC", -1 - offset) };
    let sql = many(db, "x.value", at, Runs::This)
        .push(&format!(" ORDER BY x.map_index {order} LIMIT 1 OFFSET ?"))
        .bind(skip);
    match db.one(sql).await? {
        Some(row) => Ok(row.json("value")?),
        None => Err(Refusal::not_found(format!(
            "XCom with key='{}' offset={offset} not found for task '{}' in DAG run '{}' of '{}'",
            at.key, at.task_id, at.run_id, at.dag_id
        ))
        .into()),
    }
}

/// A Python slice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Slice {
    /// Where it starts.
    pub start: Option<i64>,
    /// Before what it stops.
    pub stop: Option<i64>,
    /// In which steps.
    pub step: Option<i64>,
}

/// The values of all copies, ordered by copy, cut by a slice.
///
/// # Errors
/// As any statement.
pub async fn slice(db: &Db, at: &XComKey, slice: Slice, runs: Runs) -> Result<Vec<Json>, ExecutionError> {
    let sql = many(db, "x.value", at, runs).push(" ORDER BY x.map_index ASC");
    let values =
        db.all(sql).await?.iter().map(|row| row.json("value")).collect::<Result<Vec<_>, StoreError>>()?;
    Ok(slice.of(values))
}

impl Slice {
    /// Python's `values[start:stop:step]`; a step of 0 counts as 1, as in the API.
    fn of(self, values: Vec<Json>) -> Vec<Json> {
        let length = i64::try_from(values.len()).unwrap_or(i64::MAX);
        let step = self.step.filter(|step| *step != 0).unwrap_or(1);
        let (low, high) = if step > 0 { (0, length) } else { (-1, length - 1) };
        let clamp = |bound: i64| if bound < 0 { (bound + length).max(low) } else { bound.min(high) };
        let start = self.start.map_or(if step > 0 { low } else { high }, clamp);
        let stop = self.stop.map_or(if step > 0 { high } else { low }, clamp);
        let mut values: Vec<Option<Json>> = values.into_iter().map(Some).collect();
        let mut cut = Vec::new();
        let mut at = start;
        while (step > 0 && at < stop) || (step < 0 && at > stop) {
            let value = usize::try_from(at).ok().and_then(|at| values.get_mut(at)).and_then(Option::take);
            cut.extend(value);
            at = at.saturating_add(step);
        }
        cut
    }
}
