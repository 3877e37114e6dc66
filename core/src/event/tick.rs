//! The rhythm of a tick: a cron expression or an interval.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

use super::read::{Part, wrong};
use super::{EvalError, SpecError};
use crate::schedule::{CronSchedule, Zone};

/// When a tick is due.
#[derive(Debug)]
pub(super) enum Rhythm {
    /// At the times of an expression.
    Cron { expression: String, schedule: Box<CronSchedule> },
    /// Every so often, counted from when the trigger began to watch.
    Every(TimeDelta),
}

impl Rhythm {
    pub(super) fn read(place: &str, part: &Part<'_>) -> Result<Self, SpecError> {
        match (part.text("cron")?, part.seconds("interval")?) {
            (None, Some(interval)) => Ok(Self::Every(interval)),
            (Some(expression), None) => {
                let zone = part.get("timezone").map_or(Ok(Zone::UTC), Zone::from_serialized);
                let zone = zone.map_err(|error| part.wrong("timezone", &error.to_string()))?;
                let schedule = Box::new(CronSchedule::new(expression, zone));
                let sample = schedule.next(DateTime::UNIX_EPOCH);
                sample.map_err(|error| part.wrong("cron", &error.to_string()))?;
                Ok(Self::Cron { expression: expression.to_owned(), schedule })
            }
            _ => Err(wrong(place, "it must have either `cron` or `interval`")),
        }
    }

    /// The first tick after a time at which the trigger began to watch, or at which it ticked.
    pub(super) fn after(&self, at: DateTime<Utc>) -> Result<DateTime<Utc>, EvalError> {
        let late = |problem: String| EvalError::Tick { problem };
        match self {
            Self::Cron { schedule, .. } => schedule.next(at).map_err(|error| late(error.to_string())),
            Self::Every(interval) => {
                at.checked_add_signed(*interval).ok_or_else(|| late("it lies beyond the calendar".to_owned()))
            }
        }
    }

    /// The last tick at or before `now`, given that one is due since `due`: those that were missed become one.
    pub(super) fn latest(&self, due: DateTime<Utc>, now: DateTime<Utc>) -> DateTime<Utc> {
        match self {
            Self::Cron { schedule, .. } => schedule.align_to_prev(now).unwrap_or(due).max(due),
            Self::Every(interval) => {
                let (passed, each) = (now - due, interval.num_microseconds().unwrap_or(i64::MAX).max(1));
                let times = passed.num_microseconds().unwrap_or(0) / each;
                due + TimeDelta::microseconds(times.saturating_mul(each))
            }
        }
    }
}

impl std::fmt::Display for Rhythm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Cron { expression, schedule } => {
                let zone = schedule.zone().to_serialized();
                match zone.as_str() {
                    Some("UTC") => write!(f, "`{expression}`"),
                    _ => write!(f, "`{expression}` in {}", Value::as_str(&zone).unwrap_or("a fixed offset")),
                }
            }
            Self::Every(interval) => write!(f, "every {} s", interval.as_seconds_f64()),
        }
    }
}
