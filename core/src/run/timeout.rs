//! `dagrun_timeout` (`SchedulerJobRunner._schedule_dag_run`).

use chrono::{DateTime, Utc};

use super::{Dates, Decision, Examination, Facts, FailureReason, Outcome, Pausing, Reason, TiRef, Timeout};
use crate::state::{TaskState, is_finished};

/// When the run will have taken too long.
pub(super) fn deadline(facts: &Facts<'_>) -> Option<DateTime<Utc>> {
    let never = facts.loaded.events.as_ref().is_some_and(|events| events.timeout == Timeout::Never);
    if never || facts.options.pausing == Pausing::Paused {
        return None;
    }
    let limit = facts.dag.dagrun_timeout.filter(|limit| !limit.is_zero())?;
    facts.run.start_date?.checked_add_signed(limit)
}

/// The end of a run that has taken too long: what is unfinished is skipped, without dates.
pub(super) fn timed_out(facts: &Facts<'_>, now: DateTime<Utc>) -> Option<Examination> {
    if deadline(facts)? >= now {
        return None;
    }
    let unfinished = || facts.tis.iter().filter(|ti| !is_finished(ti.state));
    let name =
        |ti: &super::TiFacts| TiRef { task_id: ti.task_id.clone(), map_index: ti.map_index, id: Some(ti.id) };
    let decisions = unfinished()
        .map(|ti| Decision::SetState {
            ti: name(ti),
            from: ti.state,
            to: Some(TaskState::Skipped),
            dates: Dates::Untouched,
            reason: Reason::TimedOut,
        })
        .collect();
    let last = unfinished().reduce(|last, ti| if ti.start_date > last.start_date { ti } else { last });
    let outcome = Outcome::Failed { reason: FailureReason::TimedOut, last_ti: last.map(name) };
    Some(Examination { decisions, outcome })
}
