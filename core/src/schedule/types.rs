//! What goes into the question "when next?" and what comes out (`airflow/timetables/base.py`).

use chrono::{DateTime, Utc};

use super::cron::CronError;
use super::zone::UnknownZone;

/// The span of time that a run works on; both ends are instants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DataInterval {
    /// The first instant.
    pub start: DateTime<Utc>,
    /// The first instant after it.
    pub end: DateTime<Utc>,
}

impl DataInterval {
    /// An interval of no length.
    pub fn exact(at: DateTime<Utc>) -> Self {
        Self { start: at, end: at }
    }
}

/// Whether the runs that a Dag missed are made up for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Catchup {
    /// Every run since the start date.
    On,
    /// Only the newest.
    Off,
}

impl From<bool> for Catchup {
    fn from(on: bool) -> Self {
        if on { Self::On } else { Self::Off }
    }
}

/// What bounds the runs of a Dag (`TimeRestriction`); both ends may be met exactly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restriction {
    /// The earliest of the start dates of the Dag and its tasks.
    pub earliest: Option<DateTime<Utc>>,
    /// The end date.
    pub latest: Option<DateTime<Utc>>,
    /// Whether missed runs are made up for.
    pub catchup: Catchup,
}

/// What the timetable needs to know of the last automated run, scheduled or backfilled.
///
/// Made from a row of `dag_run` by [`super::Timetable::last_run`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastRun {
    /// When it could start at the earliest.
    pub run_after: DateTime<Utc>,
    /// What it worked on; none for a run of a partition.
    pub data_interval: Option<DataInterval>,
}

/// The next run (`DagRunInfo`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NextRun {
    /// When the run may be created.
    pub run_after: DateTime<Utc>,
    /// What it works on; none for a run of a partition.
    pub data_interval: Option<DataInterval>,
    /// The partition's key, for a partitioned timetable.
    pub partition_key: Option<String>,
    /// The partition's first instant, for a partitioned timetable.
    pub partition_date: Option<DateTime<Utc>>,
}

impl NextRun {
    /// A run for one instant.
    pub(crate) fn exact(at: DateTime<Utc>) -> Self {
        Self::interval(at, at)
    }

    /// A run that starts when the interval it works on ends.
    pub(crate) fn interval(start: DateTime<Utc>, end: DateTime<Utc>) -> Self {
        Self {
            run_after: end,
            data_interval: Some(DataInterval { start, end }),
            partition_key: None,
            partition_date: None,
        }
    }

    /// The run's logical date: where its data interval starts.
    pub fn logical_date(&self) -> Option<DateTime<Utc>> {
        self.data_interval.map(|interval| interval.start)
    }

    /// This run as the last one, for the question after it.
    pub fn as_last(&self) -> LastRun {
        LastRun { run_after: self.run_after, data_interval: self.data_interval }
    }
}

/// Why a timetable gave no answer. Airflow's scheduler logs such a failure and treats it as "no next run".
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum TimetableError {
    /// The timetable is a plugin's.
    #[error("timetable `{path}` is not one of Airflow's own: ask the environment's Python for its answers")]
    Custom {
        /// The import path of its class.
        path: String,
    },
    /// The serialized form is not what Airflow writes.
    #[error(
        "serialized timetable `{path}` cannot be read: {reason}; serialize the Dag again with this Airflow"
    )]
    Malformed {
        /// The import path of its class.
        path: String,
        /// What is wrong.
        reason: String,
    },
    /// A cron expression is invalid, or has no further date.
    #[error(transparent)]
    Cron(#[from] CronError),
    /// A time zone is not in the IANA database.
    #[error(transparent)]
    Zone(#[from] UnknownZone),
    /// The schedule stands still or runs backwards.
    #[error("the schedule does not advance past {at}: its delta has to be positive")]
    NoAdvance {
        /// Where it stands.
        at: DateTime<Utc>,
    },
    /// A date is outside the years 1 to 9999.
    #[error("the next date of the schedule is outside the years 1 to 9999")]
    OutOfRange,
    /// A row holds one end of a data interval without the other.
    #[error("inconsistent data interval: {start:?} to {end:?}, they must be either both null or both dates")]
    Inconsistent {
        /// The stored start.
        start: Option<DateTime<Utc>>,
        /// The stored end.
        end: Option<DateTime<Utc>>,
    },
}

impl TimetableError {
    /// Whether the question has to be put to the environment's Python instead.
    pub fn is_custom(&self) -> bool {
        matches!(self, Self::Custom { .. })
    }
}
