//! `asset_partition_dag_run`: runs that wait for the partitions of their assets to be complete.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde_json::Value;

use slipstream_core::ids::DagId;

use super::super::db::Conn;
use super::super::error::StoreError;

/// A run that waits for partitions.
#[derive(Clone, Debug)]
pub struct PendingPartition {
    /// `asset_partition_dag_run.id`.
    pub id: i64,
    /// The Dag that is to run.
    pub dag_id: DagId,
    /// The partition that the run is to stand for.
    pub partition_key: String,
    /// The time of the partition, as the events carried it.
    pub partition_date: Option<DateTime<Utc>>,
    /// What the Dag's mappers and windows looked like when it was queued.
    pub rollup_fingerprint: Value,
    /// What has arrived, per active asset.
    pub received: BTreeMap<i64, Received>,
}

/// The partitions of one asset that have arrived.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Received {
    /// The asset's name.
    pub name: String,
    /// The asset's URI.
    pub uri: String,
    /// The partitions' keys.
    pub keys: BTreeSet<String>,
}

/// Locks runs that wait for partitions, oldest first, and loads what has arrived for them from active assets.
///
/// # Errors
/// As any statement.
pub async fn pending_partitions<C: Conn>(tx: &C, limit: i64) -> Result<Vec<PendingPartition>, StoreError> {
    let sql = tx
        .sql(
            "SELECT apdr.id, apdr.target_dag_id, apdr.partition_key, apdr.partition_date, apdr.rollup_fingerprint \
             FROM asset_partition_dag_run apdr JOIN dag ON dag.dag_id = apdr.target_dag_id \
             WHERE apdr.created_dag_run_id IS NULL AND NOT dag.is_stale ORDER BY apdr.created_at, apdr.id LIMIT ?",
        )
        .push(tx.lock(" FOR UPDATE OF apdr SKIP LOCKED"))
        .bind(limit);
    let mut pending = Vec::new();
    for row in tx.all(sql).await? {
        pending.push(PendingPartition {
            id: row.int("id")?,
            dag_id: row.id("target_dag_id")?,
            partition_key: row.text("partition_key")?,
            partition_date: row.time_opt("partition_date")?,
            rollup_fingerprint: row.json("rollup_fingerprint")?,
            received: BTreeMap::new(),
        });
    }
    if pending.is_empty() {
        return Ok(pending);
    }
    let sql = tx
        .sql(
            "SELECT log.asset_partition_dag_run_id AS apdr, log.asset_id, log.source_partition_key, asset.name, asset.uri \
             FROM partitioned_asset_key_log log JOIN asset ON asset.id = log.asset_id \
             WHERE log.asset_partition_dag_run_id IN (?) AND EXISTS (SELECT 1 FROM asset_active active \
             WHERE active.name = asset.name AND active.uri = asset.uri)",
        )
        .bind_list(pending.iter().map(|partition| partition.id));
    for row in tx.all(sql).await? {
        let apdr = row.int("apdr")?;
        let Some(partition) = pending.iter_mut().find(|partition| partition.id == apdr) else { continue };
        let received = partition.received.entry(row.int("asset_id")?).or_default();
        received.name = row.text("name")?;
        received.uri = row.text("uri")?;
        received.keys.insert(row.text("source_partition_key")?);
    }
    Ok(pending)
}

/// Deletes runs that wait under mappers or windows that the Dag no longer has; new events queue them again.
///
/// # Errors
/// As any statement.
pub async fn delete_stale<C: Conn>(tx: &C, ids: &[i64]) -> Result<(), StoreError> {
    if ids.is_empty() {
        return Ok(());
    }
    let sql = tx
        .sql("DELETE FROM partitioned_asset_key_log WHERE asset_partition_dag_run_id IN (?)")
        .bind_list(ids.iter().copied());
    tx.exec(sql).await?;
    let sql = tx.sql("DELETE FROM asset_partition_dag_run WHERE id IN (?)").bind_list(ids.iter().copied());
    tx.exec(sql).await?;
    Ok(())
}

/// The events that brought a partition its keys.
///
/// # Errors
/// As any statement.
pub async fn partition_events<C: Conn>(tx: &C, id: i64) -> Result<Vec<i64>, StoreError> {
    let sql = tx
        .sql(
            "SELECT DISTINCT event.id FROM partitioned_asset_key_log log JOIN asset_event event \
             ON event.id = log.asset_event_id WHERE log.asset_partition_dag_run_id = ? ORDER BY event.id",
        )
        .bind(id);
    tx.all(sql).await?.iter().map(|row| row.int("id")).collect()
}

/// Records which run a waiting partition became.
///
/// # Errors
/// As any statement.
pub async fn set_created<C: Conn>(tx: &C, id: i64, run: i64, now: DateTime<Utc>) -> Result<(), StoreError> {
    let sql = tx
        .sql("UPDATE asset_partition_dag_run SET created_dag_run_id = ?, updated_at = ? WHERE id = ?")
        .bind(run)
        .bind(now)
        .bind(id);
    tx.exec(sql).await?;
    Ok(())
}
