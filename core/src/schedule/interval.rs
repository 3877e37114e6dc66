//! Schedules of data intervals: a run per interval, when the interval ends (`airflow/timetables/interval.py`).

use chrono::{DateTime, Utc};

use super::cron_schedule::CronSchedule;
use super::delta::Delta;
use super::types::{Catchup, DataInterval, NextRun, Restriction, TimetableError};

type Instant = DateTime<Utc>;

/// What differs between intervals cut by a cron expression and by a delta.
pub(super) trait IntervalSchedule {
    fn next(&self, at: Instant) -> Result<Instant, TimetableError>;
    fn align_to_next(&self, at: Instant) -> Result<Instant, TimetableError>;
    fn align_to_prev(&self, at: Instant) -> Result<Instant, TimetableError>;
    /// The earliest start without catch-up: of the last interval that is over.
    fn skip_to_latest(&self, earliest: Option<Instant>, now: Instant) -> Result<Instant, TimetableError>;
}

/// `_DataIntervalTimetable.next_dagrun_info`.
pub(super) fn next_run(
    schedule: &impl IntervalSchedule,
    last: Option<DataInterval>,
    restriction: &Restriction,
    now: Instant,
) -> Result<Option<NextRun>, TimetableError> {
    let earliest = match (restriction.catchup, restriction.earliest) {
        (Catchup::Off, earliest) => Some(schedule.skip_to_latest(earliest, now)?),
        (Catchup::On, Some(earliest)) => Some(schedule.align_to_next(earliest)?),
        (Catchup::On, None) => None,
    };
    let start = match (last, earliest) {
        (None, None) => return Ok(None),
        (None, Some(earliest)) => earliest,
        (Some(last), earliest) => start_after(schedule, last, earliest)?,
    };
    if restriction.latest.is_some_and(|latest| start > latest) {
        return Ok(None);
    }
    Ok(Some(NextRun::interval(start, schedule.next(start)?)))
}

/// Where the interval after `last` starts. The end of `last` is aligned anew, because the schedule may have changed; if
/// that leads back to the start of `last` or before, one step forward has to be enough.
fn start_after(
    schedule: &impl IntervalSchedule,
    last: DataInterval,
    earliest: Option<Instant>,
) -> Result<Instant, TimetableError> {
    let aligned = schedule.align_to_prev(last.end)?;
    let start = earliest.map_or(aligned, |earliest| aligned.max(earliest));
    if start > last.start {
        return Ok(start);
    }
    let start = schedule.next(start)?;
    if start > last.start { Ok(start) } else { Err(TimetableError::NoAdvance { at: last.start }) }
}

impl IntervalSchedule for CronSchedule {
    fn next(&self, at: Instant) -> Result<Instant, TimetableError> {
        self.next(at)
    }

    fn align_to_next(&self, at: Instant) -> Result<Instant, TimetableError> {
        self.align_to_next(at)
    }

    fn align_to_prev(&self, at: Instant) -> Result<Instant, TimetableError> {
        self.align_to_prev(at)
    }

    fn skip_to_latest(&self, earliest: Option<Instant>, now: Instant) -> Result<Instant, TimetableError> {
        let last_start = self.prev(now)?;
        let next_start = self.next(last_start)?;
        let start = match next_start.cmp(&now) {
            std::cmp::Ordering::Equal => last_start,
            std::cmp::Ordering::Greater => self.prev(last_start)?,
            std::cmp::Ordering::Less => return Err(TimetableError::NoAdvance { at: next_start }),
        };
        match earliest {
            Some(earliest) => Ok(start.max(self.align_to_next(earliest)?)),
            None => Ok(start),
        }
    }
}

impl IntervalSchedule for Delta {
    fn next(&self, at: Instant) -> Result<Instant, TimetableError> {
        self.after(at)
    }

    fn align_to_next(&self, at: Instant) -> Result<Instant, TimetableError> {
        Ok(at)
    }

    fn align_to_prev(&self, at: Instant) -> Result<Instant, TimetableError> {
        Ok(at)
    }

    fn skip_to_latest(&self, earliest: Option<Instant>, now: Instant) -> Result<Instant, TimetableError> {
        let start = self.before(round(self, now, earliest.unwrap_or(now))?)?;
        Ok(earliest.map_or(start, |earliest| start.max(earliest)))
    }
}

/// The last boundary of the schedule at or before `at` (`_round`). Months have no fixed length, so their boundaries are
/// counted from `anchor`, one by one, since clamped days (31 January, 28 February, 28 March) make the way matter.
fn round(delta: &Delta, at: Instant, anchor: Instant) -> Result<Instant, TimetableError> {
    if !delta.has_months() {
        return round_to_grid(delta.seconds(), at);
    }
    let mut boundary = anchor;
    loop {
        let next = delta.after(boundary)?;
        if next > at {
            return Ok(boundary);
        }
        if next <= boundary {
            return Err(TimetableError::NoAdvance { at: boundary });
        }
        boundary = next;
    }
}

/// Rounds down to a multiple of some seconds since 1970, in floats as Python does.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "Python's floats, within its years"
)]
fn round_to_grid(step: f64, at: Instant) -> Result<Instant, TimetableError> {
    if step == 0.0 {
        return Err(TimetableError::NoAdvance { at });
    }
    let seconds = at.timestamp_micros() as f64 / 1e6;
    let remainder = seconds % step;
    let remainder =
        if remainder != 0.0 && (remainder < 0.0) != (step < 0.0) { remainder + step } else { remainder };
    let rounded = seconds - remainder;
    let whole = rounded.trunc();
    let micros = ((rounded - whole) * 1e6).round_ties_even();
    DateTime::from_timestamp_micros(whole as i64 * 1_000_000 + micros as i64)
        .ok_or(TimetableError::OutOfRange)
}

/// `CronDataIntervalTimetable.infer_manual_data_interval`: the last interval that is over.
pub(super) fn manual_cron(
    schedule: &CronSchedule,
    run_after: Instant,
) -> Result<DataInterval, TimetableError> {
    let end = schedule.align_to_prev(run_after)?;
    Ok(DataInterval { start: schedule.prev(end)?, end })
}
