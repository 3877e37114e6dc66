//! When a Dag runs next: the dispatch over timetables (`next_dagrun_info_v2`, `infer_manual_data_interval`).

use chrono::{DateTime, DurationRound, TimeDelta, Utc};

use super::timetable::Timetable;
use super::types::{DataInterval, LastRun, NextRun, Restriction, TimetableError};
use super::{interval, trigger};

/// Dates have microseconds, as Python's have; a clock may have more.
fn to_micros(at: DateTime<Utc>) -> DateTime<Utc> {
    at.duration_trunc(TimeDelta::microseconds(1)).unwrap_or(at)
}

impl Timetable {
    /// The run after `last`, or none if there is none (`next_dagrun_info_v2`).
    ///
    /// # Errors
    /// [`TimetableError::Custom`] for a plugin's timetable. Otherwise the timetable cannot say; Airflow's scheduler logs
    /// that and goes on as if there were no next run.
    pub fn next_run(
        &self,
        last: Option<&LastRun>,
        restriction: &Restriction,
        now: DateTime<Utc>,
    ) -> Result<Option<NextRun>, TimetableError> {
        let now = to_micros(now);
        match self {
            Self::CronPartition(partition) => partition.next_run(last, restriction, now),
            _ => self.next_by_interval(last.and_then(|last| last.data_interval), restriction, now),
        }
    }

    /// `next_dagrun_info`, which knows only the last run's data interval.
    fn next_by_interval(
        &self,
        last: Option<DataInterval>,
        restriction: &Restriction,
        now: DateTime<Utc>,
    ) -> Result<Option<NextRun>, TimetableError> {
        match self {
            Self::Null | Self::PartitionedAtRuntime | Self::AssetTriggered(_) | Self::PartitionedAsset(_) => {
                Ok(None)
            }
            Self::Once => Ok(once(last, restriction, now)),
            Self::Continuous => Ok(continuous(last, restriction, now)),
            Self::CronDataInterval(schedule) => interval::next_run(schedule, last, restriction, now),
            Self::DeltaDataInterval(delta) => interval::next_run(delta, last, restriction, now),
            Self::CronTrigger(cron) => trigger::next_run(cron, &cron.interval, last, restriction, now),
            Self::MultipleCronTrigger(parts) => trigger::next_of_many(parts, last, restriction, now),
            Self::DeltaTrigger(delta) => trigger::next_run(delta, &delta.interval, last, restriction, now),
            // Reached only inside `AssetOrTime`, which asks its timetable the old question.
            Self::CronPartition(partition) => {
                trigger::next_run(&partition.trigger, &partition.trigger.interval, last, restriction, now)
            }
            Self::Events(events) => Ok(events.next_run(last, restriction, now)),
            Self::AssetOrTime { timetable, .. } => timetable.next_by_interval(last, restriction, now),
            Self::Custom { path, .. } => Err(Self::custom(path)),
        }
    }

    /// What a manual run works on (`infer_manual_data_interval`).
    ///
    /// # Errors
    /// As for [`Timetable::next_run`].
    pub fn infer_manual_data_interval(
        &self,
        run_after: DateTime<Utc>,
    ) -> Result<DataInterval, TimetableError> {
        match self {
            Self::Null
            | Self::Once
            | Self::Continuous
            | Self::PartitionedAtRuntime
            | Self::AssetTriggered(_)
            | Self::PartitionedAsset(_) => Ok(DataInterval::exact(run_after)),
            Self::CronDataInterval(schedule) => interval::manual_cron(schedule, run_after),
            Self::DeltaDataInterval(delta) => {
                Ok(DataInterval { start: delta.before(run_after)?, end: run_after })
            }
            Self::CronTrigger(cron) => trigger::manual(&cron.interval, run_after),
            Self::MultipleCronTrigger(parts) => trigger::manual_of_many(parts, run_after),
            Self::DeltaTrigger(delta) => trigger::manual(&delta.interval, run_after),
            Self::CronPartition(partition) => trigger::manual(&partition.trigger.interval, run_after),
            Self::Events(events) => Ok(events.manual(run_after)),
            Self::AssetOrTime { timetable, .. } => timetable.infer_manual_data_interval(run_after),
            Self::Custom { path, .. } => Err(Self::custom(path)),
        }
    }
}

/// `OnceTimetable`: at the start date, whether or not missed runs are made up for.
fn once(last: Option<DataInterval>, restriction: &Restriction, now: DateTime<Utc>) -> Option<NextRun> {
    let at = restriction.earliest.unwrap_or(now);
    let in_time = restriction.latest.is_none_or(|latest| at <= latest);
    (last.is_none() && in_time).then(|| NextRun::exact(at))
}

/// `ContinuousTimetable`: from the end of the last run until now.
fn continuous(last: Option<DataInterval>, restriction: &Restriction, now: DateTime<Utc>) -> Option<NextRun> {
    let start_date = restriction.earliest.unwrap_or(now);
    let (start, end) = match last {
        Some(last) if last.end > now => (start_date, start_date + (last.end - last.start)),
        Some(last) => (last.end, now),
        None => (start_date, start_date.max(now)),
    };
    restriction.latest.is_none_or(|latest| end <= latest).then(|| NextRun::interval(start, end))
}
