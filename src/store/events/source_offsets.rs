//! How far the sources (Kafka, NATS) have been read. Written in the transaction that appends their events: exactly once
//! into the log.

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::store::{Conn, StoreError, Tx};

/// The offsets of a source; `Null` for one that was never read. The row is locked until the transaction ends.
///
/// # Errors
/// As any statement.
pub async fn lock(tx: &Tx, name: &str) -> Result<Value, StoreError> {
    let sql =
        tx.sql("SELECT offsets FROM slipstream_source WHERE name = ?").push(tx.dialect().pg(" FOR UPDATE"));
    Ok(tx.one(sql.bind(name)).await?.map(|row| row.json("offsets")).transpose()?.unwrap_or(Value::Null))
}

/// Writes the offsets of a source.
///
/// # Errors
/// As any statement.
pub async fn save(tx: &Tx, name: &str, offsets: &Value, now: DateTime<Utc>) -> Result<(), StoreError> {
    let sql = tx
        .sql("INSERT INTO slipstream_source (name, offsets, updated_at) VALUES ?")
        .bind_rows([vec![name.into(), offsets.into(), now.into()]])
        .push(
            " ON CONFLICT (name) DO UPDATE SET offsets = excluded.offsets, updated_at = excluded.updated_at",
        );
    tx.exec(sql).await.map(drop)
}
