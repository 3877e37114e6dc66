//! What we would do, by row.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use slipstream_core::dag::Dag;
use slipstream_core::ids::{MapIndex, TaskId};
use slipstream_core::run::{Decision, Examination, Expansion, Outcome, Reason, TiRef};
use slipstream_core::state::{RunState, TaskState};

use super::step::Deed;

/// What something is done to, within a run.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum What {
    /// The run itself.
    Run,
    /// A task instance.
    Ti(TaskId, MapIndex),
}

/// What we would do to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    /// Schedule it, or hand it to the triggerer.
    Start,
    /// Let it succeed without being run.
    Succeed,
    /// Give it this state.
    Become(TaskState),
    /// Take it back.
    Restore,
    /// Make its row.
    Make,
    /// Take its row away.
    Vanish,
    /// Start the run.
    StartRun,
    /// End the run.
    EndRun(RunState),
}

/// Whether something else must be done before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// Nothing: another scheduler can do it in its next loop.
    Now,
    /// It follows from what else we would do.
    Later,
}

/// An act with its reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Planned {
    pub(super) act: Act,
    pub(super) why: &'static str,
    pub(super) turn: Turn,
}

/// Everything that we would do about one run.
pub(super) type Plans = BTreeMap<What, Planned>;

impl Act {
    /// Whether a scheduler that did this did what we would do.
    pub(super) fn admits(self, deed: Deed) -> bool {
        match (self, deed) {
            // Its row is there now, whatever else happened to it.
            (Self::Make | Self::Start | Self::Succeed | Self::Become(_), Deed::Made) => true,
            (Self::Start, Deed::Started(_)) => true,
            (Self::Succeed, Deed::Started(state)) => state == Some(TaskState::Success),
            (Self::Become(ours), Deed::Became(theirs)) => ours == theirs,
            (Self::Restore, Deed::Restored) | (Self::Vanish, Deed::Gone) => true,
            (Self::StartRun, Deed::RunStarted) => true,
            (Self::EndRun(ours), Deed::RunEnded(theirs)) => ours == theirs,
            _ => false,
        }
    }
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start => f.write_str("schedule it"),
            Self::Succeed => f.write_str("let it succeed without being run"),
            Self::Become(state) => write!(f, "set it {state}"),
            Self::Restore => f.write_str("take it back"),
            Self::Make => f.write_str("make its row"),
            Self::Vanish => f.write_str("replace it by its copies"),
            Self::StartRun => f.write_str("start the run"),
            Self::EndRun(state) => write!(f, "end the run as {state}"),
        }
    }
}

impl fmt::Display for Deed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Started(Some(state)) => write!(f, "scheduled it (it is {state} now)"),
            Self::Started(None) => f.write_str("scheduled it"),
            Self::Became(state) => write!(f, "set it {state}"),
            Self::Restored => f.write_str("took it back"),
            Self::Made => f.write_str("made its row"),
            Self::Gone => f.write_str("took its row away"),
            Self::RunStarted => f.write_str("started the run"),
            Self::RunEnded(state) => write!(f, "ended the run as {state}"),
        }
    }
}

/// What a judgement comes to, by row. Of several decisions about one row the last one counts.
pub(super) fn of(judged: &Examination, dag: &Dag) -> Plans {
    let mut plans = of_decisions(&judged.decisions);
    let busy: BTreeSet<TaskId> = plans.keys().filter_map(task).cloned().collect();
    for (what, planned) in &mut plans {
        let upstream = task(what).and_then(|task| dag.task_by_id(task.as_str())).map(|task| &task.upstream);
        let follows =
            upstream.is_some_and(|above| above.iter().any(|above| busy.contains(&dag.task(*above).task_id)));
        planned.turn = if follows { Turn::Later } else { Turn::Now };
    }
    let end = match &judged.outcome {
        Outcome::StillRunning { .. } => None,
        Outcome::Success { .. } => Some((RunState::Success, "the tasks that decide about it have succeeded")),
        Outcome::Failed { reason, .. } => Some((RunState::Failed, reason.as_str())),
    };
    if let Some((state, why)) = end {
        let turn = if plans.is_empty() { Turn::Now } else { Turn::Later };
        plans.insert(What::Run, Planned { act: Act::EndRun(state), why, turn });
    }
    plans
}

/// What decisions come to, all of them at once.
pub(super) fn of_decisions(decisions: &[Decision]) -> Plans {
    let mut plans = Plans::new();
    let name = |ti: &TiRef| What::Ti(ti.task_id.clone(), ti.map_index);
    let mut plan = |what: What, act: Act, why: &'static str| {
        plans.insert(what, Planned { act, why, turn: Turn::Now });
    };
    for decision in decisions {
        match decision {
            Decision::SetState { ti, to: None, reason, .. } => {
                plan(name(ti), Act::Restore, reason_of(*reason))
            }
            Decision::SetState { ti, to: Some(to), reason, .. } => {
                plan(name(ti), Act::Become(*to), reason_of(*reason));
            }
            Decision::Schedule { ti, .. } | Decision::DeferFromTrigger { ti, .. } => {
                plan(name(ti), Act::Start, "its dependencies are met");
            }
            Decision::SucceedEmpty { ti, .. } => {
                plan(name(ti), Act::Succeed, "its dependencies are met, and it has nothing to run");
            }
            Decision::Remove { ti, .. } => {
                plan(name(ti), Act::Become(TaskState::Removed), "the Dag has no such task or copy");
            }
            Decision::ClearReferences { .. } => {}
            Decision::Expand(Expansion::Rename { ti, .. }) => {
                plan(name(ti), Act::Vanish, EXPANDED);
                plan(What::Ti(ti.task_id.clone(), MapIndex(0)), Act::Make, EXPANDED);
            }
            Decision::Expand(Expansion::Delete { ti, .. }) => plan(name(ti), Act::Vanish, EXPANDED),
            Decision::Expand(Expansion::Add { task_id, map_indexes, .. }) => {
                for index in map_indexes {
                    plan(What::Ti(task_id.clone(), *index), Act::Make, EXPANDED);
                }
            }
        }
    }
    plans
}

const EXPANDED: &str = "what its task is mapped over is known";

/// The task that something is about.
pub(super) fn task(what: &What) -> Option<&TaskId> {
    match what {
        What::Run => None,
        What::Ti(task, _) => Some(task),
    }
}

fn reason_of(reason: Reason) -> &'static str {
    match reason {
        Reason::TriggerRule => "its trigger rule can no longer be met",
        Reason::Setup => "a setup that it needs did not succeed",
        Reason::SkippedByUpstream => "a task before it chose other branches",
        Reason::ExpansionSource => "what it is mapped over did not succeed",
        Reason::NothingToExpand => "there is nothing to map over",
        Reason::LengthUnknown => "what it is mapped over was never pushed",
        Reason::TimedOut => "the run took longer than dagrun_timeout",
        Reason::Restored => "its task is in the Dag again",
        Reason::NoEvent => "no event started it before the run was over",
    }
}
