//! A dag run as tasks see it (`DagRun` in `airflow/api_fastapi/execution_api/datamodels/taskinstance.py`).

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use serde_json::Value as Json;
use slipstream_core::ids::{DagId, RunId};
use slipstream_core::state::{RunState, RunType};

use crate::store::db::Conn;
use crate::store::error::StoreError;
use crate::store::row::Row;

/// A dag run.
#[derive(Clone, Debug, PartialEq)]
pub struct DagRunFacts {
    /// `dag_run.id`.
    pub id: i64,
    /// The Dag.
    pub dag_id: DagId,
    /// The run.
    pub run_id: RunId,
    /// Its logical date.
    pub logical_date: Option<DateTime<Utc>>,
    /// Where its data interval starts.
    pub data_interval_start: Option<DateTime<Utc>>,
    /// Where its data interval ends.
    pub data_interval_end: Option<DateTime<Utc>>,
    /// When it may start.
    pub run_after: DateTime<Utc>,
    /// When it started.
    pub start_date: Option<DateTime<Utc>>,
    /// When it ended.
    pub end_date: Option<DateTime<Utc>>,
    /// How often it was cleared.
    pub clear_number: i64,
    /// What made it.
    pub run_type: RunType,
    /// Its state.
    pub state: RunState,
    /// Its configuration.
    pub conf: Json,
    /// Who triggered it.
    pub triggering_user_name: Option<String>,
    /// The asset events that it consumes; only filled for a task that starts.
    pub consumed_asset_events: Vec<ConsumedEvent>,
    /// Its partition.
    pub partition_key: Option<String>,
    /// Its partition's date.
    pub partition_date: Option<DateTime<Utc>>,
    /// The Dag's team; only filled for a task that starts.
    pub team_name: Option<String>,
}

/// An asset event that a run consumes.
#[derive(Clone, Debug, PartialEq)]
pub struct ConsumedEvent {
    /// `asset_event.id`.
    pub id: i64,
    /// The asset's name.
    pub asset_name: String,
    /// The asset's URI.
    pub asset_uri: String,
    /// The asset's own data.
    pub asset_extra: Json,
    /// The event's data.
    pub extra: Json,
    /// The task that it came from.
    pub source_task_id: Option<String>,
    /// Its Dag.
    pub source_dag_id: Option<String>,
    /// Its run.
    pub source_run_id: Option<String>,
    /// Its copy.
    pub source_map_index: Option<i64>,
    /// The aliases through which it was emitted.
    pub source_aliases: Vec<String>,
    /// When it happened.
    pub timestamp: DateTime<Utc>,
    /// Its partition.
    pub partition_key: Option<String>,
}

/// The columns of [`read`].
pub(super) const COLUMNS: &str = "id, dag_id, run_id, logical_date, data_interval_start, data_interval_end, run_after, \
     start_date, end_date, clear_number, run_type, state, conf, triggering_user_name, partition_key, partition_date";

/// Reads a row of [`COLUMNS`].
pub(super) fn read(row: &Row) -> Result<DagRunFacts, StoreError> {
    Ok(DagRunFacts {
        id: row.int("id")?,
        dag_id: row.id("dag_id")?,
        run_id: row.id("run_id")?,
        logical_date: row.time_opt("logical_date")?,
        data_interval_start: row.time_opt("data_interval_start")?,
        data_interval_end: row.time_opt("data_interval_end")?,
        run_after: row.time("run_after")?,
        start_date: row.time_opt("start_date")?,
        end_date: row.time_opt("end_date")?,
        clear_number: row.int("clear_number")?,
        run_type: row.state("run_type")?,
        state: row.state("state")?,
        conf: row.json("conf")?,
        triggering_user_name: row.text_opt("triggering_user_name")?,
        consumed_asset_events: Vec::new(),
        partition_key: row.text_opt("partition_key")?,
        partition_date: row.time_opt("partition_date")?,
        team_name: None,
    })
}

/// One run, without its asset events.
pub(super) async fn find(
    conn: &impl Conn,
    dag_id: &DagId,
    run_id: &RunId,
) -> Result<Option<DagRunFacts>, StoreError> {
    let sql = conn
        .sql(&format!("SELECT {COLUMNS} FROM dag_run WHERE dag_id = ? AND run_id = ?"))
        .bind(dag_id)
        .bind(run_id);
    conn.one(sql).await?.as_ref().map(read).transpose()
}

/// One run with the asset events that it consumes.
pub(super) async fn with_consumed_events(
    conn: &impl Conn,
    dag_id: &DagId,
    run_id: &RunId,
) -> Result<Option<DagRunFacts>, StoreError> {
    let Some(mut run) = find(conn, dag_id, run_id).await? else { return Ok(None) };
    run.consumed_asset_events = consumed_events(conn, run.id).await?;
    Ok(Some(run))
}

async fn consumed_events(conn: &impl Conn, dag_run_id: i64) -> Result<Vec<ConsumedEvent>, StoreError> {
    let sql = conn
        .sql(
            "SELECT e.id, a.name, a.uri, a.extra AS asset_extra, e.extra, e.source_task_id, e.source_dag_id, \
             e.source_run_id, e.source_map_index, e.timestamp, e.partition_key FROM dagrun_asset_event de \
             JOIN asset_event e ON e.id = de.event_id JOIN asset a ON a.id = e.asset_id \
             WHERE de.dag_run_id = ? ORDER BY e.id",
        )
        .bind(dag_run_id);
    let rows = conn.all(sql).await?;
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let mut aliases = aliases_of_run(conn, dag_run_id).await?;
    rows.iter()
        .map(|row| {
            let id = row.int("id")?;
            Ok(ConsumedEvent {
                id,
                asset_name: row.text("name")?,
                asset_uri: row.text("uri")?,
                asset_extra: row.json("asset_extra")?,
                extra: row.json("extra")?,
                source_task_id: row.text_opt("source_task_id")?,
                source_dag_id: row.text_opt("source_dag_id")?,
                source_run_id: row.text_opt("source_run_id")?,
                source_map_index: row.int_opt("source_map_index")?,
                source_aliases: aliases.remove(&id).unwrap_or_default(),
                timestamp: row.time("timestamp")?,
                partition_key: row.text_opt("partition_key")?,
            })
        })
        .collect()
}

async fn aliases_of_run(conn: &impl Conn, dag_run_id: i64) -> Result<HashMap<i64, Vec<String>>, StoreError> {
    let sql = conn
        .sql(
            "SELECT ae.event_id, al.name FROM dagrun_asset_event de \
             JOIN asset_alias_asset_event ae ON ae.event_id = de.event_id JOIN asset_alias al ON al.id = ae.alias_id \
             WHERE de.dag_run_id = ? ORDER BY al.id",
        )
        .bind(dag_run_id);
    let mut aliases: HashMap<i64, Vec<String>> = HashMap::new();
    for row in conn.all(sql).await? {
        aliases.entry(row.int("event_id")?).or_default().push(row.text("name")?);
    }
    Ok(aliases)
}
