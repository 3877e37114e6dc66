//! A task before this one may have chosen other branches (`airflow/ti_deps/deps/not_previously_skipped_dep.py`).

use super::Verdict;
use crate::ids::TaskId;
use crate::run::SkipVerdict;
use crate::state::TaskState;

/// Judges a task instance by the verdicts of the finished tasks directly before it.
pub fn evaluate<'a>(task_id: &TaskId, mut verdicts: impl Iterator<Item = &'a SkipVerdict>) -> Verdict {
    if verdicts.any(|verdict| verdict.skips(task_id)) {
        return Verdict::not_met_writing(TaskState::Skipped);
    }
    Verdict::MET
}
