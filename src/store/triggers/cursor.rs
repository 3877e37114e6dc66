//! `slipstream_cursor`: up to which position of something everything is done.

use slipstream_core::event::Position;

use crate::store::{Conn, Dialect, StoreError, Tx};

/// The engine's: every event up to it has been put to every trigger.
pub const ENGINE: &str = "engine";
/// The highest `dag_run.id` that has been looked at for changes of state.
pub const OBSERVED_RUNS: &str = "observed_runs";
/// The highest `asset_event.id` that has been looked at. Only there while somebody watches assets.
pub const OBSERVED_ASSETS: &str = "observed_assets";
/// The highest `asset_event.id` when assets began to be watched: what is not above it is not told.
pub const ASSETS_BEGIN: &str = "observed_assets_begin";

/// Up to where a trigger that asks Python has been evaluated: it follows the engine's cursor.
pub fn python(trigger: super::TriggerId) -> String {
    format!("{PYTHON}{}", trigger.0)
}

/// How the names of [`python`] begin.
const PYTHON: &str = "python/";

/// Removes the cursors of triggers that no longer ask Python.
///
/// # Errors
/// As any statement.
pub async fn keep_python<C: Conn>(
    conn: &C,
    triggers: impl IntoIterator<Item = super::TriggerId>,
) -> Result<(), StoreError> {
    let kept = triggers.into_iter().map(python).chain([String::new()]);
    let sql = conn
        .sql("DELETE FROM slipstream_cursor WHERE name LIKE 'python/%' AND name NOT IN (?)")
        .bind_list(kept);
    conn.exec(sql).await.map(drop)
}

/// Makes a cursor at `position` unless it is there.
///
/// # Errors
/// As any statement.
pub async fn ensure<C: Conn>(conn: &C, name: &str, position: Position) -> Result<(), StoreError> {
    let sql = conn
        .sql("INSERT INTO slipstream_cursor (name, position) VALUES (?, ?) ON CONFLICT (name) DO NOTHING")
        .bind(name)
        .bind(position.0);
    conn.exec(sql).await.map(drop)
}

/// Locks a cursor until the transaction ends and returns it; `None` when another scheduler has it, or it is not made yet.
///
/// # Errors
/// As any statement.
pub async fn lock(tx: &Tx, name: &str) -> Result<Option<Position>, StoreError> {
    // On SQLite every transaction of ours is the only writer.
    let text = format!(
        "SELECT position FROM slipstream_cursor WHERE name = ?{}",
        tx.dialect().pg(" FOR UPDATE SKIP LOCKED")
    );
    let row = tx.one(tx.sql(&text).bind(name)).await?;
    row.map(|row| row.int("position").map(Position)).transpose()
}

/// Locks a cursor, waiting for whoever has it; makes it at `start` if it is not there.
///
/// # Errors
/// As any statement.
pub async fn wait_for(tx: &Tx, name: &str, start: Position) -> Result<Position, StoreError> {
    ensure(tx, name, start).await?;
    let lock = if tx.dialect() == Dialect::Postgres { " FOR UPDATE" } else { "" };
    let text = format!("SELECT position FROM slipstream_cursor WHERE name = ?{lock}");
    let row = tx.one(tx.sql(&text).bind(name)).await?;
    row.map_or(Ok(start), |row| row.int("position").map(Position))
}

/// Where a cursor is.
///
/// # Errors
/// As any statement.
pub async fn get<C: Conn>(conn: &C, name: &str) -> Result<Option<Position>, StoreError> {
    let sql = conn.sql("SELECT position FROM slipstream_cursor WHERE name = ?").bind(name);
    conn.one(sql).await?.map(|row| row.int("position").map(Position)).transpose()
}

/// Removes a cursor.
///
/// # Errors
/// As any statement.
pub async fn remove(tx: &Tx, name: &str) -> Result<(), StoreError> {
    tx.exec(tx.sql("DELETE FROM slipstream_cursor WHERE name = ?").bind(name)).await.map(drop)
}

/// Moves a cursor that this transaction has locked.
///
/// # Errors
/// As any statement.
pub async fn advance(tx: &Tx, name: &str, position: Position) -> Result<(), StoreError> {
    let sql = tx.sql("UPDATE slipstream_cursor SET position = ? WHERE name = ?").bind(position.0).bind(name);
    tx.exec(sql).await.map(drop)
}
