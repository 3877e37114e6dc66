//! A date as a mapper handles it: a Python `datetime`, with or without a zone.

use chrono::{DateTime, Datelike, Months, NaiveDate, NaiveDateTime, TimeDelta, Timelike, Utc};

use super::error::MapError;
use crate::schedule::{Fold, Zone, isoformat, strftime};

/// A reading of the clock, and the zone of the clock if it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wall {
    pub(super) at: NaiveDateTime,
    pub(super) zone: Option<Zone>,
    pub(super) fold: Fold,
}

pub(super) fn out_of_range() -> MapError {
    MapError::Value("date value out of range".to_owned())
}

impl Wall {
    pub(super) fn naive(at: NaiveDateTime) -> Self {
        Self { at, zone: None, fold: Fold::Before }
    }

    pub(super) fn first_of(year: i32, month: u32, day: u32) -> Option<Self> {
        Some(Self::naive(NaiveDate::from_ymd_opt(year, month, day)?.and_hms_opt(0, 0, 0)?))
    }

    /// Settled in a zone: `make_aware` for a naive date, `astimezone` for one with a zone.
    pub(super) fn in_zone(self, zone: Zone) -> Self {
        if self.zone.is_none() {
            let (at, fold) = zone.settle(self.at);
            return Self { at, zone: Some(zone), fold };
        }
        let instant = self.instant(zone);
        let at = zone.wall(instant);
        let before = zone.offset_of_wall(at, Fold::Before) == zone.offset_at(instant);
        Self { at, zone: Some(zone), fold: if before { Fold::Before } else { Fold::After } }
    }

    /// The instant; of a naive date, in `zone`.
    pub(super) fn instant(self, zone: Zone) -> DateTime<Utc> {
        match self.zone {
            None => zone.instant(self.at),
            Some(zone) => {
                (self.at - TimeDelta::seconds(zone.offset_of_wall(self.at, self.fold).into())).and_utc()
            }
        }
    }

    /// The same zone and fold at another reading (`replace`).
    pub(super) fn replaced(self, at: NaiveDateTime) -> Self {
        Self { at, ..self }
    }

    /// Plus some time on the clock; the fold is forgotten, as Python forgets it.
    pub(super) fn plus(self, delta: TimeDelta) -> Result<Self, MapError> {
        let at = self.at.checked_add_signed(delta).filter(|at| (1..=9999).contains(&at.year()));
        Ok(Self { at: at.ok_or_else(out_of_range)?, zone: self.zone, fold: Fold::Before })
    }

    /// Some months on, for a first day of a month.
    pub(super) fn plus_months(self, months: i32) -> Result<Self, MapError> {
        let count = Months::new(months.unsigned_abs());
        let at =
            if months < 0 { self.at.checked_sub_months(count) } else { self.at.checked_add_months(count) };
        Ok(self.replaced(at.filter(|at| (1..=9999).contains(&at.year())).ok_or_else(out_of_range)?))
    }

    pub(super) fn format(self, format: &str) -> String {
        match self.zone {
            Some(zone) => strftime(self.at, zone, self.fold, format),
            // A naive date prints nothing for its zone.
            None => strftime(self.at, Zone::UTC, self.fold, &format.replace("%z", "").replace("%Z", "")),
        }
    }

    /// `isoformat()`.
    pub(super) fn isoformat(self) -> String {
        let naive = isoformat(self.at.and_utc());
        let naive = naive.trim_end_matches("+00:00");
        let Some(zone) = self.zone else { return naive.to_owned() };
        let offset = zone.offset_of_wall(self.at, self.fold);
        let (sign, all) = (if offset < 0 { '-' } else { '+' }, offset.abs());
        let seconds = if all % 60 == 0 { String::new() } else { format!(":{:02}", all % 60) };
        format!("{naive}{sign}{:02}:{:02}{seconds}", all / 3600, all / 60 % 60)
    }

    /// The start of its hour.
    pub(super) fn hour_start(self) -> Option<Self> {
        let at = self.at.with_minute(0)?.with_second(0)?.with_nanosecond(0)?;
        Some(self.replaced(at))
    }

    /// The start of a day of its month.
    pub(super) fn day_start(self, month: u32, day: u32) -> Option<Self> {
        Some(self.replaced(NaiveDate::from_ymd_opt(self.at.year(), month, day)?.and_hms_opt(0, 0, 0)?))
    }
}
