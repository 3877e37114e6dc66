//! `slipstream_trigger_state`: what a trigger remembers, one row per trigger, run and correlation key.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use serde_json::Value;

use slipstream_core::event::Position;

use super::{TriggerId, rows_per_statement};
use crate::store::{Conn, Kind, Param, Row, StoreError};

/// Whose memory it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// The trigger.
    pub trigger: TriggerId,
    /// The run, for triggers of tasks; empty for triggers of Dags.
    pub run_id: String,
    /// The value of the field that events are told apart by; empty without one.
    pub correlation: String,
}

/// One row.
#[derive(Clone, Debug, PartialEq)]
pub struct Saved {
    /// Whose it is.
    pub key: Key,
    /// What is remembered.
    pub progress: Value,
    /// The last event that changed it.
    pub position: Position,
    /// When time alone may change it.
    pub wake_at: Option<DateTime<Utc>>,
}

const COLUMNS: &str = "trigger_id, run_id, correlation, progress, position, wake_at";
const KINDS: [(&str, Kind); 6] = [
    ("trigger_id", Kind::Int),
    ("run_id", Kind::Text),
    ("correlation", Kind::Text),
    ("progress", Kind::Json),
    ("position", Kind::Int),
    ("wake_at", Kind::Time),
];

fn read(row: &Row) -> Result<Saved, StoreError> {
    let key = Key {
        trigger: TriggerId(row.int("trigger_id")?),
        run_id: row.text("run_id")?,
        correlation: row.text("correlation")?,
    };
    Ok(Saved {
        key,
        progress: row.json("progress")?,
        position: Position(row.int("position")?),
        wake_at: row.time_opt("wake_at")?,
    })
}

fn key_values(key: &Key) -> Vec<Param> {
    vec![key.trigger.into(), (&key.run_id).into(), (&key.correlation).into()]
}

/// The rows that there are of these.
///
/// # Errors
/// As any statement.
pub async fn load<'a, C: Conn>(
    conn: &C,
    keys: impl IntoIterator<Item = &'a Key>,
) -> Result<HashMap<Key, Saved>, StoreError> {
    let keys: Vec<&Key> = keys.into_iter().collect();
    let mut found = HashMap::with_capacity(keys.len());
    for chunk in keys.chunks(rows_per_statement(3)) {
        let sql = conn
            .sql(&format!(
                "SELECT {COLUMNS} FROM slipstream_trigger_state WHERE (trigger_id, run_id, correlation) IN (VALUES ?)"
            ))
            .bind_keys(chunk.iter().map(|key| key_values(key)));
        for row in conn.all(sql).await? {
            let saved = read(&row)?;
            found.insert(saved.key.clone(), saved);
        }
    }
    Ok(found)
}

/// Everything that a trigger remembers.
///
/// # Errors
/// As any statement.
pub async fn of_trigger<C: Conn>(conn: &C, trigger: TriggerId) -> Result<Vec<Saved>, StoreError> {
    let sql = conn
        .sql(&format!(
            "SELECT {COLUMNS} FROM slipstream_trigger_state WHERE trigger_id = ? ORDER BY run_id, correlation"
        ))
        .bind(trigger);
    conn.all(sql).await?.iter().map(read).collect()
}

/// Writes rows, new or not.
///
/// # Errors
/// As any statement.
pub async fn save<C: Conn>(tx: &C, rows: &[Saved]) -> Result<(), StoreError> {
    for chunk in rows.chunks(rows_per_statement(6)) {
        let values = chunk.iter().map(|row| {
            let mut values = key_values(&row.key);
            values.extend([(&row.progress).into(), row.position.0.into(), row.wake_at.into()]);
            values
        });
        let sql = tx
            .sql(&format!(
                "INSERT INTO slipstream_trigger_state ({COLUMNS}) ? \
                 ON CONFLICT (trigger_id, run_id, correlation) DO UPDATE SET progress = excluded.progress, \
                 position = excluded.position, wake_at = excluded.wake_at"
            ))
            .bind_table(&KINDS, values);
        tx.exec(sql).await?;
    }
    Ok(())
}

/// Rows whose moment has come, the earliest first.
///
/// # Errors
/// As any statement.
pub async fn due<C: Conn>(conn: &C, now: DateTime<Utc>, most: i64) -> Result<Vec<Saved>, StoreError> {
    let sql = conn
        .sql(&format!(
            "SELECT {COLUMNS} FROM slipstream_trigger_state WHERE wake_at <= ? ORDER BY wake_at, trigger_id LIMIT ?"
        ))
        .bind(now)
        .bind(most);
    conn.all(sql).await?.iter().map(read).collect()
}

/// When the next row's moment comes.
///
/// # Errors
/// As any statement.
pub async fn next_wake<C: Conn>(conn: &C) -> Result<Option<DateTime<Utc>>, StoreError> {
    let sql = conn.sql("SELECT min(wake_at) AS at FROM slipstream_trigger_state WHERE wake_at IS NOT NULL");
    conn.one(sql).await?.map_or(Ok(None), |row| row.time_opt("at"))
}

/// Has a trigger told of the time at once, wherever it remembers something.
///
/// # Errors
/// As any statement.
pub async fn wake<C: Conn>(tx: &C, trigger: TriggerId, now: DateTime<Utc>) -> Result<(), StoreError> {
    let sql = tx
        .sql("UPDATE slipstream_trigger_state SET wake_at = ? WHERE trigger_id = ?")
        .bind(now)
        .bind(trigger);
    tx.exec(sql).await.map(drop)
}

/// Forgets what a trigger remembers.
///
/// # Errors
/// As any statement.
pub async fn forget<C: Conn>(tx: &C, trigger: TriggerId) -> Result<(), StoreError> {
    let sql = tx.sql("DELETE FROM slipstream_trigger_state WHERE trigger_id = ?").bind(trigger);
    tx.exec(sql).await.map(drop)
}
