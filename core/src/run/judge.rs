//! Whether one task instance may be scheduled: all dependencies together
//! (`TaskInstance.get_failed_dep_statuses` with the scheduler's `DepContext`).

use super::board::{Board, RowIndex};
use super::event_tasks::Standing;
use super::{Dates, Reason};
use crate::dag::{TaskIndex, TriggerRule};
use crate::deps::{self, Answer, Moment, Tally, Upstream, Verdict};
use crate::expand::{Count, Relevant, count, relevant_map_indexes};
use crate::ids::MapIndex;
use crate::state::{TaskState, is_finished};

/// What all dependencies together say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Judgement {
    /// All are met.
    Ready,
    /// All are met but for the time.
    Early(chrono::DateTime<chrono::Utc>),
    /// All are met but for an event.
    WaitsForEvent,
    /// Some are not met, or a state was written.
    Blocked,
}

/// Judges a row, and writes the state that follows from its surroundings, if any. Every dependency has its say, the
/// last state wins; Airflow leaves their order open.
pub(super) fn judge(board: &mut Board<'_>, index: RowIndex) -> Judgement {
    match standing(board, index) {
        Standing::Ordinary => judge_dependencies(board, index),
        Standing::Gated => match judge_dependencies(board, index) {
            Judgement::Ready => Judgement::WaitsForEvent,
            other => other,
        },
        Standing::Waiting => Judgement::Blocked,
        Standing::Forced => judge_forced(board, index),
    }
}

/// What events have to say about a row before its dependencies are asked.
fn standing(board: &Board<'_>, index: RowIndex) -> Standing {
    let Some(events) = &board.facts.loaded.events else {
        return Standing::Ordinary;
    };
    let task = board.row(index).task;
    let begun = board.of_task(task).rows.iter().any(|row| board.is_begun(*row));
    events.standing(task, begun)
}

/// A task that an event starts whatever its dependencies say: only the time counts, and a mapped one must know its length.
fn judge_forced(board: &Board<'_>, index: RowIndex) -> Judgement {
    let row = board.row(index);
    let length = || count(board.facts.dag, row.task, &|source| board.result_length(source));
    if !row.map_index.is_mapped() && length() == Count::Unknown {
        return Judgement::Blocked;
    }
    match time(board, index) {
        Moment::Later(date) => Judgement::Early(date),
        Moment::Now => Judgement::Ready,
    }
}

fn judge_dependencies(board: &mut Board<'_>, index: RowIndex) -> Judgement {
    let mut answer = prev_dagrun(board, index);
    let mut state = board.row(index).state;
    let mut written = None;
    let trigger = trigger_rule(board, index);
    let skip = not_previously_skipped(board, index);
    for (verdict, reason) in trigger.into_iter().chain([(skip, Reason::SkippedByUpstream)]) {
        note(verdict, reason, &mut answer, &mut state, &mut written);
    }
    let sources = mapped_task_upstream(board, index, state);
    note(sources, Reason::ExpansionSource, &mut answer, &mut state, &mut written);
    let moment = time(board, index);
    if let Some((state, reason)) = written {
        board.set_state(index, state, Dates::Stamped, reason);
        return Judgement::Blocked;
    }
    match (answer, moment) {
        (Answer::NotMet, _) => Judgement::Blocked,
        (Answer::Met, Moment::Later(date)) => Judgement::Early(date),
        (Answer::Met, Moment::Now) => Judgement::Ready,
    }
}

fn note(
    verdict: Verdict,
    reason: Reason,
    answer: &mut Answer,
    state: &mut Option<TaskState>,
    written: &mut Option<(TaskState, Reason)>,
) {
    if verdict.answer == Answer::NotMet {
        *answer = Answer::NotMet;
    }
    if let Some(to) = verdict.writes {
        if *state != Some(to) {
            *written = Some((to, reason));
        }
        *state = Some(to);
    }
}

