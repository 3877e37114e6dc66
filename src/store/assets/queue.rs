//! `asset_dag_run_queue`: assets that were updated since the last run of a Dag that is scheduled on them.

use std::collections::{BTreeMap, HashSet};

use chrono::{DateTime, Utc};

use slipstream_core::ids::DagId;

use super::super::db::{Access, Conn};
use super::super::error::StoreError;
use super::super::sql::Param;

/// One queued asset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueuedAsset {
    /// `asset.id`.
    pub asset_id: i64,
    /// The asset's name.
    pub name: String,
    /// The asset's URI.
    pub uri: String,
    /// When its first event since then was queued.
    pub created_at: DateTime<Utc>,
}

/// Everything that is queued, per Dag. Rows of Dags that are not scheduled on assets any more are deleted, where that is
/// allowed.
///
/// # Errors
/// As any statement.
pub async fn queued_assets<C: Conn>(tx: &C) -> Result<BTreeMap<DagId, Vec<QueuedAsset>>, StoreError> {
    let sql = tx.sql(
        "SELECT queue.target_dag_id, queue.asset_id, queue.created_at, asset.name, asset.uri, dag.asset_expression \
         FROM asset_dag_run_queue queue JOIN asset ON asset.id = queue.asset_id \
         JOIN dag ON dag.dag_id = queue.target_dag_id",
    );
    let mut queued: BTreeMap<DagId, Vec<QueuedAsset>> = BTreeMap::new();
    let mut stale = HashSet::new();
    for row in tx.all(sql).await? {
        let dag_id: DagId = row.id("target_dag_id")?;
        // SQL NULL and JSON null are the same to Airflow here.
        if row.json("asset_expression")?.is_null() {
            stale.insert(dag_id);
            continue;
        }
        queued.entry(dag_id).or_default().push(QueuedAsset {
            asset_id: row.int("asset_id")?,
            name: row.text("name")?,
            uri: row.text("uri")?,
            created_at: row.time("created_at")?,
        });
    }
    if !stale.is_empty() && tx.access() == Access::Write {
        let sql = tx.sql("DELETE FROM asset_dag_run_queue WHERE target_dag_id IN (?)").bind_list(&stale);
        tx.exec(sql).await?;
    }
    Ok(queued)
}

/// Those of these Dags that have as many active runs as they may have. Runs of backfills count here, as in Airflow.
///
/// # Errors
/// As any statement.
pub async fn at_limit<C: Conn>(tx: &C, dag_ids: &[DagId]) -> Result<HashSet<DagId>, StoreError> {
    if dag_ids.is_empty() {
        return Ok(HashSet::new());
    }
    let sql = tx
        .sql(
            "SELECT dag.dag_id FROM dag JOIN dag_run ON dag_run.dag_id = dag.dag_id \
             WHERE dag_run.state IN ('queued', 'running') AND dag.dag_id IN (?) \
             GROUP BY dag.dag_id HAVING count(*) >= max(dag.max_active_runs)",
        )
        .bind_list(dag_ids);
    tx.all(sql).await?.iter().map(|row| row.id("dag_id")).collect()
}

/// Locks what is queued for a Dag. Nothing, if another scheduler took it.
///
/// # Errors
/// As any statement.
pub async fn lock_queued<C: Conn>(tx: &C, dag_id: &DagId) -> Result<Vec<(i64, DateTime<Utc>)>, StoreError> {
    let sql = tx
        .sql("SELECT asset_id, created_at FROM asset_dag_run_queue WHERE target_dag_id = ? ORDER BY created_at DESC")
        .push(tx.dialect().pg(" FOR UPDATE SKIP LOCKED"))
        .bind(dag_id);
    tx.all(sql).await?.iter().map(|row| Ok((row.int("asset_id")?, row.time("created_at")?))).collect()
}

/// Deletes what a run consumed. An asset queued meanwhile for another event stays.
///
/// # Errors
/// As any statement.
pub async fn delete_queued<C: Conn>(
    tx: &C,
    dag_id: &DagId,
    assets: &[(i64, DateTime<Utc>)],
) -> Result<u64, StoreError> {
    let rows = assets.iter().map(|(asset, _)| -> Vec<Param> { vec![(*asset).into(), dag_id.into()] });
    let sql = tx
        .sql("DELETE FROM asset_dag_run_queue WHERE (asset_id, target_dag_id) IN (VALUES ?)")
        .bind_rows(rows);
    tx.exec(sql).await
}
