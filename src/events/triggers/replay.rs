//! A stretch of the log put to a trigger that was not there then.

use chrono::{DateTime, Utc};
use slipstream_core::event::Position;

use super::TriggerError;
use crate::events::engine::{Effect, Engine, Refired};
use crate::store::triggers::{cursor, registry};

/// Whether a replay does anything.
pub type Mode = Effect;
/// Where the trigger fires.
pub type Replayed = Refired;

/// Puts the events from one position to another, both inclusive, to a trigger on a Dag. Where it fired before it does not
/// fire again, so that a replay that was cut off is simply repeated.
///
/// # Errors
/// When it is a trigger on a task, or the stretch reaches beyond what has been evaluated; as any statement.
pub async fn replay(
    engine: &mut Engine,
    name: &str,
    stretch: (Position, Position),
    mode: Mode,
    now: DateTime<Utc>,
) -> Result<Vec<Replayed>, TriggerError> {
    let row = registry::named(engine.db(), name).await?;
    if row.task_id.is_some() {
        let message = format!(
            "'{name}' is a trigger on a task: its events belong to runs that have ended; only triggers on Dags are replayed"
        );
        return Err(TriggerError::Refused(message));
    }
    let done = cursor::get(engine.db(), cursor::ENGINE).await?.unwrap_or_default();
    let (from, to) = (stretch.0, stretch.1.min(done));
    Ok(engine.replay(&row, from, to, mode, now).await?)
}
