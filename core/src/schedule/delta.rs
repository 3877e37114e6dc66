//! Lengths of time: Python's `timedelta` and dateutil's `relativedelta` (`airflow/timetables/_delta.py`).

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, TimeDelta, Timelike, Utc};
use serde_json::{Map, Value};

use super::types::TimetableError;

/// A length of time that a schedule steps by.
#[derive(Clone, Debug, PartialEq)]
pub enum Delta {
    /// A `timedelta`.
    Fixed(TimeDelta),
    /// A `relativedelta`.
    Relative(RelativeDelta),
}

/// A weekday to move to, counted from Monday = 0, and which one: 1 the next, -1 the last (today counts).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weekday {
    /// From Monday = 0.
    pub weekday: u32,
    /// Which one; never 0.
    pub nth: i64,
}

/// A `relativedelta`, normalized as its constructor does. Microseconds stand for all units from days down.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RelativeDelta {
    /// Twelve months.
    years: i64,
    /// -11 to 11.
    months: i64,
    /// Days, hours, minutes, seconds and microseconds together.
    micros: i64,
    leapdays: i64,
    year: Option<i64>,
    month: Option<i64>,
    day: Option<i64>,
    hour: Option<i64>,
    minute: Option<i64>,
    second: Option<i64>,
    microsecond: Option<i64>,
    weekday: Option<Weekday>,
}

/// Microseconds of a number of units: exact for integers, rounded half to even for fractions, as `timedelta` does.
fn micros(value: &Value, unit: i64) -> Option<i64> {
    if let Some(whole) = value.as_i64() {
        return whole.checked_mul(unit);
    }
    let value = value.as_f64()?;
    let whole = value.trunc();
    #[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "bounded just below")]
    let parts = (whole.abs() < 1e12)
        .then(|| (whole as i64, ((value - whole) * unit as f64).round_ties_even() as i64))?;
    parts.0.checked_mul(unit)?.checked_add(parts.1)
}

const SECOND: i64 = 1_000_000;
const DAY: i64 = 86_400 * SECOND;

impl Delta {
    /// No time at all.
    pub const ZERO: Delta = Delta::Fixed(TimeDelta::zero());

    /// Reads what `encode_interval` wrote: seconds, or the fields of a `relativedelta`. None if it is neither.
    pub fn from_serialized(value: &Value) -> Option<Self> {
        match value {
            Value::Object(fields) => RelativeDelta::from_fields(fields).map(Self::Relative),
            Value::Number(_) => micros(value, SECOND).map(TimeDelta::microseconds).map(Self::Fixed),
            _ => None,
        }
    }

    /// An instant, one delta later.
    pub fn after(&self, at: DateTime<Utc>) -> Result<DateTime<Utc>, TimetableError> {
        match self {
            Self::Fixed(delta) => at.checked_add_signed(*delta),
            Self::Relative(delta) => delta.apply(at.naive_utc(), 1).map(|at| at.and_utc()),
        }
        .filter(in_range)
        .ok_or(TimetableError::OutOfRange)
    }

    /// An instant, one delta earlier.
    pub fn before(&self, at: DateTime<Utc>) -> Result<DateTime<Utc>, TimetableError> {
        match self {
            Self::Fixed(delta) => at.checked_sub_signed(*delta),
            Self::Relative(delta) => delta.apply(at.naive_utc(), -1).map(|at| at.and_utc()),
        }
        .filter(in_range)
        .ok_or(TimetableError::OutOfRange)
    }

    /// Whether its length depends on the calendar.
    pub(super) fn has_months(&self) -> bool {
        matches!(self, Self::Relative(delta) if delta.months != 0 || delta.years != 0)
    }

    /// Its length in seconds, for rounding to its own grid; whole seconds only for a `relativedelta`.
    pub(super) fn seconds(&self) -> f64 {
        let micros = match self {
            Self::Fixed(delta) => delta.num_microseconds().unwrap_or(i64::MAX),
            // dateutil has carried the microseconds over one second into the seconds; the rest does not count.
            Self::Relative(delta) => delta.micros / SECOND * SECOND,
        };
        #[expect(clippy::cast_precision_loss, reason = "Python's total_seconds() is a float as well")]
        let seconds = micros as f64 / 1e6;
        seconds
    }
}

/// The years that Python's datetime has.
fn in_range(at: &DateTime<Utc>) -> bool {
    (1..=9999).contains(&at.year())
}

