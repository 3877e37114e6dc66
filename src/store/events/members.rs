//! The schedulers that serve AIFlow's notification service on this database.

use chrono::{DateTime, TimeDelta, Utc};

use crate::store::{Conn, StoreError};

/// One of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Member {
    /// Where clients reach it.
    pub uri: String,
    /// When it last said that it lives.
    pub updated_at: DateTime<Utc>,
}

/// Says that a member lives, and forgets those that are dead for a while.
///
/// # Errors
/// As any statement.
pub async fn beat(conn: &impl Conn, uri: &str, now: DateTime<Utc>, ttl: TimeDelta) -> Result<(), StoreError> {
    let sql = conn
        .sql("INSERT INTO slipstream_member (uri, updated_at) VALUES ?")
        .bind_rows([vec![uri.into(), now.into()]])
        .push(" ON CONFLICT (uri) DO UPDATE SET updated_at = excluded.updated_at");
    conn.exec(sql).await?;
    let dead = now - ttl * 6;
    conn.exec(conn.sql("DELETE FROM slipstream_member WHERE updated_at < ?").bind(dead)).await.map(drop)
}

/// Forgets a member that ends.
///
/// # Errors
/// As any statement.
pub async fn leave(conn: &impl Conn, uri: &str) -> Result<(), StoreError> {
    conn.exec(conn.sql("DELETE FROM slipstream_member WHERE uri = ?").bind(uri)).await.map(drop)
}

/// Those that said so since a time, by their address.
///
/// # Errors
/// As any statement.
pub async fn living(conn: &impl Conn, since: DateTime<Utc>) -> Result<Vec<Member>, StoreError> {
    let sql = conn.sql("SELECT uri, updated_at FROM slipstream_member WHERE updated_at >= ? ORDER BY uri");
    let rows = conn.all(sql.bind(since)).await?;
    rows.iter().map(|row| Ok(Member { uri: row.text("uri")?, updated_at: row.time("updated_at")? })).collect()
}
