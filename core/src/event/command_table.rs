//! The commands on one task and its instances, while it is being decided what becomes of them.

use uuid::Uuid;

use super::Mode;
use super::command::{Change, Dependencies, Fate, Instance, Log, Move, Nature, Opening, Settled, state_of};
use super::order::{Command, Order, Status};
use crate::state::TaskState;

/// How far the instances that a command is about are, taken together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// None has ever been started, and none has a state.
    NeverRan,
    /// About to run again: cleared by a person or by an earlier command.
    Cleared,
    /// `scheduled` or `queued`.
    Starting,
    /// Between two parts of an execution: a retry, a reschedule, a trigger, a question.
    Between(TaskState),
    /// `running`.
    Running,
    /// `restarting`: its process is being ended.
    Stopping,
    /// All have ended.
    Ended(TaskState),
}

/// A command, and what has been decided of it.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) command: Command,
    pub(super) fate: Option<(Fate, String)>,
}

impl Row {
    /// Its status after what has been decided so far; `None` once it is over.
    pub(super) fn status(&self) -> Option<Status> {
        match &self.fate {
            None => Some(self.command.status),
            Some((Fate::Goes(status), _)) => Some(*status),
            Some(_) => None,
        }
    }
}

/// All that is decided together.
pub(super) struct Table {
    pub(super) nature: Nature,
    pub(super) instances: Vec<Instance>,
    pub(super) rows: Vec<Row>,
    pub(super) changes: Vec<(Uuid, Change)>,
    pub(super) waits_for_log: bool,
}

impl Table {
    /// The instances that a command is about.
    pub(super) fn targets(&self, index: usize) -> Vec<usize> {
        let map_index = self.rows[index].command.map_index;
        let meant = |at: &usize| map_index < 0 || self.instances[*at].map_index == map_index;
        (0..self.instances.len()).filter(meant).collect()
    }

    pub(super) fn phase(&self, command: &Command) -> Option<Phase> {
        let meant = |ti: &&Instance| command.map_index < 0 || ti.map_index == command.map_index;
        let phase = |ti: &Instance| match ti.state {
            None if ti.try_number > 0 => Phase::Cleared,
            None => Phase::NeverRan,
            Some(TaskState::Scheduled | TaskState::Queued) => Phase::Starting,
            Some(TaskState::Running) => Phase::Running,
            Some(TaskState::Restarting) => Phase::Stopping,
            Some(state) if state.is_finished() => Phase::Ended(state),
            Some(state) => Phase::Between(state),
        };
        let rank = |phase: &Phase| match phase {
            Phase::Running => 0,
            Phase::Stopping => 1,
            Phase::Starting => 2,
            Phase::Between(_) => 3,
            Phase::Cleared => 4,
            Phase::NeverRan => 5,
            Phase::Ended(_) => 6,
        };
        let phases = self.instances.iter().filter(meant).map(phase);
        let all_new = phases.clone().all(|phase| phase == Phase::NeverRan);
        let first = phases.min_by_key(rank)?;
        // Some copies have ended and others wait: the task is under way.
        Some(if first == Phase::NeverRan && !all_new { Phase::Cleared } else { first })
    }

    /// The first earlier command on the same instances with this status.
    pub(super) fn earlier(&self, index: usize, status: Status) -> Option<usize> {
        (0..index).find(|at| self.rows[*at].status() == Some(status) && self.same_target(*at, index))
    }

    pub(super) fn same_target(&self, one: usize, other: usize) -> bool {
        let (one, other) = (self.rows[one].command.map_index, self.rows[other].command.map_index);
        one == other || one < 0 || other < 0
    }

    /// Whether one of these has a state that the log does not have yet.
    pub(super) fn log_lacks(&self, targets: &[usize]) -> bool {
        targets.iter().any(|at| {
            let instance = &self.instances[*at];
            instance.log == Log::LacksIt && instance.state.is_some()
        })
    }

    pub(super) fn wait_for_log(&mut self, index: usize) {
        self.waits_for_log = true;
        let why = "waits until the event log has the state of the execution before";
        self.decide(index, Fate::Goes(Status::Waiting), why);
    }

    pub(super) fn merge(&mut self, index: usize, into: usize) {
        let into = self.rows[into].command.id;
        self.decide(index, Fate::MergedInto(into), &format!("taken together with command {into}"));
    }

    pub(super) fn decide(&mut self, index: usize, fate: Fate, reason: &str) {
        self.rows[index].fate = Some((fate, reason.to_owned()));
    }

    pub(super) fn change(&mut self, at: usize, change: Change) {
        let instance = &mut self.instances[at];
        instance.state = match change {
            Change::Halt | Change::Renew => Some(TaskState::Restarting),
            Change::Clear => None,
            Change::End(mark) => Some(state_of(mark)),
        };
        if instance.log == Log::HasIt {
            instance.log = Log::LacksIt;
        }
        self.changes.push((instance.id, change));
    }

    pub(super) fn settled(self) -> Settled {
        let open = self.rows.iter().find(|row| row.status() == Some(Status::Open));
        let opening = open.map(|row| Opening {
            command: row.command.id,
            dependencies: match row.command.order {
                Order::Start { mode: Mode::EventOnly, .. } | Order::Restart { mode: Mode::EventOnly, .. } => {
                    Dependencies::Skipped
                }
                _ => Dependencies::Checked,
            },
        });
        let moves = self.rows.into_iter().filter_map(|row| {
            let (fate, reason) = row.fate?;
            let same = fate == Fate::Goes(row.command.status);
            (!same).then_some(Move { command: row.command.id, fate, reason })
        });
        let waits_for_log = self.waits_for_log;
        Settled { moves: moves.collect(), changes: self.changes, opening, waits_for_log }
    }
}