fn prev_dagrun(board: &Board<'_>, index: RowIndex) -> Answer {
    let facts = &board.facts;
    let task = facts.dag.task(board.row(index).task);
    deps::prev_dagrun::evaluate(facts.dag, task, facts.run, facts.loaded)
}

fn time(board: &Board<'_>, index: RowIndex) -> Moment {
    let (row, facts) = (board.row(index), &board.facts);
    let Some(ti) = row.fact.map(|fact| &facts.tis[fact as usize]) else {
        return Moment::Now;
    };
    let task = facts.dag.task(row.task);
    if row.state == Some(TaskState::UpForRetry) {
        let failed = deps::not_in_retry_period::FailedTry {
            dag_id: &facts.run.dag_id,
            task,
            logical_date: facts.run.logical_date,
            try_number: ti.try_number,
            end_date: row.end_date,
            delay_override: ti.retry_delay_override,
        };
        return deps::not_in_retry_period::evaluate(&failed, facts.options.max_retry_delay, board.now);
    }
    if deps::ready_to_reschedule::applies(task, row.map_index, row.state) {
        let request = facts.loaded.reschedules.get(&ti.id).copied();
        return deps::ready_to_reschedule::evaluate(request, board.now);
    }
    Moment::Now
}

/// The setup constraint and the trigger rule, in this order; the second is not asked where the first has decided.
fn trigger_rule(board: &Board<'_>, index: RowIndex) -> Vec<(Verdict, Reason)> {
    let (row, dag) = (board.row(index), board.facts.dag);
    let task = dag.task(row.task);
    if task.upstream.is_empty() || task.trigger_rule == TriggerRule::Always {
        return Vec::new();
    }
    let surroundings = Surroundings::new(board, index);
    let mut verdicts = Vec::with_capacity(1);
    let setups = dag.scopes.indirect_setups(row.task);
    if !setups.is_empty() {
        let verdict = deps::setup::evaluate(&surroundings.count(setups), row.map_index);
        verdicts.push((verdict, Reason::Setup));
        if verdict.answer == Answer::NotMet && verdict.writes.is_some_and(|to| row.state != Some(to)) {
            return verdicts;
        }
    }
    let upstream = surroundings.count(&task.upstream);
    let mut verdict = deps::trigger_rule::evaluate(task.trigger_rule, &upstream, row.map_index);
    if task.traits.is_teardown && verdict.answer == Answer::Met {
        let scope = dag.scopes.teardown_scope(row.task);
        verdict.answer = deps::setup::teardown(&surroundings.count(scope));
    }
    verdicts.push((verdict, Reason::TriggerRule));
    verdicts
}

fn not_previously_skipped(board: &Board<'_>, index: RowIndex) -> Verdict {
    let (row, facts) = (board.row(index), &board.facts);
    if facts.loaded.skips.is_empty() {
        return Verdict::MET;
    }
    let task = facts.dag.task(row.task);
    let verdicts = task.upstream.iter().filter_map(|above| {
        let parent = facts.dag.task(*above);
        if !parent.traits.can_skip_downstream || board.of_task(*above).tally.done() == 0 {
            return None;
        }
        let map_index = if parent.is_mapped() { row.map_index } else { MapIndex::UNMAPPED };
        facts.loaded.skips.get(&(parent.task_id.clone(), map_index))
    });
    deps::not_previously_skipped::evaluate(&task.task_id, verdicts)
}

fn mapped_task_upstream(board: &Board<'_>, index: RowIndex, state: Option<TaskState>) -> Verdict {
    let (row, dag) = (board.row(index), board.facts.dag);
    let task = dag.task(row.task);
    let around = dag.mapped_groups(task).first();
    let input = match (&task.expand_input, around) {
        (Some(input), _) => input,
        (None, Some(group)) => match &dag.group(*group).expand_input {
            Some(input) => input,
            None => return Verdict::MET,
        },
        (None, None) => return Verdict::MET,
    };
    let unexpanded = input.sources.iter().filter_map(|source| board.find(*source, MapIndex::UNMAPPED));
    deps::mapped_task_upstream::evaluate(state, unexpanded.map(|source| board.row(source).state))
}

