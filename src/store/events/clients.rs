//! Clients of AIFlow's notification service: their number makes the numbers of their events unique.

use chrono::{DateTime, Utc};

use crate::store::{Conn, StoreError};

/// Notes a client; returns its number.
///
/// # Errors
/// As any statement.
pub async fn register(
    conn: &impl Conn,
    namespace: &str,
    sender: &str,
    now: DateTime<Utc>,
) -> Result<i64, StoreError> {
    let sql = conn
        .sql("INSERT INTO slipstream_client (namespace, sender, created_at) VALUES ?")
        .bind_rows([vec![namespace.into(), sender.into(), now.into()]])
        .push(" RETURNING id");
    let row = conn.one(sql).await?.ok_or_else(|| StoreError::NotFound("the client just noted".to_owned()))?;
    row.int("id")
}

/// Marks a client as gone; its number is never given again. `None`: there is none.
///
/// # Errors
/// As any statement.
pub async fn delete(conn: &impl Conn, id: i64, now: DateTime<Utc>) -> Result<Option<()>, StoreError> {
    let sql = conn.sql("UPDATE slipstream_client SET deleted_at = ? WHERE id = ?").bind(now).bind(id);
    Ok((conn.exec(sql).await? > 0).then_some(()))
}

/// Whether there is a client that is not gone.
///
/// # Errors
/// As any statement.
pub async fn exists(conn: &impl Conn, id: i64) -> Result<bool, StoreError> {
    let sql = conn.sql("SELECT 1 AS one FROM slipstream_client WHERE id = ? AND deleted_at IS NULL").bind(id);
    Ok(conn.one(sql).await?.is_some())
}
