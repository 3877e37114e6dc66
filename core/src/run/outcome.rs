//! Whether a run has ended (`DagRun.update_state`).

use chrono::{DateTime, TimeDelta, Utc};

use super::board::{Board, Row, RowIndex};
use super::completion::{self, Completion};
use super::judge::{Judgement, judge};
use super::{Dates, Decision, FailureReason, Outcome, Reason, TiRef, timeout};
use crate::state::{TaskState, is_finished, is_schedulable};

/// Whether the run has been judged.
pub(super) enum Conclusion {
    /// It has.
    Is(Outcome),
    /// States were written that let others be judged.
    NotYet,
}

/// What became of the run, once no pass changes anything any more.
pub(super) fn conclude(board: &mut Board<'_>) -> Conclusion {
    match completion::completion(board) {
        Completion::Ordinary => outcome(board),
        Completion::GoesOn => Conclusion::Is(Outcome::StillRunning { next_look: next_look(board) }),
        Completion::Unheard => {
            let soon = board.now + HEARING;
            let next = next_look(board).map_or(soon, |next| next.min(soon));
            Conclusion::Is(Outcome::StillRunning { next_look: Some(next) })
        }
        Completion::Without(rows) => {
            for row in rows {
                board.set_state(row, TaskState::Skipped, Dates::Stamped, Reason::NoEvent);
            }
            Conclusion::NotYet
        }
    }
}

/// When a run is looked at again that would be over if it were known that no event is on its way.
const HEARING: TimeDelta = TimeDelta::milliseconds(100);

/// What became of the run by its tasks alone. Looks for a deadlock if nothing was set going; that may still write states.
///
/// Copies that were removed a moment ago still count for Airflow as something that can run: its look for a deadlock ends at the
/// first of them, and what it has written before is followed in the next one.
fn outcome(board: &mut Board<'_>) -> Conclusion {
    let removed = board.first_removed.take();
    let may_be_stuck = may_be_stuck(board) && !set_going(board);
    let stuck = may_be_stuck && !can_go_on(board, removed);
    if may_be_stuck && removed.is_some() {
        return Conclusion::NotYet;
    }
    Conclusion::Is(ended(board, stuck))
}

/// What the states of all rows come to; `stuck`: nothing that waits can go on.
fn ended(board: &Board<'_>, stuck: bool) -> Outcome {
    let mut unfinished = board.rows().filter(|(_, row)| !is_finished(row.state)).peekable();
    if unfinished.peek().is_some() {
        drop(unfinished);
        if stuck && self::may_be_stuck(board) {
            return Outcome::Failed { reason: FailureReason::Deadlock, last_ti: blocking(board) };
        }
        return Outcome::StillRunning { next_look: next_look(board) };
    }
    drop(unfinished);
    let scopes = &board.facts.dag.scopes;
    let mut leaves = board
        .rows()
        .filter(|(_, row)| scopes.decides_run(row.task))
        .filter_map(|(_, row)| row.state)
        .filter(|state| *state != TaskState::Removed);
    if leaves.any(TaskState::is_failure) {
        drop(leaves);
        let last_ti = last_ended(board, TaskState::Failed);
        return Outcome::Failed { reason: FailureReason::TaskFailure, last_ti };
    }
    drop(leaves);
    Outcome::Success { last_ti: last_ended(board, TaskState::Success) }
}

/// Whether this examination has sent anything on its way, or changed what exists.
pub(super) fn set_going(board: &Board<'_>) -> bool {
    board
        .decisions
        .iter()
        .any(|decision| matches!(decision, Decision::Schedule { .. } | Decision::DeferFromTrigger { .. }))
}

/// Whether the unfinished instances wait only for each other (`_UnfinishedStates.should_schedule`).
fn may_be_stuck(board: &Board<'_>) -> bool {
    let mut unfinished = board.rows().filter(|(_, row)| !is_finished(row.state)).peekable();
    unfinished.peek().is_some()
        && unfinished.all(|(_, row)| {
            let task = board.facts.dag.task(row.task);
            !task.past.depends_on_past
                && task.max_active_tis_per_dag.is_none()
                && task.max_active_tis_per_dagrun.is_none()
                && !matches!(row.state, Some(TaskState::Deferred | TaskState::AwaitingInput))
        })
}

/// Whether any unfinished instance has, but for the time, what it needs (`DagRun._are_premature_tis`). What is on its way is
/// judged again, as Airflow does, and after a state was written so is what waits to be scheduled: it has just been judged.
fn can_go_on(board: &mut Board<'_>, removed: Option<RowIndex>) -> bool {
    let judged = board.decisions.len();
    let asked = |(index, row): &(RowIndex, &Row)| !is_finished(row.state) || removed == Some(*index);
    let asked: Vec<RowIndex> = board.rows().filter(asked).map(|(index, _)| index).collect();
    asked.into_iter().any(|index| {
        if removed == Some(index) {
            return true;
        }
        if is_schedulable(board.row(index).state) && board.decisions.len() == judged {
            return board.row(index).waits_until.is_some();
        }
        judge(board, index) != Judgement::Blocked
    })
}

/// For the callback of a deadlock: the first unfinished instance of which a direct upstream task has ended.
fn blocking(board: &Board<'_>) -> Option<TiRef> {
    let (index, _) = board.rows().filter(|(_, row)| !is_finished(row.state)).find(|(_, row)| {
        let upstream = &board.facts.dag.task(row.task).upstream;
        upstream.iter().any(|above| board.of_task(*above).tally.done() > 0)
    })?;
    Some(board.name(index))
}

fn last_ended(board: &Board<'_>, state: TaskState) -> Option<TiRef> {
    let later = |last: (RowIndex, &'_ Row), row: (RowIndex, &'_ Row)| row.1.end_date > last.1.end_date;
    let mut rows = board.rows().filter(|(_, row)| row.state == Some(state));
    let first = rows.next()?;
    let mut last = first;
    for row in rows {
        if later(last, row) {
            last = row;
        }
    }
    Some(board.name(last.0))
}

fn next_look(board: &Board<'_>) -> Option<DateTime<Utc>> {
    let waits = board.rows().filter_map(|(_, row)| row.waits_until);
    waits.chain(timeout::deadline(&board.facts)).min()
}
