//! Runs at listed dates (`airflow/timetables/events.py`).

use chrono::{DateTime, Utc};

use super::types::{Catchup, DataInterval, NextRun, Restriction};

/// `EventsTimetable`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Events {
    /// The dates, in the order they are stored in, which is ascending.
    pub dates: Vec<DateTime<Utc>>,
    /// Whether a manual run works on the last date instead of on the moment it was asked for.
    pub restrict_to_events: bool,
}

impl Events {
    pub(super) fn next_run(
        &self,
        last: Option<DataInterval>,
        restriction: &Restriction,
        now: DateTime<Utc>,
    ) -> Option<NextRun> {
        let earliest = match restriction.catchup {
            Catchup::On => restriction.earliest,
            Catchup::Off => Some(restriction.earliest.map_or(now, |earliest| earliest.max(now))),
        };
        let next = self.dates.iter().copied().find(|date| {
            earliest.is_none_or(|earliest| *date >= earliest) && last.is_none_or(|last| *date > last.end)
        })?;
        restriction.latest.is_none_or(|latest| next <= latest).then(|| NextRun::exact(next))
    }

    pub(super) fn manual(&self, run_after: DateTime<Utc>) -> DataInterval {
        let Some(first) = self.dates.first().copied().filter(|_| self.restrict_to_events) else {
            return DataInterval::exact(run_after);
        };
        let past = self.dates.iter().rev().copied().find(|date| *date <= run_after);
        DataInterval::exact(past.filter(|_| run_after >= first).unwrap_or(first))
    }
}
