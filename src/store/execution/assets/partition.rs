//! Consumers whose runs are partitioned: the event's partition is mapped to theirs (`AssetManager._queue_partitioned_dags`).

use chrono::{DateTime, Utc};
use serde_json::Value as Json;
use slipstream_core::asset::{MapError, Mapper, PartitionedAssets};
use slipstream_core::ids::DagId;

use super::change::{Change, Consumer};
use super::{LockedTi, Options};
use crate::store::audit_log::{self, LogEntry};
use crate::store::db::{Conn, Tx};
use crate::store::error::StoreError;
use crate::store::execution::serialized;

/// Queues the event for partitioned consumers: each of their partitions that it maps to waits for a run, or is found
/// waiting, and keeps a record of the event.
pub(super) async fn queue(
    tx: &Tx,
    ti: Option<&LockedTi>,
    change: &Change<'_>,
    event_id: i64,
    consumers: &[Consumer],
    options: &Options,
) -> Result<(), StoreError> {
    if consumers.is_empty() {
        return Ok(());
    }
    let Some(key) = change.partition.key.as_deref().filter(|key| !key.is_empty()) else {
        return log(tx, ti, "missing partition key", missing_key(ti, change, consumers)).await;
    };
    // The lock keeps two events from making the same partition twice; on SQLite the transaction does.
    let sql = tx
        .sql("SELECT id FROM asset WHERE id = ?")
        .push(tx.dialect().pg(" FOR NO KEY UPDATE"))
        .bind(change.asset.id);
    tx.one(sql).await?;
    for consumer in consumers {
        let event = Event { id: event_id, key, change };
        queue_one(tx, ti, &event, &consumer.dag_id, options).await?;
    }
    Ok(())
}

/// An event with its partition.
struct Event<'a> {
    id: i64,
    key: &'a str,
    change: &'a Change<'a>,
}

async fn queue_one(
    tx: &Tx,
    ti: Option<&LockedTi>,
    event: &Event<'_>,
    dag_id: &DagId,
    options: &Options,
) -> Result<(), StoreError> {
    let assets = partitioned_assets(tx, dag_id).await?;
    let asset = &event.change.asset.key;
    let mapper = assets.mapper(&asset.name, &asset.uri);
    let mapped = mapper.to_downstream(event.key).and_then(|keys| {
        // A mapper or window of a plugin anywhere in the Dag's condition: the others would wait for it for ever.
        let date = mapper.carry_partition_date(event.change.partition.date)?;
        Ok((keys.into_keys(), assets.fingerprint()?, date))
    });
    let (keys, fingerprint, date) = match mapped {
        Ok(mapped) => mapped,
        Err(error) => {
            return log(tx, ti, "failed to map partition_key", unmapped(event, dag_id, &error)).await;
        }
    };
    let (cap, source) = cap(mapper, options);
    if i64::try_from(keys.len()).unwrap_or(i64::MAX) > cap {
        return log(tx, ti, "partition fan-out exceeded", exceeded(event, dag_id, keys.len(), &source)).await;
    }
    for key in keys {
        let waiting = waiting_partition(tx, dag_id, &key, date, &fingerprint).await?;
        record(tx, event, dag_id, &key, waiting).await?;
    }
    Ok(())
}

async fn partitioned_assets(tx: &Tx, dag_id: &DagId) -> Result<PartitionedAssets, StoreError> {
    let Some(dag) = serialized::latest(tx, dag_id).await? else {
        return Err(StoreError::NotFound(format!("the serialised Dag `{dag_id}`")));
    };
    let timetable = dag.get("timetable").and_then(|timetable| timetable.get("__var"));
    let timetable = timetable
        .ok_or_else(|| StoreError::Invalid(format!("the serialised Dag `{dag_id}` has no timetable")))?;
    PartitionedAssets::from_serialized(timetable)
        .map_err(|error| StoreError::Invalid(format!("the timetable of Dag `{dag_id}`: {error}")))
}

/// Most keys that one key may map to, and where that is set.
fn cap(mapper: &Mapper, options: &Options) -> (i64, String) {
    match mapper.max_downstream_keys {
        Some(cap) => (cap, format!("max_downstream_keys={cap}")),
        None => {
            let cap = options.max_downstream_keys;
            (cap, format!("[scheduler] partition_mapper_max_downstream_keys={cap}"))
        }
    }
}

