//! One change of one asset: the event, its aliases, and the Dags that wait for it.

use chrono::Utc;
use serde_json::Value as Json;
use slipstream_core::ids::{DagId, MapIndex};

use super::profile::AssetKey;
use super::{LockedTi, Options, Partition, partition, team_filter};
use crate::store::db::{Conn, Tx};
use crate::store::error::StoreError;
use crate::store::execution::{MultiTeam, teams};
use crate::store::row::Row;
use crate::store::sql::Param;
use crate::telemetry::metrics::{self, Held, team_tag};

/// A row of `asset`.
#[derive(Clone, Debug)]
pub(super) struct Asset {
    pub(super) id: i64,
    pub(super) key: AssetKey,
}

impl Asset {
    pub(super) fn read(row: &Row) -> Result<Self, StoreError> {
        Ok(Self { id: row.int("id")?, key: AssetKey { name: row.text("name")?, uri: row.text("uri")? } })
    }
}

/// A change.
#[derive(Clone, Debug)]
pub(super) struct Change<'a> {
    pub(super) asset: &'a Asset,
    pub(super) extra: &'a Json,
    /// Names of the aliases that it came through.
    pub(super) aliases: &'a [String],
    pub(super) partition: Partition,
}

/// A Dag that waits for the asset.
#[derive(Clone, Debug)]
pub(super) struct Consumer {
    pub(super) dag_id: DagId,
    pub(super) timetable: Timetable,
}

/// How a consumer's runs are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Timetable {
    /// From queued assets.
    Plain,
    /// One run for each partition.
    Partitioned,
}

/// Writes the event and queues the consumers. Without a task instance the change was reported from outside, as through
/// the REST API.
pub(super) async fn register(
    tx: &Tx,
    ti: Option<&LockedTi>,
    change: &Change<'_>,
    options: &Options,
) -> Result<(), StoreError> {
    associate_aliases(tx, change).await?;
    let event_id = insert_event(tx, ti, change).await?;
    link_aliases(tx, change, event_id).await?;
    measure_update(tx, ti, options.multi_team).await?;
    let mut consumers = consumers(tx, change).await?;
    if options.multi_team == MultiTeam::On {
        consumers = team_filter::filter(tx, ti, change.asset.id, consumers).await?;
    }
    let (partitioned, plain): (Vec<_>, Vec<_>) =
        consumers.into_iter().partition(|consumer| consumer.timetable == Timetable::Partitioned);
    partition::queue(tx, ti, change, event_id, &partitioned, options).await?;
    if change.partition.key.is_none() {
        queue(tx, change.asset.id, &plain).await?;
    }
    Ok(())
}

/// Counts the update, as one of the team whose task made it.
async fn measure_update(tx: &Tx, ti: Option<&LockedTi>, multi_team: MultiTeam) -> Result<(), StoreError> {
    if !metrics::is_on() {
        return Ok(());
    }
    let team = match ti {
        Some(ti) => teams::of_dag(tx, multi_team, &ti.dag_id).await?,
        None => None,
    };
    tx.measure(|| Held::count("asset.updates", 1, &team_tag(team.as_deref())));
    Ok(())
}

async fn insert_event(tx: &Tx, ti: Option<&LockedTi>, change: &Change<'_>) -> Result<i64, StoreError> {
    let empty = Json::Object(serde_json::Map::new());
    let extra = if change.extra.is_null() { &empty } else { change.extra };
    let sql = tx
        .sql(
            "INSERT INTO asset_event (asset_id, extra, source_task_id, source_dag_id, source_run_id, source_map_index, \
             timestamp, partition_key) VALUES (?, ?, ?, ?, ?, ?, ?, ?) RETURNING id",
        )
        .bind(change.asset.id)
        .bind(extra)
        .bind(ti.map(|ti| &ti.task_id))
        .bind(ti.map(|ti| &ti.dag_id))
        .bind(ti.map(|ti| &ti.run_id))
        .bind(ti.map_or(MapIndex::UNMAPPED, |ti| ti.map_index))
        .bind(Utc::now())
        .bind(change.partition.key.as_deref());
    let row = tx.one(sql).await?;
    row.ok_or_else(|| StoreError::NotFound("the new asset event".to_owned()))?.int("id")
}

