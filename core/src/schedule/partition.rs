//! Runs of partitions at the moments of a cron expression (`airflow/timetables/trigger.py CronPartitionTimetable`).

use chrono::{DateTime, Utc};

use super::strftime::strftime;
use super::trigger::{CronTrigger, last_moment, next_moment};
use super::types::{LastRun, NextRun, Restriction, TimetableError};
use super::zone::Fold;

/// `CronPartitionTimetable`.
#[derive(Clone, Debug, PartialEq)]
pub struct CronPartition {
    /// When runs start.
    pub trigger: CronTrigger,
    /// How many dates of the schedule the partition lies after (positive) or before (negative) its run.
    pub run_offset: i64,
    /// The partition's date as a key, in the schedule's zone (`strftime`).
    pub key_format: String,
}

impl CronPartition {
    pub(super) fn next_run(
        &self,
        last: Option<&LastRun>,
        restriction: &Restriction,
        now: DateTime<Utc>,
    ) -> Result<Option<NextRun>, TimetableError> {
        let Some(moment) = next_moment(&self.trigger, last_moment(last), restriction, now)? else {
            return Ok(None);
        };
        let partition_date = self.partition_date(moment)?;
        Ok(Some(NextRun {
            run_after: moment,
            data_interval: None,
            partition_key: Some(self.key(partition_date)),
            partition_date: Some(partition_date),
        }))
    }

    fn partition_date(&self, moment: DateTime<Utc>) -> Result<DateTime<Utc>, TimetableError> {
        let mut date = moment;
        for _ in 0..self.run_offset.unsigned_abs() {
            let schedule = &self.trigger.schedule;
            date = if self.run_offset > 0 { schedule.next(date)? } else { schedule.prev(date)? };
        }
        Ok(date)
    }

    /// The key of a partition's date.
    pub fn key(&self, partition_date: DateTime<Utc>) -> String {
        let zone = self.trigger.schedule.zone();
        let wall = zone.wall(partition_date);
        // Of the two times that such a reading may mean, the one whose offset is the instant's own.
        let before = zone.offset_of_wall(wall, Fold::Before) == zone.offset_at(partition_date);
        strftime(wall, zone, if before { Fold::Before } else { Fold::After }, &self.key_format)
    }
}
