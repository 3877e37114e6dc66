//! Which partitions make up a larger one (`airflow/partition_mappers/window.py`).

use std::collections::BTreeSet;

use chrono::{Datelike, TimeDelta};

use super::error::MapError;
use super::mapper::Decoded;
use super::wall::Wall;

/// Which way a window lies from its date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the date on.
    Forward,
    /// Up to the date.
    Backward,
}

/// What a window covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Span {
    /// Sixty minutes.
    Hour,
    /// Twenty-four hours of the clock.
    Day,
    /// Seven days.
    Week,
    /// The days of a month.
    Month,
    /// Three months.
    Quarter,
    /// Twelve months.
    Year,
}

/// A set of partitions that belong to one larger partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Window {
    /// A stretch of time.
    Time {
        /// How long.
        span: Span,
        /// Which way.
        direction: Direction,
    },
    /// Fixed keys.
    Segments(BTreeSet<String>),
    /// A plugin's.
    Custom {
        /// The import path of its class.
        path: String,
    },
}

impl Window {
    /// The members of the window of a decoded key (`to_upstream`). Segments come sorted; Python has them in no order.
    pub(super) fn members(&self, decoded: &Decoded) -> Result<Vec<Decoded>, MapError> {
        let (span, direction) = match self {
            Self::Segments(keys) => return Ok(keys.iter().cloned().map(Decoded::Text).collect()),
            Self::Custom { path } => return Err(MapError::Custom { path: path.clone() }),
            Self::Time { span, direction } => (*span, *direction),
        };
        let Decoded::Time(start) = decoded else {
            return Err(MapError::Type(format!(
                "{} expects decoded values of type 'datetime'",
                span.class()
            )));
        };
        Ok(members(span, direction, *start)?.into_iter().map(Decoded::Time).collect())
    }
}

impl Span {
    /// The name of Airflow's class.
    pub(super) fn class(self) -> &'static str {
        match self {
            Self::Hour => "HourWindow",
            Self::Day => "DayWindow",
            Self::Week => "WeekWindow",
            Self::Month => "MonthWindow",
            Self::Quarter => "QuarterWindow",
            Self::Year => "YearWindow",
        }
    }
}

fn members(span: Span, direction: Direction, start: Wall) -> Result<Vec<Wall>, MapError> {
    let by_time = |step: TimeDelta, count: i32| steps(count, direction, |i| start.plus(step * i));
    match span {
        Span::Hour => return by_time(TimeDelta::minutes(1), 60),
        Span::Day => return by_time(TimeDelta::hours(1), 24),
        Span::Week => return by_time(TimeDelta::days(1), 7),
        Span::Month | Span::Quarter | Span::Year => {}
    }
    if start.at.day() != 1 {
        return Err(MapError::Value(format!(
            "{} expects a period start on day 1 of the month, got {}. The paired upstream mapper's \
             decode_downstream must normalise to day 1.",
            span.class(),
            start.isoformat(),
        )));
    }
    match span {
        Span::Quarter => steps(3, direction, |i| start.plus_months(i)),
        Span::Year => steps(12, direction, |i| start.plus_months(i)),
        _ => month(start, direction),
    }
}

/// The days of the month that starts here; backward, the days after the first of the month before, up to this one.
fn month(start: Wall, direction: Direction) -> Result<Vec<Wall>, MapError> {
    let (from, to, shift) = match direction {
        Direction::Forward => (start, start.plus_months(1)?, 0),
        Direction::Backward => (start.plus_months(-1)?, start, 1),
    };
    let days = (to.at - from.at).num_days();
    (0..days).map(|day| from.plus(TimeDelta::days(day + shift))).collect()
}

fn steps(
    count: i32,
    direction: Direction,
    step: impl Fn(i32) -> Result<Wall, MapError>,
) -> Result<Vec<Wall>, MapError> {
    let first = if direction == Direction::Backward { 1 - count } else { 0 };
    (first..first + count).map(step).collect()
}
