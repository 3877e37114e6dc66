//! `/store/…`: state that tasks keep between tries and runs, by task instance or by asset
//! (`airflow/state/metastore.py`). Values are JSON as text.

use chrono::{DateTime, Utc};
use serde_json::Value as Json;
use slipstream_core::ids::{DagId, MapIndex, RunId, TaskId};
use uuid::Uuid;

use super::error::{ExecutionError, Refusal};
use super::{python_json, transact};
use crate::store::db::{Conn, Db};
use crate::store::error::StoreError;

/// Whose state it is: a task instance without its try.
#[derive(Clone, Debug)]
struct Scope {
    dag_id: DagId,
    run_id: RunId,
    task_id: TaskId,
    map_index: MapIndex,
}

async fn scope(conn: &impl Conn, ti_id: Uuid) -> Result<Scope, ExecutionError> {
    let sql =
        conn.sql("SELECT dag_id, run_id, task_id, map_index FROM task_instance WHERE id = ?").bind(ti_id);
    let Some(row) = conn.one(sql).await? else {
        return Err(Refusal::not_found(format!("Task instance {ti_id} not found")).into());
    };
    Ok(Scope {
        dag_id: row.id("dag_id")?,
        run_id: row.id("run_id")?,
        task_id: row.id("task_id")?,
        map_index: MapIndex(row.int32("map_index")?),
    })
}

const OF_TASK: &str = "dag_id = ? AND run_id = ? AND task_id = ? AND map_index = ?";

fn parse(text: &str) -> Result<Json, StoreError> {
    serde_json::from_str(text)
        .map_err(|error| StoreError::Invalid(format!("a stored state is not JSON: {error}")))
}

/// The task's state under a key, or nothing.
///
/// # Errors
/// 404 without the task instance; as any statement.
pub async fn get_of_task(db: &Db, ti_id: Uuid, key: &str) -> Result<Option<Json>, ExecutionError> {
    let scope = scope(db, ti_id).await?;
    let sql = db
        .sql(&format!("SELECT value FROM task_state_store WHERE {OF_TASK} AND key = ?"))
        .bind(&scope.dag_id)
        .bind(&scope.run_id)
        .bind(&scope.task_id)
        .bind(scope.map_index)
        .bind(key);
    let Some(row) = db.one(sql).await? else { return Ok(None) };
    Ok(Some(parse(&row.text("value")?)?))
}

/// Sets the task's state under a key.
///
/// # Errors
/// As [`get_of_task`].
pub async fn set_of_task(
    db: &Db,
    ti_id: Uuid,
    key: &str,
    value: &Json,
    expires_at: Option<DateTime<Utc>>,
) -> Result<(), ExecutionError> {
    transact!(db, "task state", |tx| {
        let scope = scope(tx, ti_id).await?;
        let sql = tx
            .sql("SELECT id FROM dag_run WHERE dag_id = ? AND run_id = ?")
            .bind(&scope.dag_id)
            .bind(&scope.run_id);
        let Some(run) = tx.one(sql).await? else {
            let missing = format!("No DagRun found for dag_id='{}' run_id='{}'", scope.dag_id, scope.run_id);
            return Err(StoreError::Invalid(missing).into());
        };
        let sql = tx
            .sql(
                "INSERT INTO task_state_store (dag_run_id, dag_id, run_id, task_id, map_index, key, value, updated_at, \
                 expires_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (dag_run_id, task_id, map_index, key) \
                 DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at, expires_at = excluded.expires_at",
            )
            .bind(run.int("id")?)
            .bind(&scope.dag_id)
            .bind(&scope.run_id)
            .bind(&scope.task_id)
            .bind(scope.map_index)
            .bind(key)
            .bind(python_json::dumps(value))
            .bind(Utc::now())
            .bind(expires_at);
        tx.exec(sql).await?;
        Ok(())
    })
}

/// Deletes the task's state under a key.
///
/// # Errors
/// As [`get_of_task`].
pub async fn delete_of_task(db: &Db, ti_id: Uuid, key: &str) -> Result<(), ExecutionError> {
    transact!(db, "task state", |tx| {
        let scope = scope(tx, ti_id).await?;
        let sql = tx
            .sql(&format!("DELETE FROM task_state_store WHERE {OF_TASK} AND key = ?"))
            .bind(&scope.dag_id)
            .bind(&scope.run_id)
            .bind(&scope.task_id)
            .bind(scope.map_index)
            .bind(key);
        tx.exec(sql).await?;
        Ok(())
    })
}

/// Deletes all of the task's state.
///
/// # Errors
/// As [`get_of_task`].
pub async fn clear_of_task(db: &Db, ti_id: Uuid) -> Result<(), ExecutionError> {
    transact!(db, "task state", |tx| {
        let scope = scope(tx, ti_id).await?;
        clear_scope(tx, &scope.dag_id, &scope.run_id, &scope.task_id, scope.map_index).await?;
        Ok(())
    })
}

