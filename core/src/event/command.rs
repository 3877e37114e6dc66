//! What becomes of the commands that events gave to one task of a run.
//!
//! Commands are taken in the order of their numbers, each against the state that the ones before it led to, so that one
//! look at a run ends where looking after every single command would have ended. Nothing here starts a task: a command
//! that is *open* lets the judgement of the run (`run::examine`) start it, and is done when that has happened.

use uuid::Uuid;

use super::command_table::{Phase, Row, Table};
use super::order::{Command, Order, Status};
use super::{Mark, Mode, WhenRunning};
use crate::state::{TaskState, is_finished};

/// One instance of the task, as the database shows it. Removed ones are left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instance {
    /// Its primary key.
    pub id: Uuid,
    /// Which copy of a mapped task; -1 otherwise.
    pub map_index: i32,
    /// Its state.
    pub state: Option<TaskState>,
    /// Its current or last try; 0 before the first.
    pub try_number: i32,
    /// Whether triggers can learn of its state.
    pub log: Log,
}

/// How far the event log has followed an instance. A state that the log still lacks is not overwritten by a start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Log {
    /// Nobody waits for the states of this Dag, or for too long in vain.
    Unwatched,
    /// The log has the instance's state.
    HasIt,
    /// It will have it soon.
    LacksIt,
}

/// What happens to an instance at once. Changes of one instance are made in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Its process is told to end; the try goes on to its final state: `running` to `restarting`.
    Halt,
    /// As when a running task is cleared: the try goes to the history, `running` to `restarting`.
    Renew,
    /// As when a task that does not run is cleared: the try, if there was one, goes to the history; no state.
    Clear,
    /// Gets its final state.
    End(Mark),
}

/// What becomes of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is taken up again whenever the run is looked at.
    Goes(Status),
    /// It has had its effect.
    Done,
    /// It has its effect with the start that is under way; the events join it.
    Joined,
    /// It has no effect.
    Dropped,
    /// It has its effect together with another command, which inherits its events.
    MergedInto(i64),
}

/// A command's fate and its reason, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Move {
    /// The command.
    pub command: i64,
    /// What becomes of it.
    pub fate: Fate,
    /// Why.
    pub reason: String,
}

/// Whether the task's dependencies are asked before it starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dependencies {
    /// They must hold.
    Checked,
    /// They do not matter.
    Skipped,
}

/// A start that waits only for the run's judgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opening {
    /// The command, done as soon as an instance of the task has been started.
    pub command: i64,
    /// Whether the task's dependencies must hold.
    pub dependencies: Dependencies,
}

/// What becomes of all commands of one task.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settled {
    /// Commands whose status or reason changes.
    pub moves: Vec<Move>,
    /// Changes of instances, by primary key, in order.
    pub changes: Vec<(Uuid, Change)>,
    /// Whether the task may be started.
    pub opening: Option<Opening>,
    /// Whether some command waits for the event log only.
    pub waits_for_log: bool,
}

/// What kind of task the commands are for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Nature {
    /// A stop ends one execution.
    #[default]
    Ordinary,
    /// Started again and again; a stop ends that as well.
    Periodic,
    /// Periodic once, and stopped since.
    PeriodicStopped,
}

/// Decides what becomes of the commands of one task, given in the order of their numbers.
pub fn settle(nature: Nature, instances: &[Instance], commands: &[Command]) -> Settled {
    let mut table = Table {
        nature,
        instances: instances.to_vec(),
        rows: commands.iter().map(|command| Row { command: *command, fate: None }).collect(),
        changes: Vec::new(),
        waits_for_log: false,
    };
    for index in 0..table.rows.len() {
        table.take(index);
    }
    table.settled()
}

impl Table {
    fn take(&mut self, index: usize) {
        let command = self.rows[index].command;
        let Some(phase) = self.phase(&command) else {
            return self.decide(index, Fate::Dropped, "the task has no instance in the run");
        };
        if self.nature == Nature::PeriodicStopped && !matches!(command.order, Order::Stop { .. }) {
            return self.decide(index, Fate::Dropped, "the periodic task was stopped");
        }
        match (command.order, command.status) {
            (Order::Start { .. } | Order::Restart { .. }, Status::Open) => self.keep_open(index, phase),
            (Order::Start { mode, when_running }, _) => self.start(index, phase, mode, when_running),
            (Order::Restart { .. }, Status::Stopping) => self.go_on_after_stop(index, phase),
            (Order::Restart { mode, .. }, _) => self.restart(index, phase, mode),
            (Order::Stop { mark, .. }, Status::Stopping) => {
                self.stop_ticking();
                self.end_stopped(index, mark);
            }
            (Order::Stop { mark, .. }, _) => self.stop(index, phase, mark),
        }
    }

