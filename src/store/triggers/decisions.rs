//! `slipstream_decision`: what each trigger made of each event that its terms name.

use slipstream_core::event::Position;

use super::{TriggerId, rows_per_statement, storable};
use crate::store::{Conn, Kind, Row, StoreError};

/// One decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The event.
    pub position: Position,
    /// The trigger.
    pub trigger: TriggerId,
    /// The run, for triggers of tasks; empty for triggers of Dags.
    pub run_id: String,
    /// `ignored`, `not_matched`, `matched`, `fired` or `parked`.
    pub verdict: String,
    /// Why, for a person.
    pub reason: String,
}

const COLUMNS: &str = "position, trigger_id, run_id, verdict, reason";
const KINDS: [(&str, Kind); 5] = [
    ("position", Kind::Int),
    ("trigger_id", Kind::Int),
    ("run_id", Kind::Text),
    ("verdict", Kind::Text),
    ("reason", Kind::Text),
];

fn read(row: &Row) -> Result<Decision, StoreError> {
    Ok(Decision {
        position: Position(row.int("position")?),
        trigger: TriggerId(row.int("trigger_id")?),
        run_id: row.text("run_id")?,
        verdict: row.text("verdict")?,
        reason: row.text("reason")?,
    })
}

/// Writes decisions; one about the same event, trigger and run is replaced (a dead letter that was tried again).
///
/// # Errors
/// As any statement.
pub async fn save<C: Conn>(tx: &C, decisions: &[Decision]) -> Result<(), StoreError> {
    for chunk in decisions.chunks(rows_per_statement(5)) {
        let values = chunk.iter().map(|decision| {
            vec![
                decision.position.0.into(),
                decision.trigger.into(),
                (&decision.run_id).into(),
                (&decision.verdict).into(),
                storable(&decision.reason).into(),
            ]
        });
        let sql = tx
            .sql(&format!(
                "INSERT INTO slipstream_decision ({COLUMNS}) ? ON CONFLICT (position, trigger_id, run_id) \
                 DO UPDATE SET verdict = excluded.verdict, reason = excluded.reason"
            ))
            .bind_table(&KINDS, values);
        tx.exec(sql).await?;
    }
    Ok(())
}

/// What was decided about an event.
///
/// # Errors
/// As any statement.
pub async fn of_event<C: Conn>(conn: &C, position: Position) -> Result<Vec<Decision>, StoreError> {
    let sql = conn
        .sql(&format!(
            "SELECT {COLUMNS} FROM slipstream_decision WHERE position = ? ORDER BY trigger_id, run_id"
        ))
        .bind(position.0);
    conn.all(sql).await?.iter().map(read).collect()
}

/// What a trigger decided last, the newest first; about one run if there is one.
///
/// # Errors
/// As any statement.
pub async fn of_trigger<C: Conn>(
    conn: &C,
    trigger: TriggerId,
    run_id: Option<&str>,
    most: i64,
) -> Result<Vec<Decision>, StoreError> {
    let sql =
        conn.sql(&format!("SELECT {COLUMNS} FROM slipstream_decision WHERE trigger_id = ?")).bind(trigger);
    let sql = match run_id {
        Some(run_id) => sql.push(" AND run_id = ?").bind(run_id),
        None => sql,
    };
    let sql = sql.push(" ORDER BY position DESC LIMIT ?").bind(most);
    conn.all(sql).await?.iter().map(read).collect()
}

/// Removes decisions about events that are no longer in the log.
///
/// # Errors
/// As any statement.
pub async fn remove_up_to<C: Conn>(tx: &C, position: Position) -> Result<u64, StoreError> {
    tx.exec(tx.sql("DELETE FROM slipstream_decision WHERE position <= ?").bind(position.0)).await
}
