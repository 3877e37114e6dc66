//! What happened to a row between two looks, as far as only a scheduler does it.

use slipstream_core::run::TiFacts;
use slipstream_core::state::{RunState, TaskState, is_schedulable};

/// What tells one step of a task instance from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) state: Option<TaskState>,
    pub(super) try_number: i32,
}

impl From<&TiFacts> for Row {
    fn from(ti: &TiFacts) -> Self {
        Self { state: ti.state, try_number: ti.try_number }
    }
}

/// What a scheduler did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    /// It sent a task instance on its way; where that is by now is in the row.
    Started(Option<TaskState>),
    /// It gave a task instance this state without having it run.
    Became(TaskState),
    /// It took a task instance back that had been removed.
    Restored,
    /// It made a row: a copy of a mapped task, or the instance of a new task.
    Made,
    /// It took a row away: the one that copies stand for now.
    Gone,
    /// It started a queued dag run.
    RunStarted,
    /// It ended a dag run.
    RunEnded(RunState),
}

/// One row between two looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing happened.
    Same,
    /// What executors, tasks, triggerers and people do; also more steps than two looks can tell apart.
    Elsewhere,
    /// What a scheduler does.
    Scheduler(Deed),
}

/// Reads a task instance's step.
pub(super) fn step(before: Option<Row>, after: Option<Row>) -> Step {
    use TaskState::{Failed, Removed, Skipped, UpForReschedule, UpstreamFailed};
    let (before, after) = match (before, after) {
        (None, None) => return Step::Same,
        (None, Some(_)) => return Step::Scheduler(Deed::Made),
        (Some(_), None) => return Step::Scheduler(Deed::Gone),
        (Some(before), Some(after)) => (before, after),
    };
    if before == after {
        return Step::Same;
    }
    if after.try_number != before.try_number {
        let one_more = is_schedulable(before.state) && after.try_number > before.try_number;
        return if one_more { Step::Scheduler(Deed::Started(after.state)) } else { Step::Elsewhere };
    }
    match (before.state, after.state) {
        (Some(Removed), None) => Step::Scheduler(Deed::Restored),
        // Cleared, or taken back from an executor that lost it.
        (_, None) => Step::Elsewhere,
        (_, Some(to @ (Removed | UpstreamFailed))) => Step::Scheduler(Deed::Became(to)),
        (Some(UpForReschedule), Some(to @ (Skipped | Failed))) => Step::Scheduler(Deed::Started(Some(to))),
        (Some(UpForReschedule), to) => Step::Scheduler(Deed::Started(to)),
        (from, Some(to)) if is_schedulable(from) => Step::Scheduler(Deed::Became(to)),
        _ => Step::Elsewhere,
    }
}

/// Reads a dag run's step.
pub(super) fn run_step(before: RunState, after: RunState) -> Vec<Deed> {
    match (before, after) {
        (RunState::Queued, RunState::Running) => vec![Deed::RunStarted],
        (RunState::Queued, ended) if ended.is_finished() => vec![Deed::RunStarted, Deed::RunEnded(ended)],
        (RunState::Running, ended) if ended.is_finished() => vec![Deed::RunEnded(ended)],
        // The same, cleared, or marked by a person.
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use TaskState::{
        Queued, Removed, Running, Scheduled, Skipped, Success, UpForReschedule, UpForRetry, UpstreamFailed,
    };

    fn row(state: impl Into<Option<TaskState>>, try_number: i32) -> Option<Row> {
        Some(Row { state: state.into(), try_number })
    }

    #[test]
    fn a_task_that_ran_from_one_look_to_the_next_was_started() {
        for seen in [Scheduled, Queued, Running, Success, Skipped, UpForRetry] {
            assert_eq!(step(row(None, 0), row(seen, 1)), Step::Scheduler(Deed::Started(Some(seen))));
        }
        assert_eq!(
            step(row(UpForRetry, 1), row(UpForRetry, 2)),
            Step::Scheduler(Deed::Started(Some(UpForRetry)))
        );
    }

    #[test]
    fn a_sensor_goes_on_with_the_same_try() {
        assert_eq!(
            step(row(UpForReschedule, 1), row(Success, 1)),
            Step::Scheduler(Deed::Started(Some(Success)))
        );
    }

    #[test]
    fn a_state_without_a_try_is_the_schedulers() {
        for to in [Skipped, UpstreamFailed, Removed] {
            assert_eq!(step(row(None, 0), row(to, 0)), Step::Scheduler(Deed::Became(to)));
        }
        assert_eq!(step(row(Removed, 0), row(None, 0)), Step::Scheduler(Deed::Restored));
    }

    #[test]
    fn what_tasks_and_executors_do_is_not_the_schedulers() {
        for (from, to) in [
            (Scheduled, Queued),
            (Queued, Running),
            (Running, Success),
            (Running, Skipped),
            (Running, UpForRetry),
        ] {
            assert_eq!(step(row(from, 1), row(to, 1)), Step::Elsewhere, "{from} to {to}");
        }
        assert_eq!(step(row(Success, 1), row(None, 1)), Step::Elsewhere, "cleared");
    }

    #[test]
    fn a_whole_run_between_two_looks_was_started_and_ended() {
        assert_eq!(
            run_step(RunState::Queued, RunState::Success),
            [Deed::RunStarted, Deed::RunEnded(RunState::Success)]
        );
        assert_eq!(run_step(RunState::Success, RunState::Queued), []);
    }
}
