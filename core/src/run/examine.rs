//! The judgement of one running dag run (`SchedulerJobRunner._schedule_dag_run`, `DagRun.update_state`,
//! `DagRun.schedule_tis`).

use std::collections::HashSet;

use chrono::{DateTime, Utc};

use super::board::{Board, RowIndex};
use super::expansion::{self, Expanded};
use super::judge::{Judgement, judge};
use super::outcome::{self, Conclusion};
use super::{Decision, Examination, Facts, Outcome, TryNumber, timeout};
use crate::state::{TaskState, is_schedulable};

/// Judges a running dag run: which task instances become ready, skipped, failed or expanded, and whether the run ends.
///
/// Cascades are followed to their end: a task that is skipped or succeeds without being run lets the next ones be judged
/// in the same call, level by level, so that the result is what Airflow reaches over several loops.
pub fn examine(facts: &Facts<'_>, now: DateTime<Utc>) -> Examination {
    if let Some(ended) = timeout::timed_out(facts, now) {
        return ended;
    }
    if let Some(date) = facts.run.logical_date.filter(|date| *date > now) {
        let next_look = timeout::deadline(facts).into_iter().chain([date]).min();
        let outcome = Outcome::StillRunning { next_look };
        return Examination { decisions: Vec::new(), outcome };
    }
    let mut board = Board::new(*facts, now);
    board.look_at_everything();
    loop {
        cascade(&mut board);
        // A round that ends what no event started lets others be judged.
        if let Conclusion::Is(outcome) = outcome::conclude(&mut board) {
            return Examination { decisions: board.decisions, outcome };
        }
    }
}

fn cascade(board: &mut Board<'_>) {
    loop {
        let pass = board.next_pass();
        if pass.is_empty() {
            break;
        }
        let removed = board.first_removed.take();
        let judged = board.decisions.len();
        for ready in ready_of(board, pass) {
            schedule(board, ready);
        }
        if board.decisions.len() == judged {
            board.first_removed = removed;
        }
    }
}

/// One pass over the rows (`DagRun._get_ready_tis`): those that are ready, after all others got what they deserve.
fn ready_of(board: &mut Board<'_>, mut pass: Vec<RowIndex>) -> Vec<RowIndex> {
    let mut ready = Vec::new();
    let mut revised = HashSet::new();
    let mut next = 0;
    pass.retain(|index| is_schedulable(board.row(*index).state));
    while let Some(index) = pass.get(next).copied() {
        next += 1;
        let state = board.row(index).state;
        if state == Some(TaskState::Removed) {
            // Removed in this very pass: Airflow asks its dependencies all the same, and one of them may skip it.
            judge(board, index);
            continue;
        }
        if !is_schedulable(state) {
            continue;
        }
        let judgement = judge(board, index);
        board.row_mut(index).waits_until = match judgement {
            Judgement::Early(date) => Some(date),
            Judgement::Ready | Judgement::Blocked | Judgement::WaitsForEvent => None,
        };
        board.row_mut(index).waits_for_event = judgement == Judgement::WaitsForEvent;
        if judgement != Judgement::Ready {
            continue;
        }
        if !board.row(index).map_index.is_mapped()
            && let Expanded::Into(copies) = expansion::expand(board, index)
        {
            pass.extend(copies);
            continue;
        }
        let task = board.row(index).task;
        if revised.insert(task) {
            ready.extend(expansion::revise(board, task));
        }
        ready.push(index);
    }
    ready
}

/// Sends a ready row on its way (`DagRun.schedule_tis`).
fn schedule(board: &mut Board<'_>, index: RowIndex) {
    let (from, ti) = (board.row(index).state, board.name(index));
    if !is_schedulable(from) {
        return;
    }
    let task = board.facts.dag.task(board.row(index).task);
    let try_number = match from {
        Some(TaskState::UpForReschedule) => TryNumber::Keep,
        _ => TryNumber::Increment,
    };
    let (decision, to) = if task.succeeds_without_running() {
        (Decision::SucceedEmpty { ti, from }, TaskState::Success)
    } else if task.start_trigger.is_some() {
        (Decision::DeferFromTrigger { ti, from, try_number }, TaskState::Deferred)
    } else {
        (Decision::Schedule { ti, from, try_number }, TaskState::Scheduled)
    };
    board.decisions.push(decision);
    if to == TaskState::Success {
        let now = board.end_of_pass();
        let row = board.row_mut(index);
        (row.start_date, row.end_date) = (Some(now), Some(now));
    }
    board.change(index, to);
}
