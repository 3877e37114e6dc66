//! Timetables: when a Dag runs next, decided as Airflow's own classes decide it (`airflow/timetables/`).
//!
//! [`Timetable::from_serialized`] reads the `timetable` entry of a serialized Dag, [`Timetable::next_run`] answers
//! what `next_dagrun_info_v2` answers. A timetable that comes from a plugin is [`Timetable::Custom`]: every question to
//! it ends in [`TimetableError::Custom`], and has to be put to the environment's Python.

pub mod cron;
mod cron_schedule;
mod decode;
mod delta;
mod events;
mod interval;
mod model;
mod next;
mod partition;
mod pystr;
mod run_id;
mod strftime;
mod strptime;
mod timetable;
mod trigger;
mod types;
mod zone;

pub use cron_schedule::CronSchedule;
pub use delta::{Delta, RelativeDelta, Weekday};
pub use events::Events;
pub use model::{NextRunFacts, RunFacts};
pub use partition::CronPartition;
pub(crate) use pystr::repr;
pub use run_id::{isoformat, run_id_of};
pub(crate) use strftime::strftime;
pub(crate) use strptime::{Parsed, strptime};
pub use timetable::{Properties, Timetable};
pub use trigger::{CronTrigger, DeltaTrigger, RunImmediately};
pub use types::{Catchup, DataInterval, LastRun, NextRun, Restriction, TimetableError};
pub use zone::{Fold, UnknownZone, Zone};
