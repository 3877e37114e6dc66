//! A sensor's next look must have come (`airflow/ti_deps/deps/ready_to_reschedule.py`).

use chrono::{DateTime, Utc};

use super::Moment;
use crate::dag::Task;
use crate::ids::MapIndex;
use crate::state::TaskState;

/// Whether the newest reschedule request of such a task instance matters.
pub fn applies(task: &Task, map_index: MapIndex, state: Option<TaskState>) -> bool {
    match state {
        Some(TaskState::UpForReschedule) => true,
        None => task.traits.is_sensor && (task.traits.reschedule || map_index.is_mapped()),
        Some(_) => false,
    }
}

/// Judges a task instance by its newest reschedule request, if it has one.
pub fn evaluate(request: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Moment {
    match request {
        Some(date) if now < date => Moment::Later(date),
        _ => Moment::Now,
    }
}
