//! Answers to every message of a task (`ToSupervisor`) and of a file that is parsed (`ToManager`), straight from the
//! database: `ActivitySubprocess._handle_request` (`airflow/sdk/execution_time/supervisor.py`) and
//! `DagFileProcessorProcess._handle_request` (`airflow/dag_processing/processor.py`). One file per family of messages.

mod asset;
mod backend;
mod dag_run;
mod failure;
mod hitl;
mod lifecycle;
mod options;
mod rendered;
mod secret;
mod startup;
mod state_store;
mod task_instance;
#[cfg(test)]
mod tests;
mod wire;
mod xcom;

use rmpv::Value;
use slipstream_core::state::TaskState;
use uuid::Uuid;

use super::masker::Masker;
use super::value::{Fields, Message};
use crate::store::db::Db;
use crate::store::execution::teams;
use crate::store::secrets::{Access, SecretsBackend};
use failure::Failure;

pub use backend::CustomBackend;
pub use options::{Options, OptionsError, execution_options};
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
    /// The task named its final state (`TaskState`). It is to be written with [`crate::store::execution::finish()`] once the process has
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
pub struct Answerer<B = CustomBackend> {
    db: Db,
    backend: B,
    options: Options,
    asker: Asker,
    masker: Masker,
    /// A report of the task's end that could not be written yet.
    unsent: Option<Value>,
    rendered_map_index: Option<String>,
}

impl Answerer {
    /// Answers for one process; secrets come from where the options say.
    pub fn new(db: Db, options: Options, asker: Asker) -> Self {
        let backend = options.backend.clone();
        Self::with_backend(db, options, asker, backend)
    }
}

impl<B: SecretsBackend> Answerer<B> {
    /// Answers for one process; secrets are looked for in `backend` first.
    pub fn with_backend(db: Db, options: Options, asker: Asker, backend: B) -> Self {
        let masker = options.masker.clone();
        Self { db, backend, options, asker, masker, unsent: None, rendered_map_index: None }
    }

    /// The secrets that the process has read or named: to be hidden in its logs.
    pub fn masker(&self) -> &Masker {
        &self.masker
    }

    /// The label that the task gave to its copy in its last report, for [`crate::store::execution::Finish`].
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
            "GetXCom" => self.get_xcom(fields).await?,
            "GetXComCount" => self.get_xcom_count(fields).await?,
            "GetXComSequenceItem" => self.get_xcom_item(fields).await?,
            "GetXComSequenceSlice" => self.get_xcom_slice(fields).await?,
            "GetConnection" => self.get_connection(fields).await?,
            "GetVariable" => self.get_variable(fields).await?,
            "GetVariableKeys" => self.get_variable_keys(fields).await?,
            "PutVariable" => self.put_variable(fields).await?,
            "DeleteVariable" => self.delete_variable(fields).await?,
            "MaskSecret" => self.mask_secret(fields)?,
            "GetTICount" => self.get_ti_count(fields).await?,
            "GetTaskStates" => self.get_task_states(fields).await?,
            "GetPreviousTI" => self.get_previous_ti(fields).await?,
            "GetPreviousDagRun" => self.get_previous_dag_run(fields).await?,
            "GetPrevSuccessfulDagRun" => self.get_previous_successful_dag_run().await?,
            // The parsed file; the dag-processor takes it from the request itself.
            "DagFileParsingResult" if self.asker == Asker::DagFile => None,
            kind => self.dispatch_task(kind, fields).await?,
        };
        Ok(Answer { body: response.map(Message::done), ..Answer::default() })
    }

    /// Messages that only tasks send.
    async fn dispatch_task(&mut self, kind: &str, fields: &Fields<'_>) -> Response {
        self.ti()?;
        match kind {
            "SkipDownstreamTasks" => self.skip_downstream(fields).await,
            "SetRenderedFields" => self.set_rendered_fields(fields).await,
            "SetRenderedMapIndex" => self.set_rendered_map_index(fields).await,
            "SetXCom" => self.set_xcom(fields).await,
            "DeleteXCom" => self.delete_xcom(fields).await,
            "TriggerDagRun" => self.trigger_dag_run(fields).await,
            "GetDagRun" => self.get_dag_run(fields).await,
            "GetDagRunState" => self.get_dag_run_state(fields).await,
            "GetDRCount" => self.get_dr_count(fields).await,
            "GetDag" => self.get_dag(fields).await,
            "GetTaskBreadcrumbs" => self.get_task_breadcrumbs(fields).await,
            "GetTaskRescheduleStartDate" => self.get_reschedule_start_date(fields).await,
            "ValidateInletsAndOutlets" => self.validate_inlets_and_outlets(fields).await,
            "GetAssetByName" | "GetAssetByUri" => self.get_asset(fields).await,
            "GetAssetsByAlias" => self.get_assets_by_alias(fields).await,
            "GetAssetEventByAsset" | "GetAssetEventByAssetAlias" => self.get_asset_events(fields).await,
            "GetTaskStateStore" | "SetTaskStateStore" | "DeleteTaskStateStore" | "ClearTaskStateStore" => {
                self.task_state(fields).await
            }
            "GetAssetStateStoreByName"
            | "GetAssetStateStoreByUri"
            | "SetAssetStateStoreByName"
            | "SetAssetStateStoreByUri"
            | "DeleteAssetStateStoreByName"
            | "DeleteAssetStateStoreByUri"
            | "ClearAssetStateStoreByName"
            | "ClearAssetStateStoreByUri" => self.asset_state(fields).await,
            "CreateHITLDetailPayload" => self.create_hitl_detail(fields).await,
            // `UpdateHITLDetail` and `GetHITLDetailResponse` are for the triggerer: stock supervisors refuse them too.
            // `ResendLoggingFD` passes a descriptor and is the worker's.
            _ => Err(Failure::Unhandled),
        }
    }

    /// The team of the task that asks.
    async fn team(&self) -> Result<Option<String>, Failure> {
        match self.asker {
            Asker::Task { ti_id } => {
                Ok(teams::of_task_instance(&self.db, self.options.execution.multi_team, ti_id).await?)
            }
            Asker::DagFile => Ok(None),
        }
    }

    fn access<'a>(&self, team: Option<&'a str>) -> Access<'a> {
        Access { multi_team: self.options.execution.multi_team, team }
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
