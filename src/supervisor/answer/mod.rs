//! Answers to every message of a task (`ToSupervisor`) and of a file that is parsed (`ToManager`), straight from the
//! database: `ActivitySubprocess._handle_request` (`airflow/sdk/execution_time/supervisor.py`) and
//! `DagFileProcessorProcess._handle_request` (`airflow/dag_processing/processor.py`). One file per family of messages.

mod failure;
mod lifecycle;
mod rendered;
mod startup;
mod wire;
mod xcom;

use rmpv::Value;
use slipstream_core::state::TaskState;
use uuid::Uuid;

use super::masker::Masker;
use super::value::{Fields, Message};
use crate::store::db::Db;
use crate::store::execution;
use failure::Failure;

pub use startup::{Startup, startup_details};

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asker {
    /// The process of a task instance.
    Task {
        /// `task_instance.id`.
        ti_id: Uuid,
    },
    /// A process that parses a Dag file or runs a Dag's callbacks.
    DagFile,
}

/// Options of the answers.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// What depends on Airflow's configuration in the database's effects.
    pub execution: execution::Options,
}

/// What goes back to the process: body and error of the response frame.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    /// The response; none for a bare confirmation.
    pub body: Option<Value>,
    /// An `ErrorResponse` that the SDK raises in the task.
    pub error: Option<Value>,
    /// What the task said about its own end.
    pub terminal: Option<Terminal>,
}

/// The end that a task has reported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Terminal {
    /// The task named its final state (`TaskState`). It is to be written with [`execution::finish`] once the process has
    /// exited with 0; after another exit code the exit code decides.
    Remembered {
        /// `failed`, `skipped` or `removed`.
        state: TaskState,
        /// The label of its copy, for the report.
        rendered_map_index: Option<String>,
    },
    /// The state is in the database.
    Written {
        /// The reported state.
        state: TaskState,
    },
    /// The state could not be written. Once the process has exited, [`Answerer::replay`] tries again.
    Unsent {
        /// The reported state.
        state: TaskState,
    },
}

impl Terminal {
    /// The reported state.
    pub fn state(&self) -> TaskState {
        match self {
            Self::Remembered { state, .. } | Self::Written { state } | Self::Unsent { state } => *state,
        }
    }

    /// Whether the process may only run for `[core] task_success_overtime` longer. After a deferral or a reschedule
    /// Airflow sets no limit.
    pub fn limits_overtime(&self) -> bool {
        matches!(
            self.state(),
            TaskState::Success
                | TaskState::Failed
                | TaskState::Skipped
                | TaskState::Removed
                | TaskState::UpForRetry
        )
    }
}

/// Answers the messages of one process.
#[derive(Debug)]
pub struct Answerer {
    db: Db,
    options: Options,
    asker: Asker,
    masker: Masker,
    /// A report of the task's end that could not be written yet.
    unsent: Option<Value>,
    rendered_map_index: Option<String>,
}

impl Answerer {
    /// Answers for one process.
    pub fn new(db: Db, options: Options, asker: Asker) -> Self {
        Self { db, options, asker, masker: Masker::default(), unsent: None, rendered_map_index: None }
    }

    /// The secrets that the process has read or named: to be hidden in its logs.
    pub fn masker(&self) -> &Masker {
        &self.masker
    }

    /// The label that the task gave to its copy in its last report, for [`execution::Finish`].
    pub fn rendered_map_index(&self) -> Option<&str> {
        self.rendered_map_index.as_deref()
    }

    /// Answers a request. Never fails: what goes wrong becomes the error that the SDK raises in the task.
    pub async fn answer(&mut self, body: &Value) -> Answer {
        let Some(fields) = Fields::new(body) else {
            return Answer {
                error: Some(failure::unreadable("a message must be a map with a `type`")),
                ..Answer::default()
            };
        };
        tracing::debug!(asker = ?self.asker, kind = fields.kind(), "request");
        match self.dispatch(&fields, body).await {
            Ok(answer) => answer,
            Err(failure) => {
                tracing::error!(asker = ?self.asker, kind = fields.kind(), %failure, "request failed");
                Answer { error: Some(failure.response(self.asker)), ..Answer::default() }
            }
        }
    }

    async fn dispatch(&mut self, fields: &Fields<'_>, body: &Value) -> Result<Answer, Failure> {
        let response = match fields.kind() {
            "TaskState" | "SucceedTask" | "RetryTask" | "DeferTask" | "AwaitInputTask" | "RescheduleTask" => {
                return self.end(fields, body).await;
            }
            "SkipDownstreamTasks" => self.skip_downstream(fields).await?,
            "SetRenderedFields" => self.set_rendered_fields(fields).await?,
            "SetRenderedMapIndex" => self.set_rendered_map_index(fields).await?,
            "GetXCom" => self.get_xcom(fields).await?,
            "GetXComCount" => self.get_xcom_count(fields).await?,
            "GetXComSequenceItem" => self.get_xcom_item(fields).await?,
            "GetXComSequenceSlice" => self.get_xcom_slice(fields).await?,
            "SetXCom" => self.set_xcom(fields).await?,
            "DeleteXCom" => self.delete_xcom(fields).await?,
            _ => return Err(Failure::Unhandled),
        };
        Ok(Answer { body: response.map(Message::done), ..Answer::default() })
    }

    /// The task instance that asks.
    fn ti(&self) -> Result<Uuid, Failure> {
        match self.asker {
            Asker::Task { ti_id } => Ok(ti_id),
            Asker::DagFile => Err(Failure::Unhandled),
        }
    }
}

/// The answer of a handler: a message, or a bare confirmation.
type Response = Result<Option<Message>, Failure>;