pub(super) async fn clear_scope(
    conn: &impl Conn,
    dag_id: &DagId,
    run_id: &RunId,
    task_id: &TaskId,
    map_index: MapIndex,
) -> Result<(), StoreError> {
    let sql = conn
        .sql(&format!("DELETE FROM task_state_store WHERE {OF_TASK}"))
        .bind(dag_id)
        .bind(run_id)
        .bind(task_id)
        .bind(map_index);
    conn.exec(sql).await?;
    Ok(())
}

/// What an asset is found by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AssetRef {
    /// Its name.
    Name(String),
    /// Its URI.
    Uri(String),
}

async fn asset_id(conn: &impl Conn, asset: &AssetRef) -> Result<i64, ExecutionError> {
    let (column, value) = match asset {
        AssetRef::Name(name) => ("name", name),
        AssetRef::Uri(uri) => ("uri", uri),
    };
    let sql = conn
        .sql(&format!(
            "SELECT a.id FROM asset a JOIN asset_active aa ON aa.name = a.name AND aa.uri = a.uri WHERE a.{column} = ?"
        ))
        .bind(value);
    match conn.one(sql).await? {
        Some(row) => Ok(row.int("id")?),
        None => Err(Refusal::not_found(format!("Asset with {column}='{value}' not found")).into()),
    }
}

/// The asset's state under a key, or nothing.
///
/// # Errors
/// 404 without an active asset; as any statement.
pub async fn get_of_asset(db: &Db, asset: &AssetRef, key: &str) -> Result<Option<Json>, ExecutionError> {
    let asset_id = asset_id(db, asset).await?;
    let sql =
        db.sql("SELECT value FROM asset_state_store WHERE asset_id = ? AND key = ?").bind(asset_id).bind(key);
    let Some(row) = db.one(sql).await? else { return Ok(None) };
    Ok(Some(parse(&row.text("value")?)?))
}

/// Sets the asset's state under a key, in the name of the task instance `writer`.
///
/// # Errors
/// 404 without an active asset or without the writer; as any statement.
pub async fn set_of_asset(
    db: &Db,
    asset: &AssetRef,
    key: &str,
    value: &Json,
    writer: Uuid,
) -> Result<(), ExecutionError> {
    transact!(db, "asset state", |tx| {
        let asset_id = asset_id(tx, asset).await?;
        let writer = scope(tx, writer).await?;
        let sql = tx
            .sql(
                "INSERT INTO asset_state_store (asset_id, key, value, updated_at, last_updated_by_kind, \
                 last_updated_by_dag_id, last_updated_by_run_id, last_updated_by_task_id, last_updated_by_map_index) \
                 VALUES (?, ?, ?, ?, 'task', ?, ?, ?, ?) ON CONFLICT (asset_id, key) DO UPDATE SET \
                 value = excluded.value, updated_at = excluded.updated_at, \
                 last_updated_by_kind = excluded.last_updated_by_kind, \
                 last_updated_by_dag_id = excluded.last_updated_by_dag_id, \
                 last_updated_by_run_id = excluded.last_updated_by_run_id, \
                 last_updated_by_task_id = excluded.last_updated_by_task_id, \
                 last_updated_by_map_index = excluded.last_updated_by_map_index",
            )
            .bind(asset_id)
            .bind(key)
            .bind(python_json::dumps(value))
            .bind(Utc::now())
            .bind(&writer.dag_id)
            .bind(&writer.run_id)
            .bind(&writer.task_id)
            .bind(writer.map_index);
        tx.exec(sql).await?;
        Ok(())
    })
}

/// Deletes the asset's state under a key.
///
/// # Errors
/// 404 without an active asset; as any statement.
pub async fn delete_of_asset(db: &Db, asset: &AssetRef, key: &str) -> Result<(), ExecutionError> {
    transact!(db, "asset state", |tx| {
        let asset_id = asset_id(tx, asset).await?;
        let sql =
            tx.sql("DELETE FROM asset_state_store WHERE asset_id = ? AND key = ?").bind(asset_id).bind(key);
        tx.exec(sql).await?;
        Ok(())
    })
}

/// Deletes all of the asset's state.
///
/// # Errors
/// 404 without an active asset; as any statement.
pub async fn clear_of_asset(db: &Db, asset: &AssetRef) -> Result<(), ExecutionError> {
    transact!(db, "asset state", |tx| {
        let asset_id = asset_id(tx, asset).await?;
        tx.exec(tx.sql("DELETE FROM asset_state_store WHERE asset_id = ?").bind(asset_id)).await?;
        Ok(())
    })
}
