//! What events have to say about a run's tasks: which are held back, which may start, and when the run is over.

use std::collections::{BTreeMap, BTreeSet};

use crate::dag::TaskIndex;
use crate::event::Mode;
use crate::event::command::{Dependencies, Opening};

/// The part of events in the judgement of one run.
#[derive(Clone, Debug, Default)]
pub struct EventFacts {
    /// Tasks that do not start without an event.
    pub held: BTreeMap<TaskIndex, Hold>,
    /// Tasks that an event lets start now.
    pub openings: BTreeMap<TaskIndex, Opening>,
    /// Tasks that never end by themselves.
    pub streaming: BTreeSet<TaskIndex>,
    /// Tasks that are started again and again, and have not been stopped.
    pub periodic: BTreeSet<TaskIndex>,
    /// Tasks that were started again and again until they were stopped: nothing starts them any more.
    pub stopped: BTreeSet<TaskIndex>,
    /// Whether the run may be timed out by `dagrun_timeout`.
    pub timeout: Timeout,
    /// Whether every event up to now has been put to the run's triggers.
    pub heard: Heard,
}

/// How a task is held back until an event starts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// It waits for its dependencies and for an event.
    Gate,
    /// It waits for an event only; its dependencies neither start it nor decide its state.
    EventOnly,
}

impl Hold {
    /// How a task is held by a trigger that starts it in this mode.
    pub fn of(mode: Mode) -> Option<Self> {
        match mode {
            Mode::Gate => Some(Self::Gate),
            Mode::EventOnly => Some(Self::EventOnly),
            Mode::Control => None,
        }
    }
}

/// Whether the run may be timed out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Timeout {
    /// As the Dag says.
    #[default]
    AsTheDagSays,
    /// Never: it is long-running by declaration.
    Never,
}

/// Whether every event up to now has been put to the run's triggers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Heard {
    /// Not yet, or not asked: the run may not end.
    #[default]
    NotYet,
    /// Yes.
    Everything,
}

/// What holds for one row before its dependencies are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Events have nothing to do with it, or have let it start.
    Ordinary,
    /// It starts, or goes on, whatever its dependencies say.
    Forced,
    /// It is judged, and waits for an event if it is ready.
    Gated,
    /// It waits for an event, and its dependencies are not asked.
    Waiting,
}

impl EventFacts {
    /// How a task stands that is in a state from which it may be scheduled. `begun`: some instance of it has been started
    /// before, so that a retry, or a person's clearing, goes on without another event.
    pub(super) fn standing(&self, task: TaskIndex, begun: bool) -> Standing {
        let opening = self.openings.get(&task);
        match self.held.get(&task) {
            _ if opening.is_some_and(|opening| opening.dependencies == Dependencies::Skipped) => {
                Standing::Forced
            }
            None => Standing::Ordinary,
            Some(Hold::Gate) if begun || opening.is_some() => Standing::Ordinary,
            Some(Hold::Gate) => Standing::Gated,
            Some(Hold::EventOnly) if begun => Standing::Forced,
            Some(Hold::EventOnly) if opening.is_some() => Standing::Ordinary,
            Some(Hold::EventOnly) => Standing::Waiting,
        }
    }

    /// Whether a running instance of `above` is as good as a successful one to `task`: an arrow from a task that never
    /// ends to one that waits for an event means that the first one must be under way.
    pub(super) fn is_met_by_running(&self, task: TaskIndex, above: TaskIndex) -> bool {
        self.streaming.contains(&above) && self.held.contains_key(&task)
    }
}
