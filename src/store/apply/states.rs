//! Changes of state, many rows at once.

use chrono::{DateTime, Utc};
use slipstream_core::run::{Dates, TryNumber};
use slipstream_core::state::TaskState;
use uuid::Uuid;

use crate::store::{Conn, Sql, StoreError, Tx};

/// Rows in one statement: below SQLite's limit of bound values.
const CHUNK: usize = 5_000;

/// Adds `WHERE id IN (…) AND state = from`.
fn guarded(sql: Sql, ids: &[Uuid], from: Option<TaskState>) -> Sql {
    let sql = sql.push(" WHERE id IN (?)").bind_list(ids.iter().copied());
    match from {
        Some(from) => sql.push(" AND state = ?").bind(from),
        None => sql.push(" AND state IS NULL"),
    }
}

async fn in_chunks<F: Fn(&[Uuid]) -> Sql>(tx: &Tx, ids: &[Uuid], statement: F) -> Result<u64, StoreError> {
    let mut written = 0;
    for chunk in ids.chunks(CHUNK) {
        written += tx.exec(statement(chunk)).await?;
    }
    Ok(written)
}

/// `TaskInstance.set_state`, or a plain assignment of the state.
pub(super) async fn set(
    tx: &Tx,
    ids: &[Uuid],
    from: Option<TaskState>,
    to: Option<TaskState>,
    dates: Dates,
    now: DateTime<Utc>,
) -> Result<u64, StoreError> {
    let ends = to.is_some_and(|to| to.is_finished() || to == TaskState::UpForRetry);
    in_chunks(tx, ids, |chunk| {
        let mut sql = tx.sql("UPDATE task_instance SET state = ?, updated_at = ?").bind(to.map(TaskState::as_str)).bind(now);
        if dates == Dates::Stamped {
            sql = sql.push(", start_date = COALESCE(start_date, ?)").bind(now);
            if ends {
                sql = sql
                    .push(", end_date = COALESCE(end_date, ?), duration = ")
                    .bind(now)
                    .push(tx.dialect().pick(
                        "EXTRACT(EPOCH FROM (COALESCE(end_date, CAST(? AS timestamptz)) - COALESCE(start_date, CAST(? AS timestamptz))))",
                        "round((julianday(COALESCE(end_date, ?)) - julianday(COALESCE(start_date, ?))) * 86400, 3)",
                    ))
                    .bind(now)
                    .bind(now);
            }
        }
        guarded(sql, chunk, from)
    })
    .await
}

/// To `scheduled`. The try number counts from here, except after a reschedule.
pub(super) async fn schedule(
    tx: &Tx,
    ids: &[Uuid],
    from: Option<TaskState>,
    try_number: TryNumber,
    now: DateTime<Utc>,
) -> Result<u64, StoreError> {
    in_chunks(tx, ids, |chunk| {
        let sql = tx
            .sql("UPDATE task_instance SET state = 'scheduled', scheduled_dttm = ?, updated_at = ?")
            .bind(now)
            .bind(now)
            .push_if(try_number == TryNumber::Increment, ", try_number = try_number + 1");
        guarded(sql, chunk, from)
    })
    .await
}

/// A task that does nothing: to `success` without being run.
pub(super) async fn succeed_empty(
    tx: &Tx,
    ids: &[Uuid],
    from: Option<TaskState>,
    now: DateTime<Utc>,
) -> Result<u64, StoreError> {
    in_chunks(tx, ids, |chunk| {
        let sql = tx
            .sql(
                "UPDATE task_instance SET state = 'success', try_number = try_number + 1, start_date = ?, end_date = ?, \
                 duration = 0, updated_at = ?",
            )
            .bind(now)
            .bind(now)
            .bind(now);
        guarded(sql, chunk, from)
    })
    .await
}
