//! What an executor's process says.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use slipstream_core::ids::{DagId, MapIndex, RunId, TaskId, TiKey};
use uuid::Uuid;

/// What the scheduler has to know of an executor's class.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Facts {
    /// The class.
    pub class_name: String,
    /// `repr(executor)`, as it stands in messages that people search for.
    pub repr: String,
    /// Whether `external_executor_id` is given to a task instance when it is queued.
    pub pre_assigns_external_executor_id: bool,
    /// Whether it runs callbacks.
    pub supports_callbacks: bool,
}

/// The name of a workload inside an executor (`WorkloadKey`).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum HostedKey {
    /// A try of a task instance (`TaskInstanceKey`).
    Task {
        /// The Dag.
        dag_id: DagId,
        /// The task.
        task_id: TaskId,
        /// The run.
        run_id: RunId,
        /// The try.
        try_number: i32,
        /// The copy.
        map_index: MapIndex,
    },
    /// A callback (`CallbackKey`).
    Callback {
        /// `callback.id`.
        id: Uuid,
    },
}

impl From<TiKey> for HostedKey {
    fn from(key: TiKey) -> Self {
        let TiKey { dag_id, task_id, run_id, try_number, map_index } = key;
        Self::Task { dag_id, task_id, run_id, try_number, map_index }
    }
}

/// One message of the process.
#[derive(Debug, Deserialize)]
pub(super) struct Said {
    /// `slots_available` at that moment.
    pub(super) slots: i64,
    /// The request that it answers.
    #[serde(default)]
    pub(super) answer: Option<u64>,
    /// The answer.
    #[serde(default)]
    pub(super) ok: Value,
    /// What was raised instead.
    #[serde(default)]
    pub(super) error: Option<String>,
    /// What was in the event buffer.
    #[serde(default)]
    pub(super) events: Vec<Event>,
    /// What the executor has let go of.
    #[serde(default)]
    pub(super) gone: Vec<HostedKey>,
    /// What is still in the executor's own queue: nobody outside of it knows of that. Only after a heartbeat.
    #[serde(default)]
    pub(super) waiting: Option<HashSet<HostedKey>>,
    /// What `heartbeat` raised.
    #[serde(default)]
    pub(super) trouble: Option<String>,
}

/// One entry of the event buffer.
#[derive(Debug, Deserialize)]
pub(super) struct Event {
    /// Whose.
    pub(super) key: HostedKey,
    /// A state of task instances or callbacks.
    pub(super) state: Option<String>,
    /// The executor's words.
    pub(super) info: Option<String>,
}

/// The answer to `queue`: pairs and ids are of `task_instance` or `callback`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Queued {
    /// No longer to be run.
    pub(super) dropped: Vec<Uuid>,
    /// Not taken, and why.
    pub(super) refused: Vec<(Uuid, String)>,
}
