//! The task instances of one run while they are being decided about.
//!
//! Airflow takes one level of a cascade per loop of its scheduler: within a pass, trigger rules see the task instances
//! that were finished when the pass began. The board keeps both the present state of each row and those counts, so that
//! passes can follow each other at once and still end as Airflow's do.

use chrono::{DateTime, TimeDelta, Utc};

use super::{Dates, Decision, Facts, Reason, TiRef};
use crate::dag::TaskIndex;
use crate::deps::Tally;
use crate::ids::MapIndex;
use crate::state::{TaskState, is_finished, is_schedulable};

/// A row's place on the board.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct RowIndex(u32);

impl RowIndex {
    fn at(self) -> usize {
        self.0 as usize
    }
}

/// One task instance.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) task: TaskIndex,
    pub(super) map_index: MapIndex,
    pub(super) state: Option<TaskState>,
    /// Which of the facts it was made from; `None` for one that expansion made.
    pub(super) fact: Option<u32>,
    pub(super) start_date: Option<DateTime<Utc>>,
    pub(super) end_date: Option<DateTime<Utc>>,
    /// When time alone will let it run, if that is all it waits for.
    pub(super) waits_until: Option<DateTime<Utc>>,
    /// It has all that it needs but an event.
    pub(super) waits_for_event: bool,
    /// The task's place in the order of task ids: Airflow's order of looking at task instances.
    rank: u32,
    /// Counted in its task's tally, because it was finished when the pass began.
    counted: bool,
    deleted: bool,
}

impl Row {
    /// Whether trigger rules see it as finished in this pass.
    pub(super) fn is_counted(&self) -> bool {
        self.counted
    }
}

/// The rows of one task.
#[derive(Clone, Debug, Default)]
pub(super) struct TaskRows {
    /// In the order of their map indexes.
    pub(super) rows: Vec<RowIndex>,
    /// Those that were finished when the pass began.
    pub(super) tally: Tally,
    /// Those that are not finished now.
    unfinished: u32,
    /// To be looked at in the next pass.
    dirty: bool,
    rank: u32,
}

/// All rows, the decisions so far, and what the next pass must look at.
pub(super) struct Board<'a> {
    pub(super) facts: Facts<'a>,
    pub(super) now: DateTime<Utc>,
    /// Passes so far: what ends at once in a later one ends later.
    passes: i64,
    pub(super) decisions: Vec<Decision>,
    rows: Vec<Row>,
    tasks: Vec<TaskRows>,
    dirty: Vec<TaskIndex>,
    finished_in_pass: Vec<RowIndex>,
    /// The first of the unfinished copies that the last pass removed that changed anything.
    pub(super) first_removed: Option<RowIndex>,
}

impl<'a> Board<'a> {
    /// Lays out the facts. Instances of tasks that are no longer in the Dag are removed and left out.
    pub(super) fn new(facts: Facts<'a>, now: DateTime<Utc>) -> Self {
        let mut board = Self {
            facts,
            now,
            passes: 0,
            decisions: Vec::new(),
            rows: Vec::with_capacity(facts.tis.len()),
            tasks: vec![TaskRows::default(); facts.dag.tasks.len()],
            dirty: Vec::new(),
            finished_in_pass: Vec::new(),
            first_removed: None,
        };
        let mut order: Vec<u32> = (0..facts.tis.len() as u32).collect();
        let key = |fact: &u32| {
            let ti = &facts.tis[*fact as usize];
            (&ti.task_id, ti.map_index)
        };
        order.sort_by(|one, other| key(one).cmp(&key(other)));
        let mut rank = 0;
        for fact in order {
            board.lay(fact, &mut rank);
        }
        board
    }