/// The partition of the Dag that still waits for its run, made if there is none. Events that name different dates for it
/// leave it without one.
async fn waiting_partition(
    tx: &Tx,
    dag_id: &DagId,
    key: &str,
    date: Option<DateTime<Utc>>,
    fingerprint: &Json,
) -> Result<i64, StoreError> {
    let sql = tx
        .sql(
            "SELECT id, created_dag_run_id, partition_date FROM asset_partition_dag_run \
             WHERE partition_key = ? AND target_dag_id = ? ORDER BY id DESC LIMIT 1",
        )
        .bind(key)
        .bind(dag_id);
    if let Some(row) = tx.one(sql).await?
        && row.int_opt("created_dag_run_id")?.is_none()
    {
        let id = row.int("id")?;
        let agreed = match (row.time_opt("partition_date")?, date) {
            (None, Some(date)) => Some(Some(date)),
            (Some(before), Some(date)) if before != date => Some(None),
            _ => None,
        };
        if let Some(date) = agreed {
            set_date(tx, id, date).await?;
        }
        return Ok(id);
    }
    let now = Utc::now();
    let sql = tx
        .sql(
            "INSERT INTO asset_partition_dag_run (target_dag_id, partition_key, partition_date, rollup_fingerprint, \
             created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?) RETURNING id",
        )
        .bind(dag_id)
        .bind(key)
        .bind(date)
        .bind(fingerprint)
        .bind(now)
        .bind(now);
    let row = tx.one(sql).await?;
    row.ok_or_else(|| StoreError::NotFound("the new partition".to_owned()))?.int("id")
}

async fn set_date(tx: &Tx, id: i64, date: Option<DateTime<Utc>>) -> Result<(), StoreError> {
    let sql = tx
        .sql("UPDATE asset_partition_dag_run SET partition_date = ?, updated_at = ? WHERE id = ?")
        .bind(date)
        .bind(Utc::now())
        .bind(id);
    tx.exec(sql).await?;
    Ok(())
}

async fn record(
    tx: &Tx,
    event: &Event<'_>,
    dag_id: &DagId,
    key: &str,
    partition: i64,
) -> Result<(), StoreError> {
    let sql = tx
        .sql(
            "INSERT INTO partitioned_asset_key_log (asset_id, asset_event_id, asset_partition_dag_run_id, \
             source_partition_key, target_dag_id, target_partition_key, created_at) VALUES (?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(event.change.asset.id)
        .bind(event.id)
        .bind(partition)
        .bind(event.key)
        .bind(dag_id)
        .bind(key)
        .bind(Utc::now());
    tx.exec(sql).await?;
    Ok(())
}

fn missing_key(ti: Option<&LockedTi>, change: &Change<'_>, consumers: &[Consumer]) -> String {
    let names: Vec<_> = consumers.iter().map(|consumer| format!("'{}'", consumer.dag_id)).collect();
    format!(
        "Listening Dags are partition-aware but the run has no partition key (listening_dags=[{}], asset_id={}, \
         run_id={}, dag_id={}, task_id={})",
        names.join(", "),
        change.asset.id,
        ti.map_or("None", |ti| ti.run_id.as_str()),
        ti.map_or("None", |ti| ti.dag_id.as_str()),
        ti.map_or("None", |ti| ti.task_id.as_str())
    )
}

fn unmapped(event: &Event<'_>, dag_id: &DagId, error: &MapError) -> String {
    let asset = &event.change.asset.key;
    format!(
        "Could not map partition_key '{}' for asset (name='{}', uri='{}') in target Dag '{dag_id}'. This likely \
         indicates that the partition mapper in the target Dag is misconfigured or does not support this partition \
         key.\n{}: {error}",
        event.key,
        asset.name,
        asset.uri,
        error.exception().unwrap_or("NotImplementedError")
    )
}

fn exceeded(event: &Event<'_>, dag_id: &DagId, produced: usize, source: &str) -> String {
    let asset = &event.change.asset.key;
    format!(
        "Partition mapper for asset (name='{}', uri='{}') in target Dag '{dag_id}' produced {produced} downstream keys \
         from partition_key='{}', exceeding {source}. No Dag runs were queued for this event.",
        asset.name, asset.uri, event.key
    )
}

async fn log(tx: &Tx, ti: Option<&LockedTi>, event: &str, extra: String) -> Result<(), StoreError> {
    let Some(ti) = ti else {
        // The audit log is about Dags.
        tracing::warn!(event, "{extra}");
        return Ok(());
    };
    let entry = LogEntry {
        event: event.to_owned(),
        dag_id: ti.dag_id.clone(),
        task_id: Some(ti.task_id.clone()),
        run_id: Some(ti.run_id.clone()),
        map_index: Some(ti.map_index),
        try_number: Some(ti.try_number),
        logical_date: ti.logical_date,
        owner: None,
        owner_display_name: None,
        extra: Some(extra),
    };
    audit_log::write(tx, Utc::now(), &[entry]).await
}
