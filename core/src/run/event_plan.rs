//! What a Dag says about its tasks and events, as the judgement of its runs needs it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::event_tasks::{Hold, Timeout};
use crate::dag::{Dag, Task, TaskIndex};
use crate::event::{AIRFLOW_NAMESPACE, Action, TriggerSpec};
use crate::ids::TaskId;

/// The event tasks of a Dag.
#[derive(Clone, Debug, Default)]
pub struct EventPlan {
    /// Every task that events can act on, or that is streaming or periodic.
    pub tasks: BTreeSet<TaskIndex>,
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
            if let Some(declared) = declared(task) {
                plan.add(dag, index, &declared);
            }
        }
        for (task_id, spec) in external {
            if let Some(index) = dag.find(task_id.as_str()) {
                plan.add_trigger(dag, index, spec);
            }
        }
        (!plan.tasks.is_empty()).then_some(plan)
    }

    fn add(&mut self, dag: &Dag, index: TaskIndex, declared: &Value) {
        self.tasks.insert(index);
        for spec in declared.get("triggers").and_then(Value::as_array).into_iter().flatten() {
            if let Ok(spec) = TriggerSpec::from_json(spec) {
                self.add_trigger(dag, index, &spec);
            }
        }
        if let Some(streaming) = declared.get("streaming").filter(|streaming| streaming.is_object()) {
            self.streaming.insert(index);
            if streaming.get("times_out") != Some(&Value::Bool(true)) {
                self.timeout = Timeout::Never;
            }
            if streaming.get("counts") != Some(&Value::Bool(true)) {
                self.counting = Counting::LongRunning;
            }
        }
        if declared.get("periodic").is_some_and(Value::is_object) {
            self.periodic.insert(index);
        }
    }

    fn add_trigger(&mut self, dag: &Dag, index: TaskIndex, trigger: &TriggerSpec) {
        self.tasks.insert(index);
        let hold = match trigger.action {
            Action::Start { mode, .. } | Action::Restart { mode, .. } => Hold::of(mode),
            Action::Stop { .. } | Action::NewRun(_) | Action::StopRuns { .. } => None,
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

/// What the Dag file attached to a task.
fn declared(task: &Task) -> Option<Value> {
    let config = plain(task.executor_config.as_ref()?);
    config.get("slipstream").filter(|declared| declared.is_object()).cloned()
}

/// Undoes the serialized form's tags around dictionaries.
fn plain(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(plain).collect(),
        Value::Object(map) => match (map.get("__type").and_then(Value::as_str), map.get("__var")) {
            (Some("dict"), Some(var)) => plain(var),
            _ => map.iter().map(|(key, value)| (key.clone(), plain(value))).collect(),
        },
        scalar => scalar.clone(),
    }
}
