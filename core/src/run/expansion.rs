//! Giving a mapped task its copies (`TaskMap.expand_mapped_task`, `DagRun._revise_map_indexes_if_mapped`).

use super::board::{Board, RowIndex};
use super::{Dates, Decision, Expansion, Reason};
use crate::dag::TaskIndex;
use crate::expand::{Count, count};
use crate::ids::MapIndex;
use crate::state::TaskState;

/// What expanding an unexpanded instance came to.
pub(super) enum Expanded {
    /// There is nothing to expand: the task is not mapped.
    NotMapped,
    /// These copies are to be looked at in the same pass.
    Into(Vec<RowIndex>),
}

/// Expands an unexpanded instance whose dependencies are met.
pub(super) fn expand(board: &mut Board<'_>, index: RowIndex) -> Expanded {
    let task = board.row(index).task;
    let total = match count_of(board, task) {
        Count::NotMapped => return Expanded::NotMapped,
        Count::Unknown => None,
        Count::Known(total) => Some(total),
    };
    if board.facts.dag.task(task).is_mapped() {
        let ti = board.name(index);
        board.decisions.push(Decision::ClearReferences { ti });
    }
    let mut copies = Vec::new();
    match total {
        None => {
            board.set_state(index, TaskState::UpstreamFailed, Dates::Untouched, Reason::LengthUnknown);
        }
        Some(0) => board.set_state(index, TaskState::Skipped, Dates::Untouched, Reason::NothingToExpand),
        Some(total) => {
            let state = board.row(index).state;
            copies.extend(replace_unexpanded(board, index));
            let last = board.of_task(task).rows.last().map_or(0, |row| board.row(*row).map_index.0.max(0));
            copies.extend(add(board, task, i64::from(last) + 1..total as i64, state));
        }
    }
    let surplus = i64::try_from(total.unwrap_or(0)).unwrap_or(i64::MAX);
    for row in board.range(task, surplus..i64::MAX).to_vec() {
        board.remove(row);
    }
    Expanded::Into(copies)
}

/// The unexpanded instance becomes copy 0, or goes if there is one.
fn replace_unexpanded(board: &mut Board<'_>, index: RowIndex) -> Option<RowIndex> {
    let (ti, from, task) = (board.name(index), board.row(index).state, board.row(index).task);
    if board.find(task, MapIndex(0)).is_some() {
        board.decisions.push(Decision::Expand(Expansion::Delete { ti, from }));
        board.delete(index);
        return None;
    }
    board.decisions.push(Decision::Expand(Expansion::Rename { ti, from }));
    board.renumber(index, MapIndex(0));
    Some(index)
}

/// Adapts an expanded task to a length that has changed since. The new copies are ready at once.
pub(super) fn revise(board: &mut Board<'_>, task: TaskIndex) -> Vec<RowIndex> {
    let Count::Known(total) = count_of(board, task) else {
        return Vec::new();
    };
    let total = i64::try_from(total).unwrap_or(i64::MAX);
    let existing = board.range(task, 0..total).len() as i64;
    for row in outside(board, task, total) {
        board.remove(row);
    }
    if existing == total {
        return Vec::new();
    }
    let missing: Vec<i64> =
        (0..total).filter(|index| board.find(task, MapIndex(*index as i32)).is_none()).collect();
    add(board, task, missing.into_iter(), None)
}

fn outside(board: &Board<'_>, task: TaskIndex, total: i64) -> Vec<RowIndex> {
    let before = board.range(task, i64::MIN..0).iter();
    before.chain(board.range(task, total..i64::MAX)).copied().collect()
}

fn add(
    board: &mut Board<'_>,
    task: TaskIndex,
    indexes: impl Iterator<Item = i64>,
    state: Option<TaskState>,
) -> Vec<RowIndex> {
    let map_indexes: Vec<MapIndex> = indexes.map(|index| MapIndex(index as i32)).collect();
    if map_indexes.is_empty() {
        return Vec::new();
    }
    let rows = map_indexes.iter().map(|map_index| board.add(task, *map_index, state)).collect();
    let task_id = board.facts.dag.task(task).task_id.clone();
    board.decisions.push(Decision::Expand(Expansion::Add { task_id, map_indexes, state }));
    rows
}

fn count_of(board: &Board<'_>, task: TaskIndex) -> Count {
    count(board.facts.dag, task, &|source| board.result_length(source))
}
