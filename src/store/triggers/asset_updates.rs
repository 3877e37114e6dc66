//! `asset_event`, read by number, and which of its rows have been seen.
//!
//! A number may be given earlier and become visible later than the next, so that the last ones are read again. Which of
//! those were seen is in `slipstream_observed_asset`, whatever becomes of their events in the log.

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::rows_per_statement;
use crate::store::{Conn, Kind, StoreError, Tx};

/// An update of an asset.
#[derive(Clone, Debug, PartialEq)]
pub struct AssetUpdate {
    /// `asset_event.id`.
    pub id: i64,
    /// The asset's URI.
    pub uri: String,
    /// The asset's name.
    pub name: String,
    /// What came with it.
    pub extra: Value,
    /// The partition that was updated.
    pub partition_key: Option<String>,
    /// Who made it, if a task did.
    pub dag_id: Option<String>,
    /// Its run.
    pub run_id: Option<String>,
    /// The task.
    pub task_id: Option<String>,
    /// Which copy.
    pub map_index: Option<i64>,
    /// When.
    pub timestamp: Option<DateTime<Utc>>,
}

/// How many numbers are read again: a number may be given earlier and become visible later than the next.
const OVERLAP: i64 = 100;
/// Most updates that are read at once.
const MOST: i64 = 1000;

/// Updates that have not been seen, of those with a number above `after` or a little below it, but above `begin`.
///
/// # Errors
/// As any statement.
pub async fn unseen<C: Conn>(conn: &C, begin: i64, after: i64) -> Result<Vec<AssetUpdate>, StoreError> {
    let sql = conn
        .sql(
            "SELECT ae.id, a.uri, a.name, ae.extra, ae.partition_key, ae.source_dag_id, ae.source_run_id, \
             ae.source_task_id, ae.source_map_index, ae.timestamp FROM asset_event ae \
             JOIN asset a ON a.id = ae.asset_id WHERE ae.id > ? AND NOT EXISTS (SELECT 1 FROM \
             slipstream_observed_asset o WHERE o.asset_event_id = ae.id) ORDER BY ae.id LIMIT ?",
        )
        .bind(begin.max(after - OVERLAP))
        .bind(MOST);
    conn.all(sql)
        .await?
        .iter()
        .map(|row| {
            Ok(AssetUpdate {
                id: row.int("id")?,
                uri: row.text("uri")?,
                name: row.text("name")?,
                extra: row.json("extra")?,
                partition_key: row.text_opt("partition_key")?,
                dag_id: row.text_opt("source_dag_id")?,
                run_id: row.text_opt("source_run_id")?,
                task_id: row.text_opt("source_task_id")?,
                map_index: row.int_opt("source_map_index")?,
                timestamp: row.time_opt("timestamp")?,
            })
        })
        .collect()
}

/// Notes that these have been seen, and forgets what is not read again once `after` is the highest that was seen.
///
/// # Errors
/// As any statement.
pub async fn saw(tx: &Tx, ids: &[i64], after: i64) -> Result<(), StoreError> {
    let (read_again, _): (Vec<i64>, Vec<i64>) = ids.iter().partition(|id| **id > after - OVERLAP);
    for chunk in read_again.chunks(rows_per_statement(1)) {
        let sql = tx
            .sql("INSERT INTO slipstream_observed_asset (asset_event_id) ? ON CONFLICT (asset_event_id) DO NOTHING")
            .bind_table(&[("asset_event_id", Kind::Int)], chunk.iter().map(|id| vec![(*id).into()]));
        tx.exec(sql).await?;
    }
    let sql = tx.sql("DELETE FROM slipstream_observed_asset WHERE asset_event_id <= ?").bind(after - OVERLAP);
    tx.exec(sql).await.map(drop)
}

/// Forgets all that were seen.
///
/// # Errors
/// As any statement.
pub async fn forget(tx: &Tx) -> Result<(), StoreError> {
    tx.exec(tx.sql("DELETE FROM slipstream_observed_asset")).await.map(drop)
}

/// The highest number; 0 if there is none.
///
/// # Errors
/// As any statement.
pub async fn highest<C: Conn>(conn: &C) -> Result<i64, StoreError> {
    let row = conn.one(conn.sql("SELECT max(id) AS id FROM asset_event")).await?;
    Ok(row.map(|row| row.int_opt("id")).transpose()?.flatten().unwrap_or(0))
}