    fn lay(&mut self, fact: u32, rank: &mut u32) {
        let ti = &self.facts.tis[fact as usize];
        let Some(task) = self.facts.dag.find(ti.task_id.as_str()) else {
            if ti.state != Some(TaskState::Removed) {
                let ti_ref = TiRef { task_id: ti.task_id.clone(), map_index: ti.map_index, id: Some(ti.id) };
                self.decisions.push(Decision::Remove { ti: ti_ref, from: ti.state });
            }
            return;
        };
        let finished = is_finished(ti.state);
        let rows = &mut self.tasks[task.at()];
        if rows.rows.is_empty() {
            *rank += 1;
            rows.rank = *rank;
        }
        rows.rows.push(RowIndex(self.rows.len() as u32));
        rows.tally.add(ti.state);
        rows.unfinished += u32::from(!finished);
        self.rows.push(Row {
            task,
            map_index: ti.map_index,
            state: ti.state,
            fact: Some(fact),
            start_date: ti.start_date,
            end_date: ti.end_date,
            waits_until: None,
            waits_for_event: false,
            rank: *rank,
            counted: finished,
            deleted: false,
        });
    }

    pub(super) fn row(&self, index: RowIndex) -> &Row {
        &self.rows[index.at()]
    }

    pub(super) fn row_mut(&mut self, index: RowIndex) -> &mut Row {
        &mut self.rows[index.at()]
    }

    /// All rows that exist, in Airflow's order at the beginning, new ones last.
    pub(super) fn rows(&self) -> impl Iterator<Item = (RowIndex, &Row)> {
        (0..).map(RowIndex).zip(&self.rows).filter(|(_, row)| !row.deleted)
    }

    pub(super) fn of_task(&self, task: TaskIndex) -> &TaskRows {
        &self.tasks[task.at()]
    }

    /// Whether a row has been started before.
    pub(super) fn is_begun(&self, index: RowIndex) -> bool {
        let fact = self.row(index).fact;
        fact.is_some_and(|fact| self.facts.tis[fact as usize].try_number > 0)
    }

    /// The row of one copy of a task.
    pub(super) fn find(&self, task: TaskIndex, map_index: MapIndex) -> Option<RowIndex> {
        let rows = &self.tasks[task.at()].rows;
        let place = rows.binary_search_by_key(&map_index, |row| self.row(*row).map_index).ok()?;
        Some(rows[place])
    }

    /// The rows of a task whose map indexes are in the range.
    pub(super) fn range(&self, task: TaskIndex, range: std::ops::Range<i64>) -> &[RowIndex] {
        let rows = &self.tasks[task.at()].rows;
        let before = |limit: i64| rows.partition_point(|row| i64::from(self.row(*row).map_index.0) < limit);
        let start = before(range.start);
        &rows[start..before(range.end).max(start)]
    }

    /// The length of a task's result (`get_task_map_length` of a plain `XComArg`).
    pub(super) fn result_length(&self, task: TaskIndex) -> Option<u64> {
        let source = self.facts.dag.task(task);
        if !source.is_mapped() {
            return self.facts.loaded.map_lengths.get(&source.task_id).copied();
        }
        let all_ended = self.tasks[task.at()].unfinished == 0;
        all_ended.then(|| self.facts.loaded.result_counts.get(&source.task_id).copied().unwrap_or(0))
    }

    /// How decisions name a row now.
    pub(super) fn name(&self, index: RowIndex) -> TiRef {
        let row = self.row(index);
        TiRef {
            task_id: self.facts.dag.task(row.task).task_id.clone(),
            map_index: row.map_index,
            id: row.fact.map(|fact| self.facts.tis[fact as usize].id),
        }
    }

    /// The rows that the next pass looks at, in Airflow's order: those of changed surroundings that may be scheduled.
    pub(super) fn next_pass(&mut self) -> Vec<RowIndex> {
        for index in std::mem::take(&mut self.finished_in_pass) {
            let row = &mut self.rows[index.at()];
            if !row.counted && !row.deleted && is_finished(row.state) {
                row.counted = true;
                self.tasks[row.task.at()].tally.add(row.state);
            }
        }
        self.passes += 1;
        let mut pass = Vec::new();
        for task in std::mem::take(&mut self.dirty) {
            self.tasks[task.at()].dirty = false;
            let rows = self.tasks[task.at()].rows.iter().copied();
            pass.extend(rows.filter(|row| is_schedulable(self.row(*row).state)));
        }
        pass.sort_unstable_by_key(|row| (self.row(*row).rank, self.row(*row).map_index));
        pass
    }

    /// Has the next pass look at every task.
    pub(super) fn look_at_everything(&mut self) {
        for task in (0..self.tasks.len() as u32).map(TaskIndex) {
            self.look_at(task);
        }
    }

