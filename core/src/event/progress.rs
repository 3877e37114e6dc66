//! What a trigger remembers between two events.

use serde::{Deserialize, Serialize};

use super::Position;

/// What a trigger remembers, for one run and one correlation key. Its JSON is small and its shape stable.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Progress {
    /// The last event that was judged; an event at or before it is not judged again.
    #[serde(rename = "p")]
    pub(super) position: Position,
    /// How often the trigger has fired.
    #[serde(rename = "f", skip_serializing_if = "is_zero")]
    pub(super) fired: u64,
}

#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Progress {
    /// The last event that was judged.
    pub fn position(&self) -> Position {
        self.position
    }

    /// How often the trigger has fired.
    pub fn fired(&self) -> u64 {
        self.fired
    }
}
