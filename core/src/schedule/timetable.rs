//! All timetables, and what the scheduler asks of their kind.

use serde_json::Value;

use super::cron_schedule::CronSchedule;
use super::delta::Delta;
use super::events::Events;
use super::partition::CronPartition;
use super::trigger::{CronTrigger, DeltaTrigger};
use super::types::TimetableError;
use crate::asset::{AssetCondition, PartitionedAssets};

/// A Dag's timetable.
#[derive(Clone, Debug, PartialEq)]
pub enum Timetable {
    /// `schedule=None`.
    Null,
    /// `@once`.
    Once,
    /// `@continuous`.
    Continuous,
    /// Never by itself; keys of partitions are set while a run runs.
    PartitionedAtRuntime,
    /// Intervals between the dates of a cron expression.
    CronDataInterval(CronSchedule),
    /// Intervals of one length.
    DeltaDataInterval(Delta),
    /// At the dates of a cron expression.
    CronTrigger(CronTrigger),
    /// At the dates of several cron expressions.
    MultipleCronTrigger(Vec<CronTrigger>),
    /// One delta after another.
    DeltaTrigger(DeltaTrigger),
    /// Partitions, at the dates of a cron expression.
    CronPartition(CronPartition),
    /// At listed dates.
    Events(Events),
    /// When assets are updated.
    AssetTriggered(AssetCondition),
    /// When partitions of assets are complete.
    PartitionedAsset(PartitionedAssets),
    /// When assets are updated, and by another timetable.
    AssetOrTime {
        /// The assets.
        condition: AssetCondition,
        /// The other timetable.
        timetable: Box<Timetable>,
    },
    /// A plugin's: only the environment's Python can answer for it.
    Custom {
        /// The import path of its class.
        path: String,
        /// What its `serialize` returned.
        data: Value,
    },
}

/// The class attributes of a timetable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Properties {
    /// `periodic`: runs again and again.
    pub is_periodic: bool,
    /// `can_be_scheduled`: makes runs by itself.
    pub can_be_scheduled: bool,
    /// `partitioned`: schedules partitions instead of data intervals.
    pub is_partitioned: bool,
    /// `partitioned_at_runtime`: partitions are chosen while a run runs.
    pub is_partitioned_at_runtime: bool,
    /// `active_runs_limit`: how many runs may be active at once.
    pub active_runs_limit: Option<i64>,
}

impl Timetable {
    /// The error that every question to a plugin's timetable ends in.
    pub(super) fn custom(path: &str) -> TimetableError {
        TimetableError::Custom { path: path.to_owned() }
    }

    /// What is true of every run of this timetable.
    ///
    /// # Errors
    /// [`TimetableError::Custom`] for a plugin's.
    pub fn properties(&self) -> Result<Properties, TimetableError> {
        let base = Properties {
            is_periodic: true,
            can_be_scheduled: true,
            is_partitioned: false,
            is_partitioned_at_runtime: false,
            active_runs_limit: None,
        };
        let never = Properties { is_periodic: false, can_be_scheduled: false, ..base };
        Ok(match self {
            Self::Null => never,
            Self::PartitionedAtRuntime => Properties { is_partitioned_at_runtime: true, ..never },
            Self::Once | Self::AssetTriggered(_) => Properties { is_periodic: false, ..base },
            Self::Continuous => Properties { is_periodic: false, active_runs_limit: Some(1), ..base },
            Self::PartitionedAsset(_) => Properties { is_periodic: false, is_partitioned: true, ..base },
            Self::CronPartition(_) => Properties { is_partitioned: true, ..base },
            Self::AssetOrTime { timetable, .. } => {
                let of_time = timetable.properties()?;
                Properties { is_partitioned: false, is_partitioned_at_runtime: false, ..of_time }
            }
            Self::CronDataInterval(_)
            | Self::DeltaDataInterval(_)
            | Self::CronTrigger(_)
            | Self::MultipleCronTrigger(_)
            | Self::DeltaTrigger(_)
            | Self::Events(_) => base,
            Self::Custom { path, .. } => return Err(Self::custom(path)),
        })
    }

    /// Whether it runs again and again.
    pub fn is_periodic(&self) -> Result<bool, TimetableError> {
        self.properties().map(|properties| properties.is_periodic)
    }

    /// Whether it schedules partitions instead of data intervals.
    pub fn is_partitioned(&self) -> Result<bool, TimetableError> {
        self.properties().map(|properties| properties.is_partitioned)
    }

    /// Whether it makes runs by itself.
    pub fn can_be_scheduled(&self) -> Result<bool, TimetableError> {
        self.properties().map(|properties| properties.can_be_scheduled)
    }

    /// How many runs may be active at once, if the timetable limits them.
    pub fn active_runs_limit(&self) -> Result<Option<i64>, TimetableError> {
        self.properties().map(|properties| properties.active_runs_limit)
    }

    /// Whether it is, or derives from, `AssetTriggeredTimetable`; false for a plugin's, which may still derive from it.
    pub fn is_asset_triggered(&self) -> bool {
        matches!(self, Self::AssetTriggered(_) | Self::PartitionedAsset(_) | Self::AssetOrTime { .. })
    }

    /// The assets that trigger runs, if any do.
    pub fn asset_condition(&self) -> Option<&AssetCondition> {
        match self {
            Self::AssetTriggered(condition) | Self::AssetOrTime { condition, .. } => Some(condition),
            Self::PartitionedAsset(assets) => Some(assets.condition()),
            _ => None,
        }
    }
}