/// Which task instances around a row matter to it.
struct Surroundings<'a, 'b> {
    board: &'a Board<'b>,
    task: TaskIndex,
    map_index: MapIndex,
    /// How many copies its task has; `None` if all instances of all tasks matter.
    copies: Option<u64>,
}

impl<'a, 'b> Surroundings<'a, 'b> {
    fn new(board: &'a Board<'b>, index: RowIndex) -> Self {
        let row = board.row(index);
        let dag = board.facts.dag;
        let copies = if dag.mapped_groups(dag.task(row.task)).is_empty() {
            None
        } else {
            match count(dag, row.task, &|task| board.result_length(task)) {
                Count::Known(copies) => Some(copies),
                Count::Unknown | Count::NotMapped => None,
            }
        };
        Self { board, task: row.task, map_index: row.map_index, copies }
    }

    fn relevant(&self, other: TaskIndex) -> Relevant {
        let dag = self.board.facts.dag;
        let Some(copies) = self.copies else {
            return Relevant::All;
        };
        let fires_early = dag.task(self.task).trigger_rule.can_fire_early();
        if !self.map_index.is_mapped()
            && fires_early
            && dag.feeds.sources(self.task).binary_search(&other).is_err()
        {
            return Relevant::All;
        }
        let result = |task| self.board.result_length(task);
        relevant_map_indexes(dag, self.task, self.map_index, copies, other, &result)
    }

    /// Counts the instances of `tasks` that matter.
    fn count(&self, tasks: &[TaskIndex]) -> Upstream {
        let dag = self.board.facts.dag;
        let by_rows = tasks.iter().any(|other| dag.task(*other).needs_expansion);
        let mut upstream = Upstream::default();
        for other in tasks {
            let (mut tally, rows) = self.count_one(*other);
            self.count_streaming(*other, &mut tally);
            let expected = if by_rows { rows } else { 1 };
            upstream.tally.extend(&tally);
            upstream.expected += expected;
            if dag.task(*other).traits.is_setup {
                upstream.setups.extend(&tally);
                upstream.expected_setups += expected;
            }
        }
        upstream
    }

    /// A task that never ends counts as successful while it is under way, to tasks that wait for an event.
    fn count_streaming(&self, other: TaskIndex, tally: &mut Tally) {
        let events = self.board.facts.loaded.events.as_ref();
        if !events.is_some_and(|events| events.is_met_by_running(self.task, other)) {
            return;
        }
        for row in &self.board.of_task(other).rows {
            let state = self.board.row(*row).state;
            if matches!(state, Some(TaskState::Running | TaskState::Deferred | TaskState::UpForReschedule)) {
                tally.add(Some(TaskState::Success));
            }
        }
    }

    fn count_one(&self, other: TaskIndex) -> (Tally, u32) {
        let all = self.board.of_task(other);
        let range = if self.copies.is_some() { self.relevant(other).range() } else { None };
        let Some(range) = range else {
            return (all.tally, all.rows.len() as u32);
        };
        let mut tally = Tally::default();
        let unexpanded = self.board.find(other, MapIndex::UNMAPPED);
        let copies = self.board.range(other, range.start.max(0)..range.end);
        for index in unexpanded.iter().chain(copies) {
            tally.add(self.board.counted_state(*index));
        }
        (tally, unexpanded.iter().chain(copies).count() as u32)
    }
}

impl Board<'_> {
    /// A row's state as trigger rules see it in this pass.
    fn counted_state(&self, index: RowIndex) -> Option<TaskState> {
        let row = self.row(index);
        row.state.filter(|state| row.is_counted() && is_finished(Some(*state)))
    }
}
