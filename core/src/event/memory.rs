//! What the parts of a condition remember.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use serde_json::Value;

use super::{Event, Position};

/// How many events a firing lists at most: the latest ones.
pub const MAX_LISTED: usize = 256;

/// Events that together fulfil a part of a condition.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Match {
    /// Their positions, ascending.
    #[serde(rename = "p", default, skip_serializing_if = "Vec::is_empty")]
    pub(super) positions: Vec<Position>,
    /// The times of the earliest and the latest, in microseconds; none for an absence.
    #[serde(rename = "t", default, skip_serializing_if = "Option::is_none")]
    pub(super) span: Option<(i64, i64)>,
    /// Whether it stays after the firing that it takes part in.
    #[serde(rename = "r", default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) stays: bool,
}

impl Match {
    pub(super) fn single(event: &Event, stays: bool) -> Self {
        let time = event.time.timestamp_micros();
        Self { positions: vec![event.position], span: Some((time, time)), stays }
    }

    /// What an absence fulfils: no event. It lasts until it is revoked.
    pub(super) fn absence() -> Self {
        Self { positions: Vec::new(), span: None, stays: true }
    }

    /// The parts together; it stays if all of them do.
    pub(super) fn union<'a>(parts: impl IntoIterator<Item = &'a Match>) -> Self {
        let mut whole = Self { stays: true, ..Self::default() };
        for part in parts {
            whole.positions.extend(&part.positions);
            whole.span = match (whole.span, part.span) {
                (Some((first, last)), Some((from, to))) => Some((first.min(from), last.max(to))),
                (span, None) | (None, span) => span,
            };
            whole.stays &= part.stays;
        }
        whole.positions.sort_unstable();
        whole.positions.dedup();
        whole.positions.drain(..whole.positions.len().saturating_sub(MAX_LISTED));
        whole
    }

    /// Whether it lies within a window (microseconds) that ends at `newest`.
    pub(super) fn is_fresh(&self, newest: i64, window: Option<i64>) -> bool {
        match (self.span, window) {
            (Some((earliest, _)), Some(window)) => newest.saturating_sub(earliest) <= window,
            _ => true,
        }
    }

    pub(super) fn overlaps(&self, other: &Self) -> bool {
        self.positions.iter().any(|position| other.positions.binary_search(position).is_ok())
    }
}

/// A match that is remembered, and what for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Held {
    /// Which child or step it fulfils.
    #[serde(rename = "i", default, skip_serializing_if = "is_default")]
    pub(super) child: u16,
    /// Its number, for a sum.
    #[serde(rename = "v", default, skip_serializing_if = "is_default", with = "exact")]
    pub(super) value: f64,
    /// Its text, for a count of distinct ones.
    #[serde(rename = "d", default, skip_serializing_if = "Option::is_none")]
    pub(super) distinct: Option<String>,
    #[serde(flatten)]
    pub(super) matched: Match,
}

impl Held {
    pub(super) fn child(child: usize, matched: Match) -> Self {
        Self { child: child as u16, value: 0.0, distinct: None, matched }
    }
}

/// What one part of a condition remembers. Each kind of part uses what it needs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Memory {
    /// Matches of its children.
    #[serde(rename = "h", default, skip_serializing_if = "Vec::is_empty")]
    pub(super) held: Vec<Held>,
    /// In a sequence: what a step that has begun follows.
    #[serde(rename = "b", default, skip_serializing_if = "Vec::is_empty")]
    pub(super) begun: Vec<Held>,
    /// How many were counted, or which child was fulfilled last.
    #[serde(rename = "n", default, skip_serializing_if = "is_default")]
    pub(super) count: u64,
    /// What a sum has come to.
    #[serde(rename = "s", default, skip_serializing_if = "is_default", with = "exact")]
    pub(super) total: f64,
    /// What a Python function remembers.
    #[serde(rename = "y", default, skip_serializing_if = "Value::is_null")]
    pub(super) state: Value,
    /// When something is due, in microseconds.
    #[serde(rename = "u", default, skip_serializing_if = "Option::is_none")]
    pub(super) until: Option<i64>,
}

impl Memory {
    /// Remembers a match as the latest of its child.
    pub(super) fn put(&mut self, child: usize, matched: Match) {
        match self.held.iter_mut().find(|held| usize::from(held.child) == child) {
            Some(held) => held.matched = matched,
            None => {
                self.held.push(Held::child(child, matched));
                self.held.sort_by_key(|held| held.child);
            }
        }
    }

    pub(super) fn get(&self, child: usize) -> Option<&Match> {
        self.held.iter().find(|held| usize::from(held.child) == child).map(|held| &held.matched)
    }

    pub(super) fn forget(&mut self, child: usize) {
        self.held.retain(|held| usize::from(held.child) != child);
    }

    /// The time of the newest event held, in microseconds.
    pub(super) fn newest(&self) -> i64 {
        self.held
            .iter()
            .filter_map(|held| held.matched.span)
            .map(|(_, latest)| latest)
            .max()
            .unwrap_or(i64::MIN)
    }

    pub(super) fn is_due(&self, now: DateTime<Utc>) -> bool {
        self.until.is_some_and(|until| until <= now.timestamp_micros())
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// A number as text, which reads back as the same number to the last bit.
mod exact {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    #[allow(clippy::trivially_copy_pass_by_ref)]
    pub(super) fn serialize<S: Serializer>(number: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(number)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(|_| D::Error::custom("it is not a number"))
    }
}
