//! What a callback request says about the dag run and the task instance, in the form of the Execution API's data models
//! (`airflow/api_fastapi/execution_api/datamodels/taskinstance.py`).

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

use slipstream_core::ids::{DagId, RunId};

use super::super::db::Conn;
use super::super::encoding::{plain, pydantic_time};
use super::super::error::StoreError;
use super::super::row::Row;

/// Where the code of a callback is.
#[derive(Clone, Debug)]
pub(super) struct Source {
    pub(super) filepath: String,
    pub(super) bundle_name: String,
    pub(super) bundle_version: Option<String>,
}

/// Everything that the request for a task instance says.
#[derive(Clone, Debug)]
pub(super) struct TiFacts {
    pub(super) source: Source,
    /// Of the task instance's Dag version, whether the run is pinned to one or not.
    pub(super) own_bundle_version: Option<String>,
    pub(super) ti: Value,
    pub(super) dag_run: Value,
    pub(super) max_tries: i64,
}

/// A dag run and where its Dag's code is; `None` if it is gone.
pub(super) async fn run<C: Conn>(
    conn: &C,
    dag_id: &DagId,
    run_id: &RunId,
) -> Result<Option<(Source, Value)>, StoreError> {
    let sql = conn
        .sql(
            "SELECT dr.*, note.content AS note, dag.relative_fileloc, dag.bundle_name FROM dag_run dr \
             JOIN dag ON dag.dag_id = dr.dag_id LEFT JOIN dag_run_note note ON note.dag_run_id = dr.id \
             WHERE dr.dag_id = ? AND dr.run_id = ?",
        )
        .bind(dag_id)
        .bind(run_id);
    let Some(row) = conn.one(sql).await? else { return Ok(None) };
    let source = Source {
        filepath: row.text_opt("relative_fileloc")?.unwrap_or_default(),
        bundle_name: row.text("bundle_name")?,
        bundle_version: row.text_opt("bundle_version")?,
    };
    let events = consumed_events(conn, row.int("id")?).await?;
    Ok(Some((source, run_json(&row, events)?)))
}

/// The data model of a dag run.
fn run_json(row: &Row, events: Vec<Value>) -> Result<Value, StoreError> {
    let time = |column: &str| -> Result<Value, StoreError> {
        Ok(row.time_opt(column)?.map_or(Value::Null, pydantic_time))
    };
    Ok(json!({
        "dag_id": row.text("dag_id")?,
        "run_id": row.text("run_id")?,
        "logical_date": time("logical_date")?,
        "data_interval_start": time("data_interval_start")?,
        "data_interval_end": time("data_interval_end")?,
        "run_after": time("run_after")?,
        "start_date": time("start_date")?,
        "end_date": time("end_date")?,
        "clear_number": row.int("clear_number")?,
        "run_type": row.text("run_type")?,
        "state": row.text("state")?,
        "conf": row.json("conf")?,
        "triggering_user_name": row.text_opt("triggering_user_name")?,
        "consumed_asset_events": events,
        "partition_key": row.text_opt("partition_key")?,
        "partition_date": time("partition_date")?,
        "note": row.text_opt("note")?,
        "team_name": null,
    }))
}

/// The asset events that a run consumed, each with its asset and aliases.
async fn consumed_events<C: Conn>(conn: &C, run: i64) -> Result<Vec<Value>, StoreError> {
    let sql = conn
        .sql(
            "SELECT event.id, event.extra, event.source_task_id, event.source_dag_id, event.source_run_id, \
             event.source_map_index, event.timestamp, event.partition_key, asset.name, asset.uri, \
             asset.extra AS asset_extra FROM dagrun_asset_event link \
             JOIN asset_event event ON event.id = link.event_id JOIN asset ON asset.id = event.asset_id \
             WHERE link.dag_run_id = ? ORDER BY event.timestamp, event.id",
        )
        .bind(run);
    let rows = conn.all(sql).await?;
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let sql = conn
        .sql(
            "SELECT link.event_id, alias.name FROM asset_alias_asset_event link \
             JOIN asset_alias alias ON alias.id = link.alias_id WHERE link.event_id IN \
             (SELECT event_id FROM dagrun_asset_event WHERE dag_run_id = ?) ORDER BY alias.name",
        )
        .bind(run);
    let mut aliases: Vec<(i64, String)> = Vec::new();
    for row in conn.all(sql).await? {
        aliases.push((row.int("event_id")?, row.text("name")?));
    }
    rows.iter()
        .map(|row| {
            let id = row.int("id")?;
            let of_event: Vec<Value> = aliases
                .iter()
                .filter(|(event, _)| *event == id)
                .map(|(_, name)| json!({ "name": name }))
                .collect();
            Ok(json!({
                "asset": {"name": row.text("name")?, "uri": row.text("uri")?, "extra": row.json("asset_extra")?},
                "extra": row.json("extra")?,
                "source_task_id": row.text_opt("source_task_id")?,
                "source_dag_id": row.text_opt("source_dag_id")?,
                "source_run_id": row.text_opt("source_run_id")?,
                "source_map_index": row.int_opt("source_map_index")?,
                "source_aliases": of_event,
                "timestamp": pydantic_time(row.time("timestamp")?),
                "partition_key": row.text_opt("partition_key")?,
            }))
        })
        .collect()
}

