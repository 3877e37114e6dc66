//! What a mapped task is expanded over must have succeeded (`airflow/ti_deps/deps/mapped_task_upstream_dep.py`).

use super::Verdict;
use crate::state::{TaskState, is_finished};

/// Judges a task instance in state `current` by the states of the unexpanded instances of the tasks it is expanded over.
pub fn evaluate(current: Option<TaskState>, sources: impl Iterator<Item = Option<TaskState>>) -> Verdict {
    let mut skipped = false;
    let mut failed = false;
    let mut other_than_success = false;
    for state in sources.filter(|state| is_finished(*state)) {
        skipped |= state == Some(TaskState::Skipped);
        failed |= state.is_some_and(TaskState::is_failure);
        other_than_success |= state != Some(TaskState::Success);
    }
    if !other_than_success {
        return Verdict::MET;
    }
    let already_failed = current.is_some_and(TaskState::is_failure);
    let state = match (failed, skipped) {
        _ if already_failed => None,
        (true, _) => Some(TaskState::UpstreamFailed),
        (false, true) => Some(TaskState::Skipped),
        (false, false) => None,
    };
    state.map_or(Verdict::NOT_MET, Verdict::not_met_writing)
}
