//! Events that are old and that nothing needs any more are removed.

use std::collections::HashSet;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;
use serde_json::Value;
use slipstream_core::event::{Position, Progress};
use uuid::Uuid;

use crate::store::{Conn, Db, Row, StoreError, commands};

/// Rows of one statement: a short transaction each, so that appending never waits long.
const ROWS: i64 = 2000;
/// Most firings in one statement: SQLite takes a limited number of values.
const AT_ONCE: usize = 500;

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
        let unneeded: Vec<i64> = old.into_iter().filter(|position| !needed(position)).collect();
        // First: what was decided about an event that is gone would be found by nobody.
        let sql = db
            .sql("DELETE FROM slipstream_decision WHERE position IN (?)")
            .bind_list(unneeded.iter().copied());
        db.exec(sql).await?;
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

/// Single events that are still needed, however old they are: those that wait for a person, that triggers remember for a
/// firing to come, and that firings and commands will hand on. An event goes from one to the next of these, which are
/// therefore read in that order.
async fn remembered(db: &Db) -> Result<HashSet<i64>, StoreError> {
    let mut all = HashSet::new();
    let parked = "SELECT DISTINCT position FROM slipstream_dead_letter WHERE status = 'parked'";
    for row in db.all(db.sql(parked)).await? {
        all.insert(row.int("position")?);
    }
    for row in db.all(db.sql("SELECT progress FROM slipstream_trigger_state")).await? {
        let stored = row.json("progress")?;
        // What cannot be understood belongs to a condition that is no more.
        if let Ok(progress) = Progress::deserialize(&stored["state"]) {
            all.extend(progress.remembered().map(|position| position.0));
        }
    }
    let waiting = db.sql("SELECT position, events FROM slipstream_firing WHERE status = 'pending'");
    for row in db.all(waiting).await? {
        all.extend(of_firing(&row)?);
    }
    let mut firings = HashSet::new();
    let open = "SELECT firing_id, options FROM slipstream_command WHERE status IN ('pending', 'waiting', 'stopping', 'open')";
    for row in db.all(db.sql(open)).await? {
        firings.insert(row.uuid("firing_id")?);
        firings.extend(commands::also(&row.json("options")?));
    }
    let firings: Vec<Uuid> = firings.into_iter().collect();
    for some in firings.chunks(AT_ONCE) {
        let sql = db
            .sql("SELECT position, events FROM slipstream_firing WHERE id IN (?)")
            .bind_list(some.iter().copied());
        for row in db.all(sql).await? {
            all.extend(of_firing(&row)?);
        }
    }
    Ok(all)
}

/// The event at which a firing happened, and those that it consumed.
fn of_firing(row: &Row) -> Result<Vec<i64>, StoreError> {
    let events = row.json("events")?;
    let consumed = events.as_array().into_iter().flatten().filter_map(Value::as_i64);
    Ok(consumed.chain([row.int("position")?]).collect())
}

/// The first position from which on everything is needed: a subscription that has not acknowledged it, the engine that has not
/// evaluated it. What is needed apart from that is [`remembered`], so that one old event does not keep all later ones.
async fn floor(db: &Db) -> Result<Position, StoreError> {
    let sql = db.sql(
        "SELECT MIN(p) AS floor FROM (\
         SELECT last_position + 1 AS p FROM slipstream_log_head \
         UNION ALL SELECT position + 1 FROM slipstream_subscription \
         UNION ALL SELECT position + 1 FROM slipstream_cursor WHERE name = 'engine' OR name LIKE 'python/%') needed",
    );
    let row = db.one(sql).await?;
    Ok(Position(row.map(|row| row.int_opt("floor")).transpose()?.flatten().unwrap_or(0)))
}
