//! What is known of sources.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use crate::store::{Conn, Db, Row, StoreError};

/// A source, as the last one who read it left it.
#[derive(Clone, Debug, PartialEq)]
pub struct SourceRow {
    /// Its name.
    pub name: String,
    /// `kafka` or `nats`.
    pub kind: String,
    /// The machine that reads it, if any does.
    pub holder: Option<String>,
    /// Until when that one may.
    pub lease_until: Option<DateTime<Utc>>,
    /// How many messages have become events.
    pub taken: i64,
    /// How many of them could not be understood.
    pub unreadable: i64,
    /// What is wrong.
    pub error: Option<String>,
    /// Since when.
    pub error_at: Option<DateTime<Utc>>,
    /// How far its partitions have been read, in their order.
    pub partitions: Vec<Partition>,
}

/// How far a partition has been read.
#[derive(Clone, Debug, PartialEq)]
pub struct Partition {
    /// Its name.
    pub name: String,
    /// The offset of the next message.
    pub next_offset: i64,
    /// How many messages waited when that was last looked at.
    pub lag: Option<i64>,
}

/// All sources that were ever read, by name.
///
/// # Errors
/// As any statement.
pub async fn list(conn: &impl Conn) -> Result<Vec<SourceRow>, StoreError> {
    // One statement: what was taken and up to where belong together.
    let sql = conn.sql(
        "SELECT s.name, s.kind, s.holder, s.lease_until, s.taken, s.unreadable, s.error, s.error_at, \
         o.partition, o.next_offset, o.lag FROM slipstream_source s \
         LEFT JOIN slipstream_source_offset o ON o.source = s.name ORDER BY s.name",
    );
    let mut sources: Vec<SourceRow> = Vec::new();
    for row in conn.all(sql).await? {
        let name = row.text("name")?;
        if sources.last().is_none_or(|last| last.name != name) {
            sources.push(read_source(&row, name)?);
        }
        if let (Some(source), Some(partition)) = (sources.last_mut(), row.text_opt("partition")?) {
            source.partitions.push(Partition {
                name: partition,
                next_offset: row.int("next_offset")?,
                lag: row.int_opt("lag")?,
            });
        }
    }
    for source in &mut sources {
        // Numbers at the end of names in the order of numbers.
        source.partitions.sort_by_key(|partition| natural(&partition.name));
    }
    Ok(sources)
}

fn read_source(row: &Row, name: String) -> Result<SourceRow, StoreError> {
    Ok(SourceRow {
        kind: row.text("kind")?,
        holder: row.text_opt("holder")?,
        lease_until: row.time_opt("lease_until")?,
        taken: row.int("taken")?,
        unreadable: row.int("unreadable")?,
        error: row.text_opt("error")?,
        error_at: row.time_opt("error_at")?,
        partitions: Vec::new(),
        name,
    })
}

fn natural(name: &str) -> (String, i64) {
    let (topic, number) = name.rsplit_once('/').unwrap_or((name, ""));
    (topic.to_owned(), number.parse().unwrap_or(0))
}

/// The offset of the next message of each partition that was ever read.
///
/// # Errors
/// As any statement.
pub async fn offsets(conn: &impl Conn, source: &str) -> Result<BTreeMap<String, i64>, StoreError> {
    let sql = conn.sql("SELECT partition, next_offset FROM slipstream_source_offset WHERE source = ?");
    let rows = conn.all(sql.bind(source)).await?;
    rows.iter().map(|row| Ok((row.text("partition")?, row.int("next_offset")?))).collect()
}

/// Forgets a source and how far it was read; whoever reads it begins anew. Whether it was known.
///
/// # Errors
/// As any statement; then nothing was done.
pub async fn forget(db: &Db, name: &str) -> Result<bool, StoreError> {
    let tx = db.begin().await?;
    // First the row that every reader locks first.
    let known = tx.exec(tx.sql("DELETE FROM slipstream_source WHERE name = ?").bind(name)).await? > 0;
    tx.exec(tx.sql("DELETE FROM slipstream_source_offset WHERE source = ?").bind(name)).await?;
    tx.commit().await?;
    Ok(known)
}
