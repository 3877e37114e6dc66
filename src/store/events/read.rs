//! Reading the log.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde_json::Value;
use slipstream_core::event::{Event, Position, Scope};

use super::Filter;
use crate::store::{Conn, Row, StoreError};

const SELECT: &str = "SELECT position, namespace, key, type, source, id, sender, time, scope_dag_id, scope_run_id, data, \
                      extensions FROM slipstream_event WHERE ";

/// The first `limit` events after a position that pass a filter, in their order.
///
/// # Errors
/// As any statement.
pub async fn read(
    conn: &impl Conn,
    after: Position,
    limit: i64,
    filter: &Filter,
) -> Result<Vec<Event>, StoreError> {
    let sql = filter.push(conn.sql(SELECT).push("position > ?").bind(after.0));
    let rows = conn.all(sql.push(" ORDER BY position LIMIT ?").bind(limit)).await?;
    rows.iter().map(event).collect()
}

/// The event at a position, if it is there and was not removed by age.
///
/// # Errors
/// As any statement.
pub async fn get(conn: &impl Conn, position: Position) -> Result<Option<Event>, StoreError> {
    let row = conn.one(conn.sql(SELECT).push("position = ?").bind(position.0)).await?;
    row.as_ref().map(event).transpose()
}

/// The events at these positions, in their order; those that were removed by age are left out.
///
/// # Errors
/// As any statement.
pub async fn at(conn: &impl Conn, positions: &BTreeSet<Position>) -> Result<Vec<Event>, StoreError> {
    let positions: Vec<i64> = positions.iter().map(|position| position.0).collect();
    let mut events = Vec::with_capacity(positions.len());
    for chunk in positions.chunks(10_000) {
        let sql = conn.sql(SELECT).push("position IN (?) ORDER BY position").bind_list(chunk.iter().copied());
        for row in conn.all(sql).await? {
            events.push(event(&row)?);
        }
    }
    Ok(events)
}

/// The newest event that passes a filter.
///
/// # Errors
/// As any statement.
pub async fn latest(conn: &impl Conn, filter: &Filter) -> Result<Option<Event>, StoreError> {
    let sql = filter.push(conn.sql(SELECT).push("position > 0"));
    let row = conn.one(sql.push(" ORDER BY position DESC LIMIT 1")).await?;
    row.as_ref().map(event).transpose()
}

/// The last position that was given; 0 in an empty log. One row by its key: cheap enough to be asked often.
///
/// # Errors
/// As any statement.
pub async fn head(conn: &impl Conn) -> Result<Position, StoreError> {
    let row = conn.one(conn.sql("SELECT last_position FROM slipstream_log_head WHERE id = 1")).await?;
    let row = row.ok_or_else(|| StoreError::NotFound("the row of slipstream_log_head".to_owned()))?;
    Ok(Position(row.int("last_position")?))
}

/// The position of the oldest event that is still there, if any.
///
/// # Errors
/// As any statement.
pub async fn first_position(conn: &impl Conn) -> Result<Option<Position>, StoreError> {
    let row = conn.one(conn.sql("SELECT MIN(position) AS position FROM slipstream_event")).await?;
    Ok(row.map(|row| row.int_opt("position")).transpose()?.flatten().map(Position))
}

/// The last position that was received at a time or before; 0 if there is none.
///
/// # Errors
/// As any statement.
pub async fn at_or_before(conn: &impl Conn, time: DateTime<Utc>) -> Result<Position, StoreError> {
    let sql =
        conn.sql("SELECT MAX(position) AS position FROM slipstream_event WHERE received_at <= ?").bind(time);
    let position = conn.one(sql).await?.map(|row| row.int_opt("position")).transpose()?.flatten();
    Ok(Position(position.unwrap_or(0)))
}

fn event(row: &Row) -> Result<Event, StoreError> {
    let scope = match (row.text_opt("scope_dag_id")?, row.text_opt("scope_run_id")?) {
        (Some(dag_id), Some(run_id)) => Scope::Run { dag_id: dag_id.into(), run_id: run_id.into() },
        _ => Scope::All,
    };
    Ok(Event {
        position: Position(row.int("position")?),
        namespace: row.text("namespace")?,
        key: row.text("key")?,
        event_type: row.text("type")?,
        source: row.text("source")?,
        id: row.text("id")?,
        sender: row.text_opt("sender")?,
        time: row.time("time")?,
        scope,
        data: row.json("data")?,
        extensions: match row.json("extensions")? {
            Value::Object(map) => map,
            _ => serde_json::Map::new(),
        },
    })
}
