//! `slipstream_dead_letter`: events that a trigger could not be asked about, set aside for a person.

use chrono::{DateTime, Utc};

use slipstream_core::event::Position;

use super::{TriggerId, storable, text_enum};
use crate::store::{Conn, Row, StoreError};

text_enum! {
    /// What became of a dead letter.
    Status, {
        /// It waits for a person.
        Parked = "parked",
        /// It was put to the trigger again, and that went well.
        Retried = "retried",
        /// A person decided to let it be.
        Skipped = "skipped",
    }
}

/// One event that one trigger failed at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// The trigger.
    pub trigger: TriggerId,
    /// The run, for triggers of tasks; empty for triggers of Dags.
    pub run_id: String,
    /// The event.
    pub position: Position,
    /// What went wrong.
    pub error: String,
    /// How often it was tried.
    pub attempts: i64,
    /// What became of it.
    pub status: Status,
    /// When it was parked.
    pub created_at: DateTime<Utc>,
}

const COLUMNS: &str = "trigger_id, run_id, position, error, attempts, status, created_at";

fn read(row: &Row) -> Result<DeadLetter, StoreError> {
    Ok(DeadLetter {
        trigger: TriggerId(row.int("trigger_id")?),
        run_id: row.text("run_id")?,
        position: Position(row.int("position")?),
        error: row.text("error")?,
        attempts: row.int("attempts")?,
        status: Status::parse("status", &row.text("status")?)?,
        created_at: row.time("created_at")?,
    })
}

/// Sets an event aside; another failure at the same event counts as another attempt.
///
/// # Errors
/// As any statement.
pub async fn park<C: Conn>(
    tx: &C,
    trigger: TriggerId,
    run_id: &str,
    position: Position,
    error: &str,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let values = vec![
        trigger.into(),
        run_id.into(),
        position.0.into(),
        storable(error).into(),
        1_i64.into(),
        Status::Parked.into(),
        now.into(),
    ];
    let sql = tx
        .sql(&format!(
            "INSERT INTO slipstream_dead_letter ({COLUMNS}) VALUES ? ON CONFLICT (trigger_id, run_id, position) \
             DO UPDATE SET error = excluded.error, status = excluded.status, \
             attempts = slipstream_dead_letter.attempts + 1"
        ))
        .bind_rows([values]);
    tx.exec(sql).await.map(drop)
}

/// The parked events of a trigger, in the order of the log.
///
/// # Errors
/// As any statement.
pub async fn parked<C: Conn>(conn: &C, trigger: TriggerId) -> Result<Vec<DeadLetter>, StoreError> {
    let sql = conn
        .sql(&format!(
            "SELECT {COLUMNS} FROM slipstream_dead_letter WHERE trigger_id = ? AND status = 'parked' ORDER BY position, run_id"
        ))
        .bind(trigger);
    conn.all(sql).await?.iter().map(read).collect()
}

/// How many events each trigger has parked.
///
/// # Errors
/// As any statement.
pub async fn counts<C: Conn>(conn: &C) -> Result<Vec<(TriggerId, i64)>, StoreError> {
    let sql = conn.sql(
        "SELECT trigger_id, count(*) AS n FROM slipstream_dead_letter WHERE status = 'parked' GROUP BY trigger_id",
    );
    conn.all(sql).await?.iter().map(|row| Ok((TriggerId(row.int("trigger_id")?), row.int("n")?))).collect()
}

/// Says what became of a parked event; `false` when it was not parked.
///
/// # Errors
/// As any statement.
pub async fn settle<C: Conn>(tx: &C, letter: &DeadLetter, status: Status) -> Result<bool, StoreError> {
    let sql = tx
        .sql(
            "UPDATE slipstream_dead_letter SET status = ? WHERE trigger_id = ? AND run_id = ? AND position = ? \
             AND status = 'parked'",
        )
        .bind(status)
        .bind(letter.trigger)
        .bind(&letter.run_id)
        .bind(letter.position.0);
    Ok(tx.exec(sql).await? == 1)
}
