//! Taking messages: events and offsets in one transaction.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use slipstream_core::event::Position;

use super::{Held, Lease, renew};
use crate::store::events::NewEvent;
use crate::store::events::assets::{Unknown, append_and_update};
use crate::store::{Conn, Db, StoreError, Tx, execution};

/// How far a partition is read by a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// The offset that the database must have.
    pub from: i64,
    /// The offset of the next message after the batch.
    pub to: i64,
}

/// Messages that were read together.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// What they became, in their order.
    pub events: Vec<NewEvent>,
    /// How far each partition is read with them.
    pub steps: BTreeMap<String, Step>,
    /// How many of the events say that a message could not be understood.
    pub unreadable: usize,
}

/// What became of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It is in the log; the last position, if it had events.
    Stored(Option<Position>),
    /// Nothing was done: the source is not ours any more, or somebody has read it further.
    NotOurs,
}

/// Appends the events of a batch and moves the offsets, both or none, if the source is ours and each offset is where the
/// batch begins.
///
/// # Errors
/// As [`append_and_update`]; then nothing was done, unless the connection was lost during the commit: what is stored is
/// then seen from the offsets.
pub async fn take(
    db: &Db,
    lease: &Lease,
    batch: &Batch,
    now: DateTime<Utc>,
    options: &execution::Options,
) -> Result<Taken, StoreError> {
    let tx = db.begin().await?;
    if renew(&tx, lease, now).await? == Held::Others {
        return Ok(Taken::NotOurs);
    }
    for (partition, step) in &batch.steps {
        if !advance(&tx, &lease.source, partition, *step, now).await? {
            return Ok(Taken::NotOurs);
        }
    }
    let done = append_and_update(&tx, &batch.events, Unknown::PassedOver, now, options).await?;
    count(&tx, lease, batch).await?;
    tx.commit().await?;
    Ok(Taken::Stored(done.iter().map(|one| one.position).max()))
}

/// Why the database does not take an event, if it does not. Nothing is written.
///
/// # Errors
/// As any statement, where another try may succeed.
pub async fn refused(
    db: &Db,
    event: &NewEvent,
    now: DateTime<Utc>,
    options: &execution::Options,
) -> Result<Option<String>, StoreError> {
    let tx = db.begin().await?;
    let done = append_and_update(&tx, std::slice::from_ref(event), Unknown::PassedOver, now, options).await;
    tx.rollback().await?;
    match done {
        Ok(_) => Ok(None),
        Err(error) if error.is_transient() => Err(error),
        Err(error) => Ok(Some(error.to_string())),
    }
}

/// Whether the offset was where it should have been.
async fn advance(
    tx: &Tx,
    source: &str,
    partition: &str,
    step: Step,
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let sql = tx
        .sql(
            "UPDATE slipstream_source_offset SET next_offset = ?, updated_at = ? \
             WHERE source = ? AND partition = ? AND next_offset = ?",
        )
        .bind(step.to)
        .bind(now)
        .bind(source)
        .bind(partition)
        .bind(step.from);
    Ok(tx.exec(sql).await? == 1)
}

async fn count(tx: &Tx, lease: &Lease, batch: &Batch) -> Result<(), StoreError> {
    let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    let sql = tx
        .sql("UPDATE slipstream_source SET taken = taken + ?, unreadable = unreadable + ? WHERE name = ?")
        .bind(number(batch.events.len()))
        .bind(number(batch.unreadable))
        .bind(&lease.source);
    tx.exec(sql).await.map(drop)
}

/// Writes where partitions are read on: new ones (`None`), and ones that must be read from somewhere else than where they
/// were left. Nothing is done if the source is not ours or somebody was faster.
///
/// # Errors
/// As any statement; then nothing was done.
pub async fn place(
    db: &Db,
    lease: &Lease,
    places: &BTreeMap<String, (Option<i64>, i64)>,
    now: DateTime<Utc>,
) -> Result<Held, StoreError> {
    let tx = db.begin().await?;
    if renew(&tx, lease, now).await? == Held::Others {
        return Ok(Held::Others);
    }
    for (partition, (stored, to)) in places {
        let done = match stored {
            Some(from) => advance(&tx, &lease.source, partition, Step { from: *from, to: *to }, now).await?,
            None => insert(&tx, &lease.source, partition, *to, now).await?,
        };
        if !done {
            return Ok(Held::Others);
        }
    }
    tx.commit().await?;
    Ok(Held::Ours)
}

async fn insert(
    tx: &Tx,
    source: &str,
    partition: &str,
    offset: i64,
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let sql = tx
        .sql("INSERT INTO slipstream_source_offset (source, partition, next_offset, updated_at) VALUES ?")
        .bind_rows([vec![source.into(), partition.into(), offset.into(), now.into()]])
        .push(" ON CONFLICT DO NOTHING");
    Ok(tx.exec(sql).await? == 1)
}

/// Writes down how many messages wait in each partition, for people to see.
///
/// # Errors
/// As any statement.
pub async fn lags(db: &Db, lease: &Lease, lags: &BTreeMap<String, i64>) -> Result<(), StoreError> {
    let tx = db.begin().await?;
    for (partition, lag) in lags {
        let sql = tx
            .sql("UPDATE slipstream_source_offset SET lag = ? WHERE source = ? AND partition = ?")
            .bind(*lag)
            .bind(&lease.source)
            .bind(partition);
        tx.exec(sql).await?;
    }
    tx.commit().await
}
