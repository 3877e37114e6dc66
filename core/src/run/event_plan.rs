//! What a Dag says about its tasks and events, as the judgement of its runs needs it.

use std::collections::{BTreeMap, BTreeSet};

use super::event_tasks::{Hold, Timeout};
use crate::dag::{Dag, TaskIndex};
use crate::event::{AIRFLOW_NAMESPACE, Action, TaskEvents, TriggerSpec};
use crate::ids::TaskId;

/// The event tasks of a Dag.
#[derive(Clone, Debug, Default)]
pub struct EventPlan {
    /// Every task that events can act on, or that is streaming or periodic.
    pub tasks: BTreeSet<TaskIndex>,
    /// Those of them that have a trigger.
    pub triggered: BTreeSet<TaskIndex>,
    /// Tasks that do not start without an event.
    pub held: BTreeMap<TaskIndex, Hold>,
    /// Tasks that never end by themselves.
    pub streaming: BTreeSet<TaskIndex>,
    /// Tasks that are started again and again.
    pub periodic: BTreeSet<TaskIndex>,
    /// Whether the Dag's runs may be timed out.
    pub timeout: Timeout,
    /// Whether its runs count against `max_active_runs`.
    pub counting: Counting,
    /// Tasks whose changes of state some trigger of the Dag's tasks may wait for.
    pub watched: BTreeSet<TaskId>,
}

/// Whether a Dag's runs count against its `max_active_runs`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Counting {
    /// They do.
    #[default]
    Counted,
    /// They do not: they are long-running by declaration.
    LongRunning,
}

impl EventPlan {
    /// The plan of a Dag, with triggers that were added to its tasks from outside; `None` for a Dag without event tasks.
    /// A trigger that cannot be understood holds nothing back: it will never fire.
    pub fn of(dag: &Dag, external: &[(TaskId, TriggerSpec)]) -> Option<Self> {
        let mut plan = Self::default();
        for (index, task) in dag.iter() {
            if let Some(declared) = &task.slipstream {
                plan.add(dag, index, declared);
            }
        }
        for (task_id, spec) in external {
            if let Some(index) = dag.find(task_id.as_str()) {
                plan.add_trigger(dag, index, spec);
            }
        }
        (!plan.tasks.is_empty()).then_some(plan)
    }

    fn add(&mut self, dag: &Dag, index: TaskIndex, declared: &TaskEvents) {
        self.tasks.insert(index);
        for trigger in declared.triggers.iter().filter_map(|declared| declared.spec.as_ref().ok()) {
            self.add_trigger(dag, index, trigger);
        }
        if let Some(streaming) = declared.streaming {
            self.streaming.insert(index);
            if !streaming.times_out {
                self.timeout = Timeout::Never;
            }
            if !streaming.counts {
                self.counting = Counting::LongRunning;
            }
        }
        if declared.periodic.is_some() {
            self.periodic.insert(index);
        }
    }

    fn add_trigger(&mut self, dag: &Dag, index: TaskIndex, trigger: &TriggerSpec) {
        self.tasks.insert(index);
        self.triggered.insert(index);
        let hold = match trigger.action {
            Action::Start { mode, .. } | Action::Restart { mode, .. } => Hold::of(mode),
            Action::Stop { .. } | Action::NewRun(_) | Action::StopRuns { .. } | Action::StopRun { .. } => {
                None
            }
        };
        match (hold, self.held.get(&index)) {
            // Dependencies count as soon as one of the task's triggers wants them.
            (Some(hold), None | Some(Hold::EventOnly)) => {
                self.held.insert(index, hold);
            }
            (_, Some(Hold::Gate)) | (None, _) => {}
        }
        self.watch(dag, trigger);
    }

    fn watch(&mut self, dag: &Dag, trigger: &TriggerSpec) {
        let bound = trigger.bound_to(&dag.dag_id, None, 0);
        for interest in bound.interests().iter().filter(|one| one.namespace.accepts(AIRFLOW_NAMESPACE)) {
            for (_, task) in dag.iter() {
                if interest.key.accepts(&format!("{}.{}", dag.dag_id, task.task_id)) {
                    self.watched.insert(task.task_id.clone());
                }
            }
        }
    }
}
