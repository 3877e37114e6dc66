//! A cron expression in a time zone (`airflow/timetables/_cron.py`).

use chrono::{DateTime, Utc};

use super::cron::{Cron, CronError};
use super::types::TimetableError;
use super::zone::Zone;

/// A cron expression that is read on the clocks of a zone.
///
/// An invalid expression is kept: as in Airflow, the timetable exists, and fails when it is asked for a date.
#[derive(Clone, Debug, PartialEq)]
pub struct CronSchedule {
    cron: Result<Cron, CronError>,
    zone: Zone,
}

/// Airflow's own presets, exactly as they are spelled; croniter knows more (`@midnight`), in any case of letters.
fn preset(expression: &str) -> &str {
    match expression {
        "@hourly" => "0 * * * *",
        "@daily" => "0 0 * * *",
        "@weekly" => "0 0 * * 0",
        "@monthly" => "0 0 1 * *",
        "@quarterly" => "0 0 1 */3 *",
        "@yearly" => "0 0 1 1 *",
        other => other,
    }
}

impl CronSchedule {
    /// Parses an expression or preset.
    pub fn new(expression: &str, zone: Zone) -> Self {
        Self { cron: Cron::parse(preset(expression)), zone }
    }

    /// The zone whose clocks count.
    pub fn zone(&self) -> Zone {
        self.zone
    }

    fn cron(&self) -> Result<&Cron, TimetableError> {
        self.cron.as_ref().map_err(|error| error.clone().into())
    }

    /// The first date after an instant (`_get_next`).
    ///
    /// A schedule with a run in every hour moves by the time that really passes, so that an hour which the clocks
    /// repeat gets its runs twice; any other keeps to the reading of the clock.
    pub fn next(&self, current: DateTime<Utc>) -> Result<DateTime<Utc>, TimetableError> {
        let cron = self.cron()?;
        let wall = self.zone.wall(current);
        let scheduled = cron.next_after(wall)?;
        Ok(if cron.covers_every_hour() { current + (scheduled - wall) } else { self.zone.instant(scheduled) })
    }

    /// The last date before an instant (`_get_prev`).
    pub fn prev(&self, current: DateTime<Utc>) -> Result<DateTime<Utc>, TimetableError> {
        let cron = self.cron()?;
        let wall = self.zone.wall(current);
        let scheduled = cron.prev_before(wall)?;
        Ok(if cron.covers_every_hour() { current - (wall - scheduled) } else { self.zone.instant(scheduled) })
    }

    /// The instant itself if it is a date of the schedule, else the next one (`_align_to_next`).
    pub fn align_to_next(&self, current: DateTime<Utc>) -> Result<DateTime<Utc>, TimetableError> {
        let next = self.next(current)?;
        Ok(if self.prev(next)? == current { current } else { next })
    }

    /// The instant itself if it is a date of the schedule, else the previous one (`_align_to_prev`).
    pub fn align_to_prev(&self, current: DateTime<Utc>) -> Result<DateTime<Utc>, TimetableError> {
        let prev = self.prev(current)?;
        Ok(if self.next(prev)? == current { current } else { prev })
    }
}
