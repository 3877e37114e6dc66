//! Run ids (`Timetable.generate_run_id`, `DagRun.generate_run_id`).

use chrono::{DateTime, SecondsFormat, Utc};

use super::timetable::Timetable;
use super::types::TimetableError;
use crate::state::RunType;

/// A date as Python's `isoformat()` prints it: `2026-01-01T00:00:00+00:00`, with microseconds only if there are any.
pub fn isoformat(at: DateTime<Utc>) -> String {
    let micros = at.timestamp_subsec_micros();
    let precision = if micros == 0 { SecondsFormat::Secs } else { SecondsFormat::Micros };
    at.to_rfc3339_opts(precision, false)
}

/// `DagRun.generate_run_id`: with a random suffix if the run has no logical date.
pub fn run_id_of(
    run_type: RunType,
    logical_date: Option<DateTime<Utc>>,
    run_after: DateTime<Utc>,
    random: &str,
) -> String {
    let after = isoformat(run_after);
    match logical_date {
        Some(_) => format!("{run_type}__{after}"),
        None => format!("{run_type}__{after}_{random}"),
    }
}

impl Timetable {
    /// The id of a new run. `random` is a string of eight letters and digits; only runs of partitions use it.
    ///
    /// # Errors
    /// [`TimetableError::Custom`] for a plugin's timetable.
    pub fn generate_run_id(
        &self,
        run_type: RunType,
        run_after: DateTime<Utc>,
        partition_key: Option<&str>,
        random: &str,
    ) -> Result<String, TimetableError> {
        let after = isoformat(run_after);
        match self {
            Self::CronPartition(_) => match partition_key.filter(|key| !key.is_empty()) {
                Some(key) => Ok(format!("{run_type}__{after}__{key}__{random}")),
                None => Ok(format!("{run_type}__{after}__{random}")),
            },
            Self::AssetOrTime { timetable, .. } if run_type != RunType::AssetTriggered => {
                timetable.generate_run_id(run_type, run_after, partition_key, random)
            }
            Self::Custom { path, .. } => Err(Self::custom(path)),
            _ => Ok(format!("{run_type}__{after}")),
        }
    }
}
