//! What a trigger remembers between two events.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::Position;
use super::memory::Memory;

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
    /// What the parts of the condition remember, by their number.
    #[serde(rename = "m", skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) memory: BTreeMap<u16, Memory>,
    /// When the terms tick next, in microseconds, by their number.
    #[serde(rename = "t", skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) ticks: BTreeMap<u16, i64>,
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

    /// The same memory, but events from `position` on may be judged again.
    #[must_use]
    pub fn before(&self, position: Position) -> Self {
        Self { position: self.position.min(Position(position.0.saturating_sub(1))), ..self.clone() }
    }

    /// The same memory, to which events up to `position` are old.
    #[must_use]
    pub fn after(&self, position: Position) -> Self {
        Self { position: position.max(self.position), ..self.clone() }
    }

    /// How often the trigger has fired.
    pub fn fired(&self) -> u64 {
        self.fired
    }

    /// The last firing had no effect, and is not counted.
    pub fn uncount(&mut self) {
        self.fired = self.fired.saturating_sub(1);
    }

    /// The same, without what no firing will need any more: the trigger has fired as often as it may.
    #[must_use]
    pub fn at_rest(&self) -> Self {
        Self { position: self.position, fired: self.fired, ..Self::default() }
    }

    /// The events that are remembered, which a firing to come may list.
    pub fn remembered(&self) -> impl Iterator<Item = Position> + '_ {
        let held = self.memory.values().flat_map(|memory| memory.held.iter().chain(&memory.begun));
        held.flat_map(|held| held.matched.positions.iter().copied())
    }

    /// Whether nothing is remembered but how far the log was read and how often it fired: such a progress need not be
    /// kept as long as no event before [`Progress::position`] can come again and no firings are counted.
    pub fn is_blank(&self) -> bool {
        self.memory.is_empty() && self.ticks.is_empty()
    }

    /// When the trigger wants to be asked again although no event has come.
    pub fn wake_at(&self) -> Option<DateTime<Utc>> {
        let memories = self.memory.values().filter_map(|memory| memory.until);
        memories.chain(self.ticks.values().copied()).min().and_then(DateTime::from_timestamp_micros)
    }
}