    fn look_at(&mut self, task: TaskIndex) {
        let rows = &mut self.tasks[task.at()];
        if !std::mem::replace(&mut rows.dirty, true) {
            self.dirty.push(task);
        }
    }

    /// Has the next pass look at everything that depends on a task.
    fn look_below(&mut self, task: TaskIndex) {
        let dag = self.facts.dag;
        let dependents = dag.task(task).downstream.iter();
        for below in dependents.chain(dag.scopes.watchers(task)).chain(dag.feeds.fed_by(task)) {
            self.look_at(*below);
        }
    }

    /// When what ends in this pass has ended, so that the order of the passes shows.
    pub(super) fn end_of_pass(&self) -> DateTime<Utc> {
        self.now + TimeDelta::microseconds(self.passes)
    }

    /// Writes a state and the decision for it.
    pub(super) fn set_state(&mut self, index: RowIndex, to: TaskState, dates: Dates, reason: Reason) {
        let from = self.row(index).state;
        if from == Some(to) {
            return;
        }
        let ti = self.name(index);
        self.decisions.push(Decision::SetState { ti, from, to: Some(to), dates, reason });
        let now = self.now;
        let row = self.row_mut(index);
        if dates == Dates::Stamped {
            row.start_date = row.start_date.or(Some(now));
            if to.is_finished() || to == TaskState::UpForRetry {
                row.end_date = row.end_date.or(Some(now));
            }
        }
        self.change(index, to);
    }

    /// Removes a row that has no counterpart any more.
    pub(super) fn remove(&mut self, index: RowIndex) {
        let from = self.row(index).state;
        if from != Some(TaskState::Removed) {
            let ti = self.name(index);
            self.decisions.push(Decision::Remove { ti, from });
            if !is_finished(from) {
                self.first_removed = Some(self.first_removed.map_or(index, |first| first.min(index)));
            }
            self.change(index, TaskState::Removed);
        }
    }

    /// Changes a row's state; the caller adds the decision.
    pub(super) fn change(&mut self, index: RowIndex, to: TaskState) {
        let row = &mut self.rows[index.at()];
        let (task, from, counted) = (row.task, row.state, row.counted);
        row.state = Some(to);
        row.waits_until = None;
        row.waits_for_event = false;
        let rows = &mut self.tasks[task.at()];
        match (is_finished(from), to.is_finished()) {
            (false, true) => rows.unfinished -= 1,
            (true, false) => rows.unfinished += 1,
            _ => {}
        }
        if counted {
            rows.tally.take(from);
            rows.tally.add(Some(to));
        } else if to.is_finished() {
            self.finished_in_pass.push(index);
        }
        if is_finished(from) || to.is_finished() {
            self.look_below(task);
        }
    }

    /// Gives a row another map index. It must stay in its place among its task's rows.
    pub(super) fn renumber(&mut self, index: RowIndex, map_index: MapIndex) {
        self.row_mut(index).map_index = map_index;
        let task = self.row(index).task;
        self.look_below(task);
    }

    /// Takes an unfinished row away.
    pub(super) fn delete(&mut self, index: RowIndex) {
        let row = self.row_mut(index);
        row.deleted = true;
        let task = row.task;
        let rows = &mut self.tasks[task.at()];
        rows.rows.retain(|other| *other != index);
        rows.unfinished -= 1;
        self.look_below(task);
    }

    /// Adds an unfinished row.
    pub(super) fn add(&mut self, task: TaskIndex, map_index: MapIndex, state: Option<TaskState>) -> RowIndex {
        let index = RowIndex(self.rows.len() as u32);
        let rows = &self.tasks[task.at()].rows;
        let place = rows.partition_point(|row| self.row(*row).map_index < map_index);
        let rank = self.tasks[task.at()].rank;
        let rows = &mut self.tasks[task.at()];
        rows.rows.insert(place, index);
        rows.unfinished += 1;
        self.rows.push(Row {
            task,
            map_index,
            state,
            fact: None,
            start_date: None,
            end_date: None,
            waits_until: None,
            waits_for_event: false,
            rank,
            counted: false,
            deleted: false,
        });
        self.look_below(task);
        index
    }
}
