//! Durable named subscriptions: a filter and a position that outlive the reader.

use chrono::{DateTime, Utc};
use serde_json::json;
use slipstream_core::event::{Event, Position};

use super::{Filter, head, read};
use crate::store::{Conn, Row, StoreError};

/// A subscription.
#[derive(Clone, Debug, PartialEq)]
pub struct Subscription {
    /// Its name.
    pub name: String,
    /// What it wants.
    pub filter: Filter,
    /// Everything up to here is acknowledged.
    pub position: Position,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was last acknowledged.
    pub updated_at: DateTime<Utc>,
}

/// Makes a subscription from a position on.
///
/// # Errors
/// [`StoreError::Refused`] when there is one of this name; as any statement.
pub async fn create(
    conn: &impl Conn,
    name: &str,
    filter: &Filter,
    position: Position,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let sql = conn
        .sql("INSERT INTO slipstream_subscription (name, filter, position, created_at, updated_at) VALUES ?")
        .bind_rows([vec![name.into(), json!(filter).into(), position.0.into(), now.into(), now.into()]]);
    conn.exec(sql).await.map(drop)
}

/// One subscription.
///
/// # Errors
/// As any statement.
pub async fn get(conn: &impl Conn, name: &str) -> Result<Option<Subscription>, StoreError> {
    let row = conn.one(conn.sql("SELECT * FROM slipstream_subscription WHERE name = ?").bind(name)).await?;
    row.as_ref().map(subscription).transpose()
}

/// All subscriptions, by name.
///
/// # Errors
/// As any statement.
pub async fn list(conn: &impl Conn) -> Result<Vec<Subscription>, StoreError> {
    let rows = conn.all(conn.sql("SELECT * FROM slipstream_subscription ORDER BY name")).await?;
    rows.iter().map(subscription).collect()
}

/// The next events that are not acknowledged. The same ones again until they are.
///
/// Where there are none, the subscription moves on to the head, so that it does not hold old events that it does not want.
///
/// # Errors
/// As any statement.
pub async fn poll(
    conn: &impl Conn,
    subscription: &Subscription,
    limit: i64,
    now: DateTime<Utc>,
) -> Result<Vec<Event>, StoreError> {
    let seen = head(conn).await?;
    let events = read(conn, subscription.position, limit, &subscription.filter).await?;
    if events.is_empty() {
        // Another reader of the same name may have moved it meanwhile: never back.
        acknowledge(conn, &subscription.name, seen, now).await?;
    }
    Ok(events)
}

/// Moves a subscription on to a position, never back; returns where it is. `None`: there is no such subscription.
///
/// # Errors
/// As any statement.
pub async fn acknowledge(
    conn: &impl Conn,
    name: &str,
    position: Position,
    now: DateTime<Utc>,
) -> Result<Option<Position>, StoreError> {
    let sql = conn
        .sql(
            "UPDATE slipstream_subscription SET position = ?, updated_at = ? WHERE name = ? AND position < ?",
        )
        .bind(position.0)
        .bind(now)
        .bind(name)
        .bind(position.0);
    conn.exec(sql).await?;
    Ok(get(conn, name).await?.map(|subscription| subscription.position))
}

/// Removes a subscription; `None`: there is none of this name.
///
/// # Errors
/// As any statement.
pub async fn delete(conn: &impl Conn, name: &str) -> Result<Option<()>, StoreError> {
    let deleted =
        conn.exec(conn.sql("DELETE FROM slipstream_subscription WHERE name = ?").bind(name)).await?;
    Ok((deleted > 0).then_some(()))
}

fn subscription(row: &Row) -> Result<Subscription, StoreError> {
    let filter = serde_json::from_value(row.json("filter")?)
        .map_err(|error| StoreError::Column { column: "filter".to_owned(), why: error.to_string() })?;
    Ok(Subscription {
        name: row.text("name")?,
        filter,
        position: Position(row.int("position")?),
        created_at: row.time("created_at")?,
        updated_at: row.time("updated_at")?,
    })
}
