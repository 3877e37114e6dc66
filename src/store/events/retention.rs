//! Events that are old and that nothing needs any more are removed.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use slipstream_core::event::Position;

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
    let mut removed = 0;
    loop {
        let sql = db
            .sql(
                "DELETE FROM slipstream_event WHERE position IN (SELECT position FROM slipstream_event \
                 WHERE received_at < ? AND position < ? ORDER BY position LIMIT ?)",
            )
            .bind(before)
            .bind(floor.0)
            .bind(ROWS);
        let now_removed = db.exec(sql).await?;
        removed += now_removed;
        if now_removed < ROWS.unsigned_abs() {
            return Ok(removed);
        }
    }
}

/// The first position that someone still needs: a subscription that has not acknowledged it, the engine that has not
/// evaluated it, a firing that is not done, a dead letter that may be retried.
async fn floor(db: &Db) -> Result<Position, StoreError> {
    let sql = db.sql(
        "SELECT MIN(p) AS floor FROM (\
         SELECT last_position + 1 AS p FROM slipstream_log_head \
         UNION ALL SELECT position + 1 FROM slipstream_subscription \
         UNION ALL SELECT position + 1 FROM slipstream_cursor \
         UNION ALL SELECT position FROM slipstream_firing WHERE status = 'pending' \
         UNION ALL SELECT position FROM slipstream_dead_letter WHERE status = 'parked') needed",
    );
    let row = db.one(sql).await?;
    Ok(Position(row.map(|row| row.int_opt("floor")).transpose()?.flatten().unwrap_or(0)))
}