    fn start(&mut self, index: usize, phase: Phase, mode: Mode, when_running: WhenRunning) {
        if let Some(stopper) = self.earlier(index, Status::Stopping) {
            return match self.rows[stopper].command.order {
                Order::Restart { .. } => self.behind(index, stopper, when_running, "it is being restarted"),
                _ => self.decide(index, Fate::Goes(Status::Waiting), "waits until the task has stopped"),
            };
        }
        match phase {
            Phase::NeverRan | Phase::Cleared => match self.earlier(index, Status::Open) {
                Some(open) => self.behind(index, open, when_running, "it is about to start"),
                None if phase == Phase::Cleared => {
                    self.behind_waiting(index, when_running, "it is about to run again");
                }
                None => self.open_first(index, mode),
            },
            Phase::Ended(state) => self.repeat(index, mode, state),
            Phase::Stopping => self.behind_waiting(index, when_running, "it is being restarted"),
            Phase::Starting => self.behind_waiting(index, when_running, "it is about to start"),
            Phase::Between(state) => self.behind_waiting(index, when_running, &format!("it is {state}")),
            Phase::Running => self.behind_waiting(index, when_running, "it runs"),
        }
    }

    /// The first start of a task.
    fn open_first(&mut self, index: usize, mode: Mode) {
        match mode {
            Mode::Control => {
                self.decide(index, Fate::Dropped, "its dependencies start it, and they have not yet");
            }
            Mode::Gate => self.decide(index, Fate::Goes(Status::Open), "waits for the task's dependencies"),
            Mode::EventOnly => self.decide(index, Fate::Goes(Status::Open), "starts the task"),
        }
    }

    /// Another execution of a task that has ended.
    fn repeat(&mut self, index: usize, mode: Mode, state: TaskState) {
        let targets = self.targets(index);
        let never_ran = targets.iter().all(|at| self.instances[*at].try_number == 0);
        let decided = matches!(state, TaskState::UpstreamFailed | TaskState::Skipped);
        if never_ran && decided && mode != Mode::EventOnly {
            return self.decide(index, Fate::Dropped, &format!("its dependencies made it {state}"));
        }
        if self.log_lacks(&targets) {
            return self.wait_for_log(index);
        }
        for at in targets {
            self.change(at, Change::Clear);
        }
        self.decide(index, Fate::Goes(Status::Open), "runs again");
    }

    /// A start of a task that is under way, or whose start is.
    fn behind_waiting(&mut self, index: usize, when_running: WhenRunning, why: &str) {
        let waiting = (0..index).find(|at| {
            self.rows[*at].status() == Some(Status::Waiting)
                && matches!(self.rows[*at].command.order, Order::Start { .. })
                && self.same_target(*at, index)
        });
        match (when_running, waiting) {
            (WhenRunning::Coalesce, Some(waiting)) => self.merge(index, waiting),
            (WhenRunning::Ignore, _) => self.decide(index, Fate::Dropped, why),
            (WhenRunning::Queue | WhenRunning::Coalesce, _) => {
                self.decide(index, Fate::Goes(Status::Waiting), &format!("waits: {why}"));
            }
        }
    }

    /// A start while an earlier command is about to start the task.
    fn behind(&mut self, index: usize, earlier: usize, when_running: WhenRunning, why: &str) {
        match when_running {
            WhenRunning::Ignore => self.decide(index, Fate::Dropped, why),
            WhenRunning::Coalesce => self.merge(index, earlier),
            WhenRunning::Queue => {
                self.decide(index, Fate::Goes(Status::Waiting), &format!("waits: {why}"));
            }
        }
    }

    fn keep_open(&mut self, index: usize, phase: Phase) {
        match phase {
            Phase::NeverRan | Phase::Cleared => {}
            Phase::Ended(state) => {
                self.decide(index, Fate::Dropped, &format!("the task became {state} before it could start"));
            }
            Phase::Starting | Phase::Between(_) | Phase::Running | Phase::Stopping => {
                self.decide(index, Fate::Done, "the task was started by somebody else");
            }
        }
    }

