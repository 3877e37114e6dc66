//! Schedules of moments: a run at each of them (`airflow/timetables/trigger.py`).

use chrono::{DateTime, TimeDelta, Utc};

use super::cron_schedule::CronSchedule;
use super::delta::Delta;
use super::types::{Catchup, DataInterval, LastRun, NextRun, Restriction, TimetableError};

type Instant = DateTime<Utc>;

/// What the first run of a Dag without a start date does (`run_immediately`).
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RunImmediately {
    /// Takes the last moment that has passed.
    Always,
    /// Takes the last moment if it is at most this long ago, else the next one.
    Within(TimeDelta),
    /// Takes the last moment if it is at most a tenth of the period (or five minutes) ago, else the next one. Airflow
    /// does so for `False` as well as for `None`.
    WithinTenth,
}

/// `CronTriggerTimetable`, and each part of a `MultipleCronTriggerTimetable`.
#[derive(Clone, Debug, PartialEq)]
pub struct CronTrigger {
    /// When.
    pub schedule: CronSchedule,
    /// How long before the moment the data interval starts.
    pub interval: Delta,
    /// The first run.
    pub run_immediately: RunImmediately,
}

/// `DeltaTriggerTimetable`.
#[derive(Clone, Debug, PartialEq)]
pub struct DeltaTrigger {
    /// From one moment to the next.
    pub delta: Delta,
    /// How long before the moment the data interval starts.
    pub interval: Delta,
}

pub(super) trait TriggerSchedule {
    fn next(&self, at: Instant) -> Result<Instant, TimetableError>;
    fn align_to_next(&self, at: Instant) -> Result<Instant, TimetableError>;
    fn align_to_prev(&self, at: Instant) -> Result<Instant, TimetableError>;
    /// The first moment of a Dag without a start date.
    fn first(&self, now: Instant) -> Result<Instant, TimetableError>;
}

/// The next moment, or none if the restriction ends before it. `last` is the last one that was taken.
pub(super) fn next_moment(
    schedule: &impl TriggerSchedule,
    last: Option<Instant>,
    restriction: &Restriction,
    now: Instant,
) -> Result<Option<Instant>, TimetableError> {
    let earliest = restriction.earliest;
    let moment = match (restriction.catchup, last, earliest) {
        (Catchup::On, Some(last), _) => schedule.next(last)?,
        (Catchup::On, None, None) => schedule.first(now)?,
        (Catchup::On, None, Some(earliest)) => schedule.align_to_next(earliest)?,
        (Catchup::Off, _, _) => {
            let mut moment = schedule.align_to_prev(now)?;
            if let Some(last) = last {
                moment = moment.max(schedule.next(last)?);
            } else if earliest.is_none() {
                moment = moment.max(schedule.first(now)?);
            }
            match earliest {
                Some(earliest) => moment.max(schedule.align_to_next(earliest)?),
                None => moment,
            }
        }
    };
    Ok(restriction.latest.is_none_or(|latest| latest >= moment).then_some(moment))
}

/// `_TriggerTimetable.next_dagrun_info`.
pub(super) fn next_run(
    schedule: &impl TriggerSchedule,
    interval: &Delta,
    last: Option<DataInterval>,
    restriction: &Restriction,
    now: Instant,
) -> Result<Option<NextRun>, TimetableError> {
    let Some(moment) = next_moment(schedule, last.map(|last| last.end), restriction, now)? else {
        return Ok(None);
    };
    Ok(Some(NextRun::interval(interval.before(moment)?, moment)))
}

/// `_TriggerTimetable.infer_manual_data_interval`.
pub(super) fn manual(interval: &Delta, run_after: Instant) -> Result<DataInterval, TimetableError> {
    Ok(DataInterval { start: interval.before(run_after)?, end: run_after })
}

/// `MultipleCronTriggerTimetable.next_dagrun_info`: with catch-up the earliest of all, without it the latest that has
/// passed, or else the earliest to come.
pub(super) fn next_of_many(
    parts: &[CronTrigger],
    last: Option<DataInterval>,
    restriction: &Restriction,
    now: Instant,
) -> Result<Option<NextRun>, TimetableError> {
    let mut best: Option<(i64, NextRun)> = None;
    for part in parts {
        let Some(run) = next_run(part, &part.interval, last, restriction, now)? else { continue };
        let Some(at) = run.logical_date() else { continue };
        let passed = restriction.catchup == Catchup::Off && at <= now;
        let key = if passed { -at.timestamp_micros() } else { at.timestamp_micros() };
        if best.as_ref().is_none_or(|(least, _)| key < *least) {
            best = Some((key, run));
        }
    }
    Ok(best.map(|(_, run)| run))
}

/// `MultipleCronTriggerTimetable.infer_manual_data_interval`: the one that starts first.
pub(super) fn manual_of_many(
    parts: &[CronTrigger],
    run_after: Instant,
) -> Result<DataInterval, TimetableError> {
    let mut best = DataInterval::exact(run_after);
    for (index, part) in parts.iter().enumerate() {
        let interval = manual(&part.interval, run_after)?;
        if index == 0 || interval.start < best.start {
            best = interval;
        }
    }
    Ok(best)
}

impl TriggerSchedule for CronTrigger {
    fn next(&self, at: Instant) -> Result<Instant, TimetableError> {
        self.schedule.next(at)
    }

    fn align_to_next(&self, at: Instant) -> Result<Instant, TimetableError> {
        self.schedule.align_to_next(at)
    }

    fn align_to_prev(&self, at: Instant) -> Result<Instant, TimetableError> {
        self.schedule.align_to_prev(at)
    }

    fn first(&self, now: Instant) -> Result<Instant, TimetableError> {
        let past = self.schedule.align_to_prev(now)?;
        let next = self.schedule.align_to_next(now)?;
        let buffer = match self.run_immediately {
            RunImmediately::Always => return Ok(past),
            RunImmediately::Within(buffer) => buffer,
            RunImmediately::WithinTenth => tenth(next - past).max(TimeDelta::minutes(5)),
        };
        Ok(if now - past <= buffer { past } else { next })
    }
}

impl TriggerSchedule for DeltaTrigger {
    fn next(&self, at: Instant) -> Result<Instant, TimetableError> {
        self.delta.after(at)
    }

    fn align_to_next(&self, at: Instant) -> Result<Instant, TimetableError> {
        Ok(at)
    }

    fn align_to_prev(&self, at: Instant) -> Result<Instant, TimetableError> {
        Ok(at)
    }

    fn first(&self, now: Instant) -> Result<Instant, TimetableError> {
        Ok(now)
    }
}

/// A tenth, in microseconds rounded half to even.
fn tenth(period: TimeDelta) -> TimeDelta {
    let micros = period.num_microseconds().unwrap_or(i64::MAX);
    let (whole, rest) = (micros.div_euclid(10), micros.rem_euclid(10));
    let up = rest > 5 || (rest == 5 && whole % 2 != 0);
    TimeDelta::microseconds(whole + i64::from(up))
}

/// The last moment as a partitioned cron schedule counts it: by `run_after`, since its runs have no data interval.
pub(super) fn last_moment(last: Option<&LastRun>) -> Option<Instant> {
    last.map(|last| last.run_after)
}
