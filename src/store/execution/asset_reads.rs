//! `/assets/…` and `/asset-events/…`: reads.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use serde_json::Value as Json;

use super::error::{ExecutionError, Refusal};
use super::state_store::AssetRef;
use crate::store::db::{Conn, Db};
use crate::store::error::StoreError;
use crate::store::row::Row;

/// An asset (`AssetResponse`).
#[derive(Clone, Debug, PartialEq)]
pub struct AssetFacts {
    /// Its name.
    pub name: String,
    /// Its URI.
    pub uri: String,
    /// Its group.
    pub group: String,
    /// Its data.
    pub extra: Json,
}

fn read_asset(row: &Row) -> Result<AssetFacts, StoreError> {
    Ok(AssetFacts {
        name: row.text("name")?,
        uri: row.text("uri")?,
        group: row.text("asset_group")?,
        extra: row.json("asset_extra")?,
    })
}

/// The active asset of a name or URI, if there is one.
///
/// # Errors
/// As any statement.
pub async fn find(db: &Db, asset: &AssetRef) -> Result<Option<AssetFacts>, ExecutionError> {
    let (column, value) = match asset {
        AssetRef::Name(name) => ("name", name),
        AssetRef::Uri(uri) => ("uri", uri),
    };
    let sql = db
        .sql(&format!(
            "SELECT a.name, a.uri, a.\"group\" AS asset_group, a.extra AS asset_extra FROM asset a \
             JOIN asset_active aa ON aa.name = a.name AND aa.uri = a.uri WHERE a.{column} = ?"
        ))
        .bind(value);
    Ok(db.one(sql).await?.as_ref().map(read_asset).transpose()?)
}

/// The assets that an alias stands for.
///
/// # Errors
/// As any statement.
pub async fn of_alias(db: &Db, alias: &str) -> Result<Vec<AssetFacts>, ExecutionError> {
    let sql = db
        .sql(
            "SELECT a.name, a.uri, a.\"group\" AS asset_group, a.extra AS asset_extra FROM asset_alias al \
             JOIN asset_alias_asset aa ON aa.alias_id = al.id JOIN asset a ON a.id = aa.asset_id \
             WHERE al.name = ? ORDER BY a.id",
        )
        .bind(alias);
    Ok(db.all(sql).await?.iter().map(read_asset).collect::<Result<_, _>>()?)
}

/// What events are looked for by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventsOf {
    /// An asset's name and URI; active or not.
    Asset {
        /// The name.
        name: String,
        /// The URI.
        uri: String,
    },
    /// An active asset.
    Active(AssetRef),
    /// An alias that they came through.
    Alias(String),
}

/// In which order events come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The oldest first.
    Ascending,
    /// The newest first.
    Descending,
}

/// Which events are meant.
#[derive(Clone, Debug)]
pub struct EventFilter {
    /// Of what.
    pub of: EventsOf,
    /// Not before.
    pub after: Option<DateTime<Utc>>,
    /// Not after.
    pub before: Option<DateTime<Utc>>,
    /// At most so many.
    pub limit: Option<i64>,
    /// In which order.
    pub order: Order,
}

/// An asset event (`AssetEventResponse`).
#[derive(Clone, Debug, PartialEq)]
pub struct EventFacts {
    /// `asset_event.id`.
    pub id: i64,
    /// When it happened.
    pub timestamp: DateTime<Utc>,
    /// Its data.
    pub extra: Json,
    /// The asset.
    pub asset: AssetFacts,
    /// The runs that it has brought about.
    pub created_dagruns: Vec<CreatedRun>,
    /// The task that it came from.
    pub source_task_id: Option<String>,
    /// Its Dag.
    pub source_dag_id: Option<String>,
    /// Its run.
    pub source_run_id: Option<String>,
    /// Its copy.
    pub source_map_index: Option<i64>,
    /// Its partition.
    pub partition_key: Option<String>,
}

/// A run that an event has brought about (`DagRunAssetReference`).
#[derive(Clone, Debug, PartialEq)]
pub struct CreatedRun {
    /// The run.
    pub run_id: String,
    /// The Dag.
    pub dag_id: String,
    /// Its logical date.
    pub logical_date: Option<DateTime<Utc>>,
    /// When it started.
    pub start_date: Option<DateTime<Utc>>,
    /// When it ended.
    pub end_date: Option<DateTime<Utc>>,
    /// Its state.
    pub state: String,
    /// Where its data interval starts.
    pub data_interval_start: Option<DateTime<Utc>>,
    /// Where its data interval ends.
    pub data_interval_end: Option<DateTime<Utc>>,
    /// Its partition.
    pub partition_key: Option<String>,
}