impl RelativeDelta {
    fn from_fields(fields: &Map<String, Value>) -> Option<Self> {
        let mut delta = Self::default();
        let (mut years, mut months) = (0, 0);
        for (name, value) in fields {
            let mut add = |unit| {
                delta.micros = delta.micros.checked_add(micros(value, unit)?)?;
                Some(())
            };
            match name.as_str() {
                "days" => add(DAY)?,
                "weeks" => add(7 * DAY)?,
                "hours" => add(3600 * SECOND)?,
                "minutes" => add(60 * SECOND)?,
                "seconds" => add(SECOND)?,
                "microseconds" => add(1)?,
                "years" => years = whole(value)?,
                "months" => months = whole(value)?,
                "leapdays" => delta.leapdays = whole(value)?,
                "year" => delta.year = Some(whole(value)?),
                "month" => delta.month = Some(whole(value)?),
                "day" => delta.day = Some(whole(value)?),
                "hour" => delta.hour = Some(whole(value)?),
                "minute" => delta.minute = Some(whole(value)?),
                "second" => delta.second = Some(whole(value)?),
                "microsecond" => delta.microsecond = Some(whole(value)?),
                "weekday" => delta.weekday = Some(weekday(value)?),
                _ => return None,
            }
        }
        delta.years = years.checked_add(months / 12)?;
        delta.months = months % 12;
        Some(delta)
    }

    /// A reading of the clock plus (`sign` 1) or minus (-1) this delta.
    fn apply(&self, at: NaiveDateTime, sign: i64) -> Option<NaiveDateTime> {
        let year = self.year.filter(|year| *year != 0).unwrap_or(at.year().into()) + sign * self.years;
        let month = self.month.filter(|month| *month != 0).unwrap_or(at.month().into()) + sign * self.months;
        let year = i32::try_from(year + (month - 1).div_euclid(12)).ok()?;
        let month = u32::try_from((month - 1).rem_euclid(12) + 1).ok()?;
        let first = NaiveDate::from_ymd_opt(year, month, 1)?;
        let days = u32::from(first.num_days_in_month());
        let day = self.day.filter(|day| *day != 0).unwrap_or(at.day().into());
        let date = first.with_day(u32::try_from(day).ok()?.min(days))?;
        let time = at
            .time()
            .with_hour(or(self.hour, at.hour())?)?
            .with_minute(or(self.minute, at.minute())?)?
            .with_second(or(self.second, at.second())?)?
            .with_nanosecond(or(self.microsecond, at.nanosecond() / 1000)?.checked_mul(1000)?)?;
        let leap = if month > 2 && date.leap_year() { self.leapdays } else { 0 };
        let delta = TimeDelta::microseconds(sign * self.micros).checked_add(&TimeDelta::try_days(leap)?)?;
        let moved = date.and_time(time).checked_add_signed(delta)?;
        match self.weekday {
            Some(weekday) => moved.checked_add_signed(TimeDelta::try_days(weekday.jump(moved))?),
            None => Some(moved),
        }
    }
}

impl Weekday {
    fn jump(self, from: NaiveDateTime) -> i64 {
        let today = i64::from(from.weekday().num_days_from_monday());
        let weeks = (self.nth.abs() - 1) * 7;
        if self.nth > 0 {
            weeks + (7 - today + i64::from(self.weekday)).rem_euclid(7)
        } else {
            -(weeks + (today - i64::from(self.weekday)).rem_euclid(7))
        }
    }
}

fn or(absolute: Option<i64>, current: u32) -> Option<u32> {
    absolute.map_or(Some(current), |value| u32::try_from(value).ok())
}

fn whole(value: &Value) -> Option<i64> {
    #[expect(clippy::cast_possible_truncation, reason = "checked to be whole and small")]
    let from_float = |f: f64| (f.fract() == 0.0 && f.abs() < 1e9).then_some(f as i64);
    value.as_i64().or_else(|| value.as_f64().and_then(from_float))
}

/// `[weekday]` or `[weekday, nth]`.
fn weekday(value: &Value) -> Option<Weekday> {
    let parts = value.as_array()?;
    let weekday = u32::try_from(parts.first()?.as_u64()?).ok().filter(|weekday| *weekday < 7)?;
    let nth = parts.get(1).map_or(Some(1), Value::as_i64).filter(|nth| *nth != 0)?;
    Some(Weekday { weekday, nth })
}