/// Says that the asset is one of those that the aliases stand for; makes aliases that do not exist.
async fn associate_aliases(tx: &Tx, change: &Change<'_>) -> Result<(), StoreError> {
    if change.aliases.is_empty() {
        return Ok(());
    }
    let rows = change.aliases.iter().map(|name| vec![Param::from(name), Param::from("")]);
    let sql =
        tx.sql("INSERT INTO asset_alias (name, \"group\") VALUES ? ON CONFLICT DO NOTHING").bind_rows(rows);
    tx.exec(sql).await?;
    let sql = tx
        .sql(
            "INSERT INTO asset_alias_asset (alias_id, asset_id) SELECT al.id, a.id FROM asset_alias al JOIN asset a \
             ON a.id = ? WHERE al.name IN (?) ON CONFLICT DO NOTHING",
        )
        .bind(change.asset.id)
        .bind_list(change.aliases);
    tx.exec(sql).await?;
    Ok(())
}

async fn link_aliases(tx: &Tx, change: &Change<'_>, event_id: i64) -> Result<(), StoreError> {
    if change.aliases.is_empty() {
        return Ok(());
    }
    let sql = tx
        .sql(
            "INSERT INTO asset_alias_asset_event (alias_id, event_id) SELECT al.id, e.id FROM asset_alias al \
             JOIN asset_event e ON e.id = ? WHERE al.name IN (?)",
        )
        .bind(event_id)
        .bind_list(change.aliases);
    tx.exec(sql).await?;
    Ok(())
}

/// The Dags that wait for the asset, by itself, by an alias, by its name or by its URI, and are not paused. A stale Dag
/// counts, as in Airflow.
async fn consumers(tx: &Tx, change: &Change<'_>) -> Result<Vec<Consumer>, StoreError> {
    let sql = tx
        .sql(&format!(
            "SELECT d.dag_id, d.timetable_partitioned FROM dag d WHERE d.is_paused = {} AND ( \
             d.dag_id IN (SELECT dag_id FROM dag_schedule_asset_reference WHERE asset_id = ?) \
             OR d.dag_id IN (SELECT dag_id FROM dag_schedule_asset_name_reference WHERE name = ?) \
             OR d.dag_id IN (SELECT dag_id FROM dag_schedule_asset_uri_reference WHERE uri = ?) \
             OR d.dag_id IN (SELECT r.dag_id FROM dag_schedule_asset_alias_reference r \
             JOIN asset_alias al ON al.id = r.alias_id WHERE al.name IN (?))) ORDER BY d.dag_id",
            tx.dialect().pick("false", "0")
        ))
        .bind(change.asset.id)
        .bind(change.asset.key.name.as_str())
        .bind(change.asset.key.uri.as_str())
        .bind_list(change.aliases);
    let rows = tx.all(sql).await?;
    rows.iter()
        .map(|row| {
            let timetable =
                if row.bool("timetable_partitioned")? { Timetable::Partitioned } else { Timetable::Plain };
            Ok(Consumer { dag_id: row.id("dag_id")?, timetable })
        })
        .collect()
}

/// Queues the asset for its plain consumers. One that is queued already is queued as of now: the run that it will make
/// consumes events up to then. Airflow leaves it as it is, so that this event would wait for the next one.
async fn queue(tx: &Tx, asset_id: i64, consumers: &[Consumer]) -> Result<(), StoreError> {
    if consumers.is_empty() {
        return Ok(());
    }
    let now = Utc::now();
    let rows = consumers.iter().map(|consumer| vec![asset_id.into(), (&consumer.dag_id).into(), now.into()]);
    let sql = tx
        .sql(
            "INSERT INTO asset_dag_run_queue (asset_id, target_dag_id, created_at) VALUES ? \
             ON CONFLICT (asset_id, target_dag_id) DO UPDATE SET created_at = excluded.created_at",
        )
        .bind_rows(rows);
    tx.exec(sql).await?;
    Ok(())
}
