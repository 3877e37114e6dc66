//! When a run with event tasks is over: what only an event can start must not block it, and what an event may still do
//! must not be cut off.

use super::board::{Board, RowIndex};
use super::event_tasks::{EventFacts, Heard, Hold};
use super::outcome::set_going;
use crate::dag::TaskIndex;
use crate::state::{is_finished, is_schedulable};

/// What events have to say about the end of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Completion {
    /// Nothing: the tasks decide.
    Ordinary,
    /// The run goes on: something is under way, waits for an event, or is started again and again.
    GoesOn,
    /// The run would be over, but an event may be on its way.
    Unheard,
    /// The run is over but for these, which no event started.
    Without(Vec<RowIndex>),
}

/// See [`Completion`].
pub(super) fn completion(board: &Board<'_>) -> Completion {
    let Some(events) = &board.facts.loaded.events else {
        return Completion::Ordinary;
    };
    let unfinished: Vec<RowIndex> =
        board.rows().filter(|(_, row)| !is_finished(row.state)).map(|(index, _)| index).collect();
    let under_way = |index: &RowIndex| {
        let row = board.row(*index);
        let waits_for_event = row.waits_for_event && !events.stopped.contains(&row.task);
        !is_schedulable(row.state) || row.waits_until.is_some() || waits_for_event
    };
    if set_going(board) || unfinished.iter().any(under_way) || !events.periodic.is_empty() {
        return Completion::GoesOn;
    }
    let never: Vec<RowIndex> =
        unfinished.iter().copied().filter(|index| is_never_started(board, events, *index)).collect();
    let was_stopped = never.iter().any(|index| events.stopped.contains(&board.row(*index).task));
    if never.len() == board.rows().count() && !never.is_empty() && !was_stopped {
        // Nothing has happened in the run yet: it waits for its first event.
        return Completion::GoesOn;
    }
    if !unfinished.is_empty() && (never.is_empty() || !all_wait_for(board, &unfinished, &never)) {
        // Something else is wrong, or waits for an earlier run.
        return Completion::Ordinary;
    }
    match (events.heard, never.is_empty()) {
        (Heard::NotYet, _) => Completion::Unheard,
        (Heard::Everything, true) => Completion::Ordinary,
        (Heard::Everything, false) => Completion::Without(never),
    }
}

fn is_never_started(board: &Board<'_>, events: &EventFacts, index: RowIndex) -> bool {
    let task = board.row(index).task;
    // A gate keeps its run until its event comes; that of a periodic task that was stopped does not come any more.
    let may_be_left_out = events.held.get(&task) == Some(&Hold::EventOnly) || events.stopped.contains(&task);
    may_be_left_out && !board.of_task(task).rows.iter().any(|row| board.is_begun(*row))
}

/// Whether every unfinished row is one of those or comes, directly or not, after one of them.
fn all_wait_for(board: &Board<'_>, unfinished: &[RowIndex], never: &[RowIndex]) -> bool {
    let dag = board.facts.dag;
    let mut reached = vec![false; dag.tasks.len()];
    let mut next: Vec<TaskIndex> = never.iter().map(|index| board.row(*index).task).collect();
    while let Some(task) = next.pop() {
        if !std::mem::replace(&mut reached[task.at()], true) {
            next.extend(&dag.task(task).downstream);
        }
    }
    unfinished.iter().all(|index| reached[board.row(*index).task.at()])
}