    fn restart(&mut self, index: usize, phase: Phase, mode: Mode) {
        if let Some(stopper) = self.earlier(index, Status::Stopping) {
            return match self.rows[stopper].command.order {
                Order::Restart { .. } => self.merge(index, stopper),
                _ => self.decide(index, Fate::Goes(Status::Waiting), "waits until the task has stopped"),
            };
        }
        match phase {
            Phase::NeverRan | Phase::Cleared => match self.earlier(index, Status::Open) {
                Some(open) => self.merge(index, open),
                None if phase == Phase::Cleared => {
                    self.decide(index, Fate::Goes(Status::Open), "starts with the run that is due anyway");
                }
                None => self.open_first(index, mode),
            },
            Phase::Starting => self.decide(index, Fate::Joined, "the task has not begun yet"),
            Phase::Ended(state) => self.repeat(index, mode, state),
            Phase::Between(_) | Phase::Running if self.log_lacks(&self.targets(index)) => {
                self.wait_for_log(index);
            }
            Phase::Between(_) => {
                for at in self.targets(index) {
                    if self.instances[at].state.is_some_and(|state| !state.is_finished()) {
                        self.change(at, Change::Clear);
                    }
                }
                self.decide(index, Fate::Goes(Status::Open), "runs again");
            }
            Phase::Stopping => {
                self.decide(index, Fate::Goes(Status::Stopping), "the task is being restarted")
            }
            Phase::Running => {
                for at in self.targets(index) {
                    if self.instances[at].state == Some(TaskState::Running) {
                        self.change(at, Change::Renew);
                    }
                }
                self.decide(index, Fate::Goes(Status::Stopping), "the task's process is being ended");
            }
        }
    }

    /// A restart whose stop was under way when the run was last looked at.
    fn go_on_after_stop(&mut self, index: usize, phase: Phase) {
        match phase {
            Phase::Stopping => {}
            Phase::NeverRan | Phase::Cleared => {
                self.decide(index, Fate::Goes(Status::Open), "the task has stopped and starts again");
            }
            Phase::Between(_) if self.log_lacks(&self.targets(index)) => self.waits_for_log = true,
            Phase::Between(_) => {
                for at in self.targets(index) {
                    if self.instances[at].state.is_some_and(|state| !state.is_finished()) {
                        self.change(at, Change::Clear);
                    }
                }
                self.decide(index, Fate::Goes(Status::Open), "the task has stopped and starts again");
            }
            Phase::Starting | Phase::Running => self.decide(index, Fate::Done, "the task was started again"),
            Phase::Ended(state) => {
                self.decide(
                    index,
                    Fate::Dropped,
                    &format!("the task was marked {state} while it was stopped"),
                );
            }
        }
    }

    fn stop(&mut self, index: usize, phase: Phase, mark: Mark) {
        let stopper = self.earlier(index, Status::Stopping);
        if let Some(at) = stopper
            && matches!(self.rows[at].command.order, Order::Stop { .. })
        {
            return self.decide(index, Fate::Dropped, "the task is being stopped already");
        }
        let mut withdrawn = false;
        for at in 0..index {
            if self.rows[at].status().is_some() && self.same_target(at, index) {
                self.decide(at, Fate::Dropped, "a later command stopped the task");
                withdrawn = true;
            }
        }
        let ticked = self.nature == Nature::Periodic;
        self.stop_ticking();
        match phase {
            Phase::NeverRan | Phase::Ended(_) if ticked => {
                self.decide(index, Fate::Done, "the periodic task is not started any more");
            }
            Phase::NeverRan if withdrawn => self.decide(index, Fate::Done, "the task's start was withdrawn"),
            Phase::NeverRan => self.decide(index, Fate::Dropped, "the task never ran"),
            Phase::Ended(state) => self.decide(index, Fate::Dropped, &format!("the task had ended: {state}")),
            _ => self.end_stopped(index, mark),
        }
    }

    fn stop_ticking(&mut self) {
        if self.nature == Nature::Periodic {
            self.nature = Nature::PeriodicStopped;
        }
    }

    /// Ends what does not run, tells what runs to end, and is done when nothing runs any more.
    fn end_stopped(&mut self, index: usize, mark: Mark) {
        let mut alive = false;
        for at in self.targets(index) {
            match self.instances[at].state {
                Some(TaskState::Running) => {
                    self.change(at, Change::Halt);
                    alive = true;
                }
                Some(TaskState::Restarting) => alive = true,
                state if is_finished(state) => {}
                _ => self.change(at, Change::End(mark)),
            }
        }
        match alive {
            true => self.decide(index, Fate::Goes(Status::Stopping), "the task's process is being ended"),
            false => self.decide(index, Fate::Done, &format!("the task was stopped: {}", mark.as_str())),
        }
    }
}

/// The state that a stopped task gets.
pub fn state_of(mark: Mark) -> TaskState {
    match mark {
        Mark::Success => TaskState::Success,
        Mark::Failed => TaskState::Failed,
        Mark::Skipped => TaskState::Skipped,
    }
}

#[cfg(test)]
#[path = "command_tests.rs"]
mod tests;
