//! What people do with triggers: add and remove them, pause them, ask why, try again, replay.
//!
//! Everything that changes something waits for the engine's lock, so that it happens between two portions of the log.

mod change;
mod explain;
mod letters;
mod replay;
mod try_out;

use slipstream_core::event::{SpecError, TriggerSpec};

use crate::store::StoreError;
use crate::store::triggers::registry::{Status, TriggerRow};

pub use change::{NewExternal, add, delete, pause, resume};
pub use explain::{About, explain};
pub use letters::{Which, retry, skip};
pub use replay::{Mode, Replayed, replay};
pub use try_out::{Tried, try_out};

/// Why a trigger is left out, though it is neither paused nor retired: what it says has no meaning.
pub fn left_out(row: &TriggerRow) -> Option<String> {
    match row.status {
        Status::Retired => None,
        Status::Active | Status::Paused => {
            TriggerSpec::from_json(&row.spec).err().map(|error| error.to_string())
        }
    }
}

/// Why something cannot be done with a trigger.
#[derive(Debug, thiserror::Error)]
pub enum TriggerError {
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What it says has no meaning.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// It does not fit.
    #[error("{0}")]
    Refused(String),
}
