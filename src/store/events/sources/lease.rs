//! Who reads a source: one scheduler at a time.

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use crate::store::{Conn, StoreError};

/// The right to read a source for a while.
#[derive(Clone, Debug)]
pub struct Lease {
    /// The source.
    pub source: String,
    /// Who has it: one reader of one process.
    pub owner: Uuid,
    /// The machine, for people.
    pub holder: String,
    /// For how long it holds, unless it is renewed.
    pub length: TimeDelta,
}

/// Whether a source is ours to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// It is.
    Ours,
    /// Somebody else reads it.
    Others,
}

impl From<u64> for Held {
    fn from(rows: u64) -> Self {
        if rows == 0 { Self::Others } else { Self::Ours }
    }
}

/// Makes a source known, and of which kind it is.
///
/// # Errors
/// As any statement.
pub async fn register(
    conn: &impl Conn,
    name: &str,
    kind: &str,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let sql = conn
        .sql("INSERT INTO slipstream_source (name, kind, taken, unreadable, updated_at) VALUES ?")
        .bind_rows([vec![name.into(), kind.into(), 0.into(), 0.into(), now.into()]])
        .push(" ON CONFLICT (name) DO UPDATE SET kind = excluded.kind");
    conn.exec(sql).await.map(drop)
}

/// Takes a source that nobody reads, or goes on with one's own.
///
/// # Errors
/// As any statement.
pub async fn claim(conn: &impl Conn, lease: &Lease, now: DateTime<Utc>) -> Result<Held, StoreError> {
    let sql = conn
        .sql(
            "UPDATE slipstream_source SET owner = ?, holder = ?, lease_until = ?, updated_at = ? \
             WHERE name = ? AND (owner IS NULL OR owner = ? OR lease_until < ?)",
        )
        .bind(lease.owner)
        .bind(&lease.holder)
        .bind(now + lease.length)
        .bind(now)
        .bind(&lease.source)
        .bind(lease.owner)
        .bind(now);
    Ok(conn.exec(sql).await?.into())
}

/// Holds on to a source.
///
/// # Errors
/// As any statement.
pub async fn renew(conn: &impl Conn, lease: &Lease, now: DateTime<Utc>) -> Result<Held, StoreError> {
    let sql = conn
        .sql("UPDATE slipstream_source SET lease_until = ?, updated_at = ? WHERE name = ? AND owner = ?")
        .bind(now + lease.length)
        .bind(now)
        .bind(&lease.source)
        .bind(lease.owner);
    Ok(conn.exec(sql).await?.into())
}

/// Leaves a source to the next one who asks.
///
/// # Errors
/// As any statement.
pub async fn release(conn: &impl Conn, lease: &Lease) -> Result<(), StoreError> {
    let sql = conn
        .sql(
            "UPDATE slipstream_source SET owner = NULL, holder = NULL, lease_until = NULL \
             WHERE name = ? AND owner = ?",
        )
        .bind(&lease.source)
        .bind(lease.owner);
    conn.exec(sql).await.map(drop)
}

/// Writes down what went wrong last, or that nothing is wrong any more, as the one who reads the source.
///
/// # Errors
/// As any statement.
pub async fn fail(
    conn: &impl Conn,
    lease: &Lease,
    error: Option<&str>,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let sql = conn
        .sql("UPDATE slipstream_source SET error = ?, error_at = ?, updated_at = ? WHERE name = ? AND owner = ?")
        .bind(error)
        .bind(error.map(|_| now))
        .bind(now)
        .bind(&lease.source)
        .bind(lease.owner);
    conn.exec(sql).await.map(drop)
}
