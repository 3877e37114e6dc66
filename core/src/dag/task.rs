//! One task of a Dag, mapped or not.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

use super::{ExpandInput, GroupIndex, TriggerRule, WeightRule};
use crate::event::TaskEvents;
use crate::ids::TaskId;

/// A task's place in [`super::Dag::tasks`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskIndex(pub u32);

impl TaskIndex {
    /// As an index into a slice with one element per task.
    pub fn at(self) -> usize {
        self.0 as usize
    }
}

/// A task as the scheduler knows it (`airflow/serialization/definitions/{baseoperator,mappedoperator}.py`), with the
/// fallbacks of mapped operators and all defaults applied.
#[derive(Clone, Debug)]
pub struct Task {
    /// The full id, with the prefixes of its groups.
    pub task_id: TaskId,
    /// `task_instance.task_display_name`.
    pub display_name: Arc<str>,
    /// The operator class's name: `task_instance.operator`.
    pub task_type: Arc<str>,
    /// A friendlier name of the operator: `task_instance.custom_operator_name`.
    pub operator_name: Arc<str>,
    /// Who owns the task.
    pub owner: Arc<str>,
    /// The tasks directly before this one.
    pub upstream: Vec<TaskIndex>,
    /// The tasks directly after this one.
    pub downstream: Vec<TaskIndex>,
    /// The group that it is in; the root group if none.
    pub group: GroupIndex,
    /// What it is expanded over, if it is a mapped operator itself.
    pub expand_input: Option<ExpandInput>,
    /// Mapped itself, or inside a mapped group.
    pub needs_expansion: bool,
    /// When it may run.
    pub trigger_rule: TriggerRule,
    /// Which tries follow a failure, and when.
    pub retry: Retry,
    /// The pool whose slots it takes.
    pub pool: Arc<str>,
    /// How many slots it takes.
    pub pool_slots: i32,
    /// The executor's queue.
    pub queue: Arc<str>,
    /// Its own priority weight, before the rule is applied.
    pub own_weight: i64,
    /// How its priority weight is made.
    pub weight_rule: WeightRule,
    /// The final `task_instance.priority_weight`; its own for a custom rule, until Python has been asked.
    pub priority_weight: i32,
    /// The executor's name or class path; `None` for the default executor.
    pub executor: Option<Arc<str>>,
    /// What is handed to the executor, in its serialized form; `None` when empty.
    pub executor_config: Option<Value>,
    /// What its Dag file says about it and events.
    pub slipstream: Option<Arc<TaskEvents>>,
    /// The limit of one try's run time.
    pub execution_timeout: Option<TimeDelta>,
    /// The system user that it runs as.
    pub run_as_user: Option<Arc<str>>,
    /// From which logical date on it exists; the Dag's if it has none of its own.
    pub start_date: Option<DateTime<Utc>>,
    /// Until which logical date it exists; the Dag's if it has none of its own.
    pub end_date: Option<DateTime<Utc>>,
    /// How it depends on the previous run.
    pub past: PastDependence,
    /// `max_active_tis_per_dag`.
    pub max_active_tis_per_dag: Option<i64>,
    /// `max_active_tis_per_dagrun`.
    pub max_active_tis_per_dagrun: Option<i64>,
    /// What the task is besides an ordinary task.
    pub traits: Traits,
    /// Which callbacks it has.
    pub callbacks: TaskCallbacks,
    /// Whom to mail.
    pub email: Email,
    /// Whether its first step is a trigger, without a worker.
    pub start_trigger: Option<StartTrigger>,
}

/// What a task is besides an ordinary task.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traits {
    /// Prepares something for the tasks after it.
    pub is_setup: bool,
    /// Takes down what a setup prepared.
    pub is_teardown: bool,
    /// A teardown whose failure fails the run.
    pub on_failure_fail_dagrun: bool,
    /// An `EmptyOperator`.
    pub is_empty: bool,
    /// A sensor.
    pub is_sensor: bool,
    /// A sensor in reschedule mode.
    pub reschedule: bool,
    /// Can decide that tasks after it are skipped (`SkipMixin`).
    pub can_skip_downstream: bool,
    /// Declares inlets.
    pub has_inlets: bool,
    /// Declares outlets.
    pub has_outlets: bool,
}

/// Which of a task's callbacks exist.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TaskCallbacks {
    /// `on_execute_callback`.
    pub on_execute: bool,
    /// `on_failure_callback`.
    pub on_failure: bool,
    /// `on_retry_callback`.
    pub on_retry: bool,
    /// `on_success_callback`.
    pub on_success: bool,
    /// `on_skipped_callback`.
    pub on_skipped: bool,
}

/// When a failed task is tried again.
#[derive(Clone, Debug, PartialEq)]
pub struct Retry {
    /// How many tries follow the first one.
    pub retries: i32,
    /// How long to wait before the next one.
    pub delay: TimeDelta,
    /// By what the wait grows with each try; 0 and 1 for not at all.
    pub multiplier: f64,
    /// The longest wait that growth may lead to.
    pub max_delay: Option<TimeDelta>,
    /// A policy in Python decides about each retry.
    pub has_policy: bool,
}

/// How a task depends on its own instance of the previous run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PastDependence {
    /// It must have ended well there.
    pub depends_on_past: bool,
    /// So must the tasks directly after it.
    pub wait_for_downstream: bool,
    /// Its very first instance need not wait.
    pub ignore_first: bool,
}

/// Whom to mail about a task.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Email {
    /// The serialized addresses: a text or a list of texts.
    pub to: Option<Value>,
    /// After a failure.
    pub on_failure: bool,
    /// Before a retry.
    pub on_retry: bool,
}

/// The trigger that a task with `start_from_trigger` starts in (`airflow/triggers/base.py StartTriggerArgs`).
#[derive(Clone, Debug, PartialEq)]
pub struct StartTrigger {
    /// `trigger.classpath`.
    pub classpath: Arc<str>,
    /// The trigger's arguments as serialized (typed encoding); `None` when there are none.
    pub kwargs: Option<Value>,
    /// The method that the task resumes in.
    pub next_method: Arc<str>,
    /// That method's arguments as serialized (typed encoding); `None` when there are none.
    pub next_kwargs: Option<Value>,
    /// How long the trigger may take.
    pub timeout: Option<TimeDelta>,
}

impl Task {
    /// Whether the task runs without an end.
    pub fn is_streaming(&self) -> bool {
        self.slipstream.as_ref().is_some_and(|events| events.streaming.is_some())
    }

    /// Whether the task is an operator that is expanded itself.
    pub fn is_mapped(&self) -> bool {
        self.expand_input.is_some()
    }

    /// Whether the task does nothing that anyone could notice, so that it succeeds without being run
    /// (the opposite of `TaskInstance.is_task_schedulable`).
    pub fn succeeds_without_running(&self) -> bool {
        self.traits.is_empty
            && !self.callbacks.on_execute
            && !self.callbacks.on_success
            && !self.traits.has_inlets
            && !self.traits.has_outlets
    }
}
