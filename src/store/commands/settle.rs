//! Writing what becomes of commands.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use slipstream_core::event::command::{Fate, Move};
use uuid::Uuid;

use super::load::{ALSO, Stored};
use crate::store::{Conn, StoreError, Tx};

/// Writes what was decided about the commands of one task, here and in `commands`.
///
/// # Errors
/// As any statement.
pub async fn write(
    tx: &Tx,
    commands: &mut [Stored],
    moves: &[Move],
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    for step in moves {
        match &step.fate {
            Fate::Goes(status) => {
                let sql = tx
                    .sql("UPDATE slipstream_command SET status = ?, reason = ? WHERE id = ?")
                    .bind(status.as_str())
                    .bind(step.reason.as_str())
                    .bind(step.command);
                tx.exec(sql).await?;
                if let Some(stored) = commands.iter_mut().find(|stored| stored.command.id == step.command) {
                    stored.command.status = *status;
                }
            }
            Fate::Done | Fate::Joined => over(tx, step.command, "done", &step.reason, now).await?,
            Fate::Dropped => over(tx, step.command, "dropped", &step.reason, now).await?,
            Fate::MergedInto(into) => {
                over(tx, step.command, "dropped", &step.reason, now).await?;
                let from = commands.iter().find(|stored| stored.command.id == step.command);
                let firings = from.map(Stored::firings).unwrap_or_default();
                if let Some(into) = commands.iter_mut().find(|stored| stored.command.id == *into) {
                    inherit(tx, into, &firings).await?;
                }
            }
        }
    }
    Ok(())
}

/// A command is over.
///
/// # Errors
/// As any statement.
pub async fn over(
    tx: &Tx,
    command: i64,
    status: &str,
    reason: &str,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let sql = tx
        .sql("UPDATE slipstream_command SET status = ?, reason = ?, done_at = ? WHERE id = ?")
        .bind(status)
        .bind(reason)
        .bind(now)
        .bind(command);
    tx.exec(sql).await?;
    Ok(())
}

/// The events of other firings go with this command.
async fn inherit(tx: &Tx, into: &mut Stored, firings: &[Uuid]) -> Result<(), StoreError> {
    let mut all: Vec<Value> = into.options.get(ALSO).and_then(Value::as_array).cloned().unwrap_or_default();
    all.extend(firings.iter().map(|id| Value::from(id.to_string())));
    if !into.options.is_object() {
        into.options = json!({});
    }
    into.options[ALSO] = all.into();
    let sql = tx
        .sql("UPDATE slipstream_command SET options = ? WHERE id = ?")
        .bind(&into.options)
        .bind(into.command.id);
    tx.exec(sql).await?;
    Ok(())
}
