//! What an executor tells the scheduler.

use serde::{Deserialize, Serialize};
use slipstream_core::ids::{DagId, RunId, TiKey};
use uuid::Uuid;

use super::workload::Workload;

/// How a workload's supervision ended. As in stock Airflow this is not the task's state: a task that failed in an orderly
/// way, or whose process died, is reported as a success of the executor, and the database has the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Report {
    /// The task reported its own end, which is in the database: there is nothing left to do.
    Settled,
    /// It was run to the end without a word from the task: its process was killed or crashed.
    Success,
    /// It could not be run: no process, no log file, refused by the database.
    Failed,
}

/// What became of work that an executor was given. It has to be brought into the database.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum WorkEvent {
    /// The process of a task is gone and all that it reported is in the database (`process_executor_events`).
    TaskEnded {
        /// Whose.
        key: TiKey,
        /// `task_instance.id` of that try.
        ti_id: Uuid,
        /// How its supervision ended.
        report: Report,
        /// Why it failed, for people.
        info: Option<String>,
    },
    /// An executor has its own name for a try that it was given, or none (`queued` and `running` in the event buffer).
    Placed {
        /// Whose.
        key: TiKey,
        /// What goes to `task_instance.external_executor_id`.
        info: Option<String>,
    },
    /// A hosted executor has taken a task instance back, as it was asked to.
    Revoked {
        /// `task_instance.id`.
        ti_id: Uuid,
    },
    /// A hosted executor has not adopted these task instances.
    NotAdopted {
        /// `task_instance.id` of each.
        tis: Vec<Uuid>,
    },
    /// A test of a connection is over. What came of it is in the database.
    ConnectionTested {
        /// `connection_test_request.id`.
        id: Uuid,
        /// How its supervision ended.
        report: Report,
        /// Why it could not be run.
        info: Option<String>,
    },
    /// A callback's process has started: its row goes to `running`.
    CallbackStarted {
        /// `callback.id`.
        id: Uuid,
    },
    /// A callback's process is gone.
    CallbackEnded {
        /// `callback.id`.
        id: Uuid,
        /// Whether the callback ended well.
        report: Report,
        /// What goes to `callback.output`.
        info: Option<String>,
    },
}

/// News from an executor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum ExecutorEvent {
    /// A task changed a state in the database: look at this run now. Only a hint; losing it costs latency only.
    Changed {
        /// The Dag.
        dag_id: DagId,
        /// The run.
        run_id: RunId,
    },
    /// A hosted executor has started, or started again.
    Ready,
    /// The executor is (again) connected with its worker, and this is what the worker holds: a scheduler that has just
    /// started adopts it. What this executor handed over itself is its own care: workloads that a killed worker took with
    /// it are handed over again, and come back as `TaskEnded` if they had been started.
    Attached(Attached),
    /// What became of work.
    #[serde(untagged)]
    Work(WorkEvent),
}

impl From<WorkEvent> for ExecutorEvent {
    fn from(event: WorkEvent) -> Self {
        Self::Work(event)
    }
}

/// What a worker holds at the moment of a connection.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Attached {
    /// Workloads whose processes run.
    pub running: Vec<Workload>,
    /// Workloads that wait for a slot.
    pub queued: Vec<Workload>,
}
