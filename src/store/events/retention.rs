//! Events that are old and that nothing needs any more are removed.

use std::collections::HashSet;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;
use slipstream_core::event::{Position, Progress};

use crate::store::{Conn, Db, StoreError};

/// Rows of one statement: a short transaction each, so that appending never waits long.
const ROWS: i64 = 2000;

/// Removes what was received longer ago than `age` and is not needed; returns how many events. The log's head stays, so
/// that positions are never given twice.
///
/// # Errors
/// As any statement; what was removed before stays removed.
pub async fn run_once(db: &Db, age: Duration, now: DateTime<Utc>) -> Result<u64, StoreError> {
    let before = now - TimeDelta::from_std(age).unwrap_or(TimeDelta::MAX / 2);
    let floor = floor(db).await?;
    let (mut after, mut removed, mut remembered) = (Position(0), 0, None);
    loop {
        let old = old(db, after, before, floor).await?;
        let Some(last) = old.last() else { return Ok(removed) };
        after = Position(*last);
        // Asked only if there is something to remove.
        if remembered.is_none() {
            remembered = Some(self::remembered(db).await?);
        }
        let needed = |position: &i64| remembered.as_ref().is_some_and(|all| all.contains(position));
        let unneeded = old.into_iter().filter(|position| !needed(position));
        let sql = db.sql("DELETE FROM slipstream_event WHERE position IN (?)").bind_list(unneeded);
        removed += db.exec(sql).await?;
    }
}

/// Positions of old events below the floor, in their order.
async fn old(
    db: &Db,
    after: Position,
    before: DateTime<Utc>,
    floor: Position,
) -> Result<Vec<i64>, StoreError> {
    let sql = db
        .sql(
            "SELECT position FROM slipstream_event WHERE position > ? AND position < ? AND received_at < ? \
             ORDER BY position LIMIT ?",
        )
        .bind(after.0)
        .bind(floor.0)
        .bind(before)
        .bind(ROWS);
    db.all(sql).await?.iter().map(|row| row.int("position")).collect()
}

/// Events that triggers remember for a firing to come, however old they are.
async fn remembered(db: &Db) -> Result<HashSet<i64>, StoreError> {
    let rows = db.all(db.sql("SELECT progress FROM slipstream_trigger_state")).await?;
    let mut all = HashSet::new();
    for row in rows {
        let stored = row.json("progress")?;
        // What cannot be understood belongs to a condition that is no more.
        if let Ok(progress) = Progress::deserialize(&stored["state"]) {
            all.extend(progress.remembered().map(|position| position.0));
        }
    }
    Ok(all)
}

/// The first position from which on everything is needed: a subscription that has not acknowledged it, the engine that has not
/// evaluated it, a firing that is not done, a dead letter that may be retried.
async fn floor(db: &Db) -> Result<Position, StoreError> {
    let sql = db.sql(
        "SELECT MIN(p) AS floor FROM (\
         SELECT last_position + 1 AS p FROM slipstream_log_head \
         UNION ALL SELECT position + 1 FROM slipstream_subscription \
         UNION ALL SELECT position + 1 FROM slipstream_cursor WHERE name = 'engine' OR name LIKE 'python/%' \
         UNION ALL SELECT position FROM slipstream_firing WHERE status = 'pending' \
         UNION ALL SELECT position FROM slipstream_dead_letter WHERE status = 'parked') needed",
    );
    let row = db.one(sql).await?;
    Ok(Position(row.map(|row| row.int_opt("floor")).transpose()?.flatten().unwrap_or(0)))
}
