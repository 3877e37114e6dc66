//! Cron expressions with the meaning that croniter 7.0.0 gives them, on the wall clock.
//!
//! Zones are not handled here: Airflow hands croniter naive times and resolves changes of the clock itself
//! (`airflow/timetables/_cron.py`), which is [`super::CronSchedule`]'s part.

mod expand;
mod field;
mod search;
mod tokens;

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDateTime;

use field::Field;

/// Why an expression has no meaning, or no further date.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CronError {
    /// croniter does not accept it either.
    #[error("cron expression `{expression}` is not acceptable: {reason}")]
    Invalid {
        /// The expression as given.
        expression: String,
        /// What is wrong with it.
        reason: String,
    },
    /// It means another schedule each time it is asked.
    #[error(
        "cron expression `{expression}` draws random times (`R`), so it has no schedule: write the times out"
    )]
    Random {
        /// The expression as given.
        expression: String,
    },
    /// Nothing matches within fifty years.
    #[error("cron expression `{expression}` matches no date within 50 years of {from}")]
    NoDate {
        /// The expression as given.
        expression: String,
        /// Where the search began.
        from: NaiveDateTime,
    },
}

/// Which occurrence of a weekday in its month.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Nth {
    /// `mon#2`.
    Number(usize),
    /// `L1`.
    Last,
}

/// Where to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Direction {
    Next,
    Prev,
}

/// A parsed expression of five, six (seconds last) or seven (seconds, then years) fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cron {
    expression: String,
    minute: Field,
    hour: Field,
    day: Field,
    month: Field,
    weekday: Field,
    second: Option<Field>,
    year: Option<Field>,
    /// `#` and `L` of the weekday field, by weekday (0 is Sunday).
    nth_weekdays: BTreeMap<u32, BTreeSet<Nth>>,
    /// `W` of the day field.
    nearest_weekday: Option<u32>,
}

impl Cron {
    /// Parses an expression, or one of croniter's `@` names.
    pub fn parse(expression: &str) -> Result<Self, CronError> {
        expand::expand(expression)
    }

    /// The expression as it was given.
    pub fn expression(&self) -> &str {
        &self.expression
    }

    /// The first match after a reading of the clock (`get_next`).
    pub fn next_after(&self, wall: NaiveDateTime) -> Result<NaiveDateTime, CronError> {
        self.find(wall, Direction::Next)
    }

    /// The last match before a reading of the clock (`get_prev`).
    pub fn prev_before(&self, wall: NaiveDateTime) -> Result<NaiveDateTime, CronError> {
        self.find(wall, Direction::Prev)
    }

    /// Whether the hour field is exactly `*` once expanded (`_covers_every_hour`).
    pub fn covers_every_hour(&self) -> bool {
        self.hour.is_only_star()
    }
}