/// The data model of a task instance; `None` if it is gone or, from Airflow 2, has no Dag version.
pub(super) async fn ti_json<C: Conn>(conn: &C, id: Uuid) -> Result<Option<Value>, StoreError> {
    let sql = conn
        .sql(
            "SELECT id, task_id, dag_id, run_id, try_number, dag_version_id, map_index, hostname, context_carrier, \
             queue FROM task_instance WHERE id = ? AND dag_version_id IS NOT NULL",
        )
        .bind(id);
    conn.one(sql).await?.as_ref().map(ti_value).transpose()
}

fn ti_value(row: &Row) -> Result<Value, StoreError> {
    Ok(json!({
        "id": row.uuid("id")?.to_string(),
        "task_id": row.text("task_id")?,
        "dag_id": row.text("dag_id")?,
        "run_id": row.text("run_id")?,
        "try_number": row.int("try_number")?,
        "dag_version_id": row.uuid("dag_version_id")?.to_string(),
        "map_index": row.int("map_index")?,
        "hostname": row.text_opt("hostname")?,
        "context_carrier": plain(&row.json("context_carrier")?),
        "queue": row.text_opt("queue")?.unwrap_or_else(|| "default".to_owned()),
    }))
}

/// A task instance, its run and where its code is.
///
/// The callback runs the code of the task instance's Dag version; its bundle version only if the run is pinned to one.
pub(super) async fn ti_and_run<C: Conn>(conn: &C, id: Uuid) -> Result<Option<TiFacts>, StoreError> {
    let sql = conn
        .sql(
            "SELECT ti.dag_id, ti.run_id, ti.max_tries, dv.bundle_name AS dv_bundle, dv.bundle_version AS dv_version, \
             dr.bundle_version AS pinned FROM task_instance ti \
             JOIN dag_run dr ON dr.dag_id = ti.dag_id AND dr.run_id = ti.run_id \
             JOIN dag_version dv ON dv.id = ti.dag_version_id WHERE ti.id = ?",
        )
        .bind(id);
    let Some(row) = conn.one(sql).await? else { return Ok(None) };
    let Some(ti) = ti_json(conn, id).await? else { return Ok(None) };
    let Some((mut source, dag_run)) = run(conn, &row.id("dag_id")?, &row.id("run_id")?).await? else {
        return Ok(None);
    };
    if let Some(bundle) = row.text_opt("dv_bundle")? {
        source.bundle_name = bundle;
    }
    let own_bundle_version = row.text_opt("dv_version")?;
    if row.text_opt("pinned")?.is_some() {
        source.bundle_version.clone_from(&own_bundle_version);
    }
    Ok(Some(TiFacts { source, own_bundle_version, ti, dag_run, max_tries: row.int("max_tries")? }))
}

/// Gives a task instance without a Dag version, as Airflow 2 left them, the newest one of its Dag.
pub(super) async fn give_dag_version<C: Conn>(
    conn: &C,
    id: Uuid,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let sql = conn
        .sql(
            "UPDATE task_instance SET updated_at = ?, dag_version_id = (SELECT dv.id FROM dag_version dv \
             WHERE dv.dag_id = task_instance.dag_id ORDER BY dv.version_number DESC LIMIT 1) \
             WHERE id = ? AND dag_version_id IS NULL",
        )
        .bind(now)
        .bind(id);
    conn.exec(sql).await?;
    Ok(())
}
