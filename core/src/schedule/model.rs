//! The bridge between timetables and the rows of `dag` and `dag_run` (`airflow/models/dag.py`).

use chrono::{DateTime, Utc};

use super::timetable::Timetable;
use super::types::{DataInterval, LastRun, NextRun, TimetableError};

/// The columns of `dag_run` that decide what the run after it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunFacts {
    /// `run_after`.
    pub run_after: DateTime<Utc>,
    /// `data_interval_start`.
    pub data_interval_start: Option<DateTime<Utc>>,
    /// `data_interval_end`.
    pub data_interval_end: Option<DateTime<Utc>>,
    /// `partition_key`.
    pub partition_key: Option<String>,
}

/// The columns of `dag` that hold its next run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NextRunFacts {
    /// `next_dagrun`: the logical date.
    pub next_dagrun: Option<DateTime<Utc>>,
    /// `next_dagrun_create_after`.
    pub create_after: Option<DateTime<Utc>>,
    /// `next_dagrun_data_interval_start`.
    pub data_interval_start: Option<DateTime<Utc>>,
    /// `next_dagrun_data_interval_end`.
    pub data_interval_end: Option<DateTime<Utc>>,
    /// `next_dagrun_partition_key`.
    pub partition_key: Option<String>,
    /// `next_dagrun_partition_date`.
    pub partition_date: Option<DateTime<Utc>>,
}

impl From<Option<NextRun>> for NextRunFacts {
    /// What `DagModel.calculate_dagrun_date_fields` writes: all null if there is no next run.
    fn from(next: Option<NextRun>) -> Self {
        let Some(next) = next else { return Self::default() };
        Self {
            next_dagrun: next.logical_date(),
            create_after: Some(next.run_after),
            data_interval_start: next.data_interval.map(|interval| interval.start),
            data_interval_end: next.data_interval.map(|interval| interval.end),
            partition_key: next.partition_key,
            partition_date: next.partition_date,
        }
    }
}

/// `_get_model_data_interval`: both columns or neither.
fn stored_interval(
    start: Option<DateTime<Utc>>,
    end: Option<DateTime<Utc>>,
) -> Result<Option<DataInterval>, TimetableError> {
    match (start, end) {
        (Some(start), Some(end)) => Ok(Some(DataInterval { start, end })),
        (None, None) => Ok(None),
        (start, end) => Err(TimetableError::Inconsistent { start, end }),
    }
}

impl Timetable {
    /// A run as the last one (`run_info_from_dag_run`). A run without a data interval gets the one that a manual run at
    /// its time would have; a run of a partition has none.
    ///
    /// # Errors
    /// [`TimetableError::Inconsistent`] for half an interval; otherwise as [`Timetable::infer_manual_data_interval`].
    pub fn last_run(&self, run: &RunFacts) -> Result<LastRun, TimetableError> {
        let data_interval = if run.partition_key.is_some() {
            None
        } else {
            let stored = stored_interval(run.data_interval_start, run.data_interval_end)?;
            Some(stored.map_or_else(|| self.infer_manual_data_interval(run.run_after), Ok)?)
        };
        Ok(LastRun { run_after: run.run_after, data_interval })
    }

    /// The run that a Dag's row announces, or none (`next_run_info_from_dag_model`).
    ///
    /// # Errors
    /// [`TimetableError::Inconsistent`] for half an interval; for a missing one, as [`Timetable::next_run`].
    pub fn announced_run(&self, dag: &NextRunFacts) -> Result<Option<NextRun>, TimetableError> {
        let Some(run_after) = dag.create_after else { return Ok(None) };
        let data_interval = match dag.next_dagrun {
            None => None,
            Some(logical_date) => Some(
                stored_interval(dag.data_interval_start, dag.data_interval_end)?
                    .map_or_else(|| self.infer_automated_data_interval(logical_date), Ok)?,
            ),
        };
        Ok(Some(NextRun {
            run_after,
            data_interval,
            partition_key: dag.partition_key.clone(),
            partition_date: dag.partition_date,
        }))
    }

    /// The interval of a run that was announced without one (`infer_automated_data_interval`).
    fn infer_automated_data_interval(
        &self,
        logical_date: DateTime<Utc>,
    ) -> Result<DataInterval, TimetableError> {
        let end = match self {
            Self::CronDataInterval(schedule) => schedule.next(logical_date)?,
            Self::DeltaDataInterval(delta) => delta.after(logical_date)?,
            Self::Null
            | Self::PartitionedAtRuntime
            | Self::Once
            | Self::AssetTriggered(_)
            | Self::PartitionedAsset(_)
            | Self::AssetOrTime { .. } => logical_date,
            Self::Custom { path, .. } => return Err(Self::custom(path)),
            _ => return Err(TimetableError::Inconsistent { start: None, end: None }),
        };
        Ok(DataInterval { start: logical_date, end })
    }
}