/// The events that match.
///
/// # Errors
/// 400 without a name or URI; as any statement.
pub async fn events(db: &Db, filter: &EventFilter) -> Result<Vec<EventFacts>, ExecutionError> {
    let alias = match &filter.of {
        EventsOf::Alias(_) => {
            "JOIN asset_alias_asset_event ae ON ae.event_id = e.id JOIN asset_alias al ON al.id = ae.alias_id "
        }
        _ => "",
    };
    let sql = db.sql(&format!(
        "SELECT e.id, e.timestamp, e.extra, e.source_task_id, e.source_dag_id, e.source_run_id, e.source_map_index, \
         e.partition_key, a.name, a.uri, a.\"group\" AS asset_group, a.extra AS asset_extra \
         FROM asset_event e JOIN asset a ON a.id = e.asset_id {alias}WHERE "
    ));
    const ACTIVE: &str =
        " AND EXISTS (SELECT 1 FROM asset_active aa WHERE aa.name = a.name AND aa.uri = a.uri)";
    let mut sql = match &filter.of {
        EventsOf::Asset { name, uri } => sql.push("a.name = ? AND a.uri = ?").bind(name).bind(uri),
        EventsOf::Active(AssetRef::Name(name)) => sql.push("a.name = ?").bind(name).push(ACTIVE),
        EventsOf::Active(AssetRef::Uri(uri)) => sql.push("a.uri = ?").bind(uri).push(ACTIVE),
        EventsOf::Alias(name) => sql.push("al.name = ?").bind(name),
    };
    if let Some(after) = filter.after {
        sql = sql.push(" AND e.timestamp >= ?").bind(after);
    }
    if let Some(before) = filter.before {
        sql = sql.push(" AND e.timestamp <= ?").bind(before);
    }
    sql = sql.push(match filter.order {
        Order::Ascending => " ORDER BY e.timestamp, e.id",
        Order::Descending => " ORDER BY e.timestamp DESC, e.id DESC",
    });
    if let Some(limit) = filter.limit.filter(|limit| *limit > 0) {
        sql = sql.push(" LIMIT ?").bind(limit);
    }
    let rows = db.all(sql).await?;
    let ids = rows.iter().map(|row| row.int("id")).collect::<Result<Vec<_>, _>>()?;
    let mut runs = created_runs(db, &ids).await?;
    Ok(rows.iter().map(|row| read_event(row, &mut runs)).collect::<Result<_, _>>()?)
}

fn read_event(row: &Row, runs: &mut HashMap<i64, Vec<CreatedRun>>) -> Result<EventFacts, StoreError> {
    let id = row.int("id")?;
    Ok(EventFacts {
        id,
        timestamp: row.time("timestamp")?,
        extra: row.json("extra")?,
        asset: read_asset(row)?,
        created_dagruns: runs.remove(&id).unwrap_or_default(),
        source_task_id: row.text_opt("source_task_id")?,
        source_dag_id: row.text_opt("source_dag_id")?,
        source_run_id: row.text_opt("source_run_id")?,
        source_map_index: row.int_opt("source_map_index")?,
        partition_key: row.text_opt("partition_key")?,
    })
}

async fn created_runs(db: &Db, events: &[i64]) -> Result<HashMap<i64, Vec<CreatedRun>>, StoreError> {
    let mut runs: HashMap<i64, Vec<CreatedRun>> = HashMap::new();
    for chunk in events.chunks(10_000) {
        let sql = db
            .sql(
                "SELECT de.event_id, dr.run_id, dr.dag_id, dr.logical_date, dr.start_date, dr.end_date, dr.state, \
                 dr.data_interval_start, dr.data_interval_end, dr.partition_key FROM dagrun_asset_event de \
                 JOIN dag_run dr ON dr.id = de.dag_run_id WHERE de.event_id IN (?) ORDER BY dr.id",
            )
            .bind_list(chunk.iter().copied());
        for row in db.all(sql).await? {
            runs.entry(row.int("event_id")?).or_default().push(CreatedRun {
                run_id: row.text("run_id")?,
                dag_id: row.text("dag_id")?,
                logical_date: row.time_opt("logical_date")?,
                start_date: row.time_opt("start_date")?,
                end_date: row.time_opt("end_date")?,
                state: row.text("state")?,
                data_interval_start: row.time_opt("data_interval_start")?,
                data_interval_end: row.time_opt("data_interval_end")?,
                partition_key: row.text_opt("partition_key")?,
            });
        }
    }
    Ok(runs)
}

/// The refusal of a request that names neither.
pub fn neither_name_nor_uri() -> Refusal {
    Refusal::new(400, "Missing parameter", "name and uri cannot both be None")
}
