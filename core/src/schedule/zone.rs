//! Time zones, with the rules of Python's `zoneinfo` and pendulum's `convert` for times that a change of the clock
//! skips or repeats (`airflow/_shared/timezones/timezone.py`).

use chrono::{DateTime, FixedOffset, MappedLocalTime, NaiveDateTime, Offset, TimeDelta, TimeZone, Utc};
use chrono_tz::{GapInfo, Tz};
use serde_json::Value;

/// A zone's name that the IANA database does not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown time zone `{name}`: give a name of the IANA database or an offset in seconds")]
pub struct UnknownZone {
    /// The name, or the JSON that stands in its place.
    pub name: String,
}

/// Which of two readings of a wall clock is meant (`datetime.fold`): before a change of the clock, or after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fold {
    /// With the offset before the change.
    Before,
    /// With the offset after the change.
    After,
}

/// A time zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Zone {
    /// By its name in the IANA database.
    Named(Tz),
    /// A constant offset from UTC.
    Fixed(FixedOffset),
}

impl Zone {
    /// UTC.
    pub const UTC: Zone = Zone::Named(Tz::UTC);

    /// Reads what `encode_timezone` wrote: a name, or seconds east of UTC.
    pub fn from_serialized(value: &Value) -> Result<Self, UnknownZone> {
        let unknown = || UnknownZone { name: value.to_string() };
        match value {
            Value::String(name) => Self::from_name(name),
            Value::Number(seconds) => seconds
                .as_i64()
                .and_then(|seconds| i32::try_from(seconds).ok())
                .and_then(FixedOffset::east_opt)
                .map(Self::Fixed)
                .ok_or_else(unknown),
            _ => Err(unknown()),
        }
    }

    /// The zone of a name such as `Europe/Zurich`.
    pub fn from_name(name: &str) -> Result<Self, UnknownZone> {
        if name.eq_ignore_ascii_case("utc") {
            return Ok(Self::UTC);
        }
        name.parse().map(Self::Named).map_err(|_| UnknownZone { name: name.to_owned() })
    }

    /// What `encode_timezone` writes.
    pub fn to_serialized(self) -> Value {
        match self {
            Self::Named(zone) => Value::from(zone.name()),
            Self::Fixed(offset) if offset.local_minus_utc() == 0 => Value::from("UTC"),
            Self::Fixed(offset) => Value::from(offset.local_minus_utc()),
        }
    }

    /// Seconds east of UTC at an instant.
    pub fn offset_at(self, at: DateTime<Utc>) -> i32 {
        match self {
            Self::Named(zone) => zone.offset_from_utc_datetime(&at.naive_utc()).fix().local_minus_utc(),
            Self::Fixed(offset) => offset.local_minus_utc(),
        }
    }

    /// What the zone's clocks show at an instant: `make_naive`.
    pub fn wall(self, at: DateTime<Utc>) -> NaiveDateTime {
        at.naive_utc() + TimeDelta::seconds(self.offset_at(at).into())
    }

    /// Seconds east of UTC for a reading of the clock, which may be skipped or repeated.
    pub fn offset_of_wall(self, wall: NaiveDateTime, fold: Fold) -> i32 {
        let zone = match self {
            Self::Named(zone) => zone,
            Self::Fixed(offset) => return offset.local_minus_utc(),
        };
        let (before, after) = match zone.offset_from_local_datetime(&wall) {
            MappedLocalTime::Single(offset) => return offset.fix().local_minus_utc(),
            MappedLocalTime::Ambiguous(before, after) => (before.fix(), after.fix()),
            MappedLocalTime::None => gap_offsets(zone, wall),
        };
        match fold {
            Fold::Before => before.local_minus_utc(),
            Fold::After => after.local_minus_utc(),
        }
    }

    /// Settles a reading of the clock as `make_aware` does: one that is skipped moves forward by the length of the gap,
    /// one that is repeated means the second time. Returns the reading and its fold.
    pub fn settle(self, wall: NaiveDateTime) -> (NaiveDateTime, Fold) {
        if matches!(self, Self::Fixed(_)) {
            return (wall, Fold::Before);
        }
        let before = self.offset_of_wall(wall, Fold::Before);
        let after = self.offset_of_wall(wall, Fold::After);
        if after > before {
            (wall + TimeDelta::seconds(i64::from(after - before)), Fold::Before)
        } else {
            (wall, Fold::After)
        }
    }

    /// The instant of a reading of the clock, settled as in [`Zone::settle`]: `convert_to_utc(make_aware(..))`.
    pub fn instant(self, wall: NaiveDateTime) -> DateTime<Utc> {
        let (wall, fold) = self.settle(wall);
        (wall - TimeDelta::seconds(self.offset_of_wall(wall, fold).into())).and_utc()
    }
}

/// The offsets on both sides of the gap that a reading of the clock falls into.
fn gap_offsets(zone: Tz, wall: NaiveDateTime) -> (FixedOffset, FixedOffset) {
    let around = |hours: i64| zone.offset_from_utc_datetime(&(wall + TimeDelta::hours(hours))).fix();
    let gap = GapInfo::new(&wall, &zone);
    let before = gap.as_ref().and_then(|gap| gap.begin.as_ref()).map(|(_, offset)| offset.fix());
    let after = gap.and_then(|gap| gap.end).map(|end| end.offset().fix());
    (before.unwrap_or_else(|| around(-24)), after.unwrap_or_else(|| around(24)))
}

impl Zone {
    /// What `%Z` prints for a reading of the clock: `CET`, `UTC`, `+05:30`.
    pub(crate) fn abbreviation(self, wall: NaiveDateTime, fold: Fold) -> String {
        match self {
            Self::Named(zone) => {
                let utc = wall - TimeDelta::seconds(self.offset_of_wall(wall, fold).into());
                zone.from_utc_datetime(&utc).format("%Z").to_string()
            }
            Self::Fixed(offset) => offset.to_string(),
        }
    }
}
