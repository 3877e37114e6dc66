//! The server of tasks that answers from the database (in stock Airflow the Execution API, over HTTP).

use std::time::Duration;

use chrono::Utc;
use rmpv::Value;
use serde_json::json;
use slipstream_core::ids::{DagId, RunId};
use slipstream_core::state::TaskState;
use uuid::Uuid;

use super::server::{Answers, Refused, Reply, ServerError, Servers, Started, TaskServer, Terminal};
use crate::executor::ExecuteTask;
use crate::store::connection_tests::{self, BeginError, Verdict};
use crate::store::execution::heartbeat::HeartbeatReply;
use crate::store::execution::{self, EnterRunning, ExecutionError, Finish, FinishState, Refusal, RunError};
use crate::store::secrets::Connection;
use crate::store::{Db, StoreError, commands, retry, withdrawn};
use crate::supervisor::answer::{self, Asker, Startup, startup_details};
use crate::supervisor::value::Fields;
use crate::supervisor::{Answerer, Terminal as Told};

/// The database as the server of all tasks.
#[derive(Clone, Debug)]
pub(super) struct Database {
    pub(super) db: Db,
    pub(super) options: answer::Options,
    /// This host's name, as `[core] hostname_callable` gives it.
    pub(super) hostname: String,
    /// The user that tasks run as.
    pub(super) unixname: String,
}

/// The server of one task.
#[derive(Debug)]
pub(super) struct DatabaseServer {
    all: Database,
    task: ExecuteTask,
    answerer: Answerer,
}

impl Servers for Database {
    type Server = DatabaseServer;
    type Answers = Answerer;

    fn server(&self, task: &ExecuteTask) -> DatabaseServer {
        let answerer =
            Answerer::new(self.db.clone(), self.options.clone(), Asker::Task { ti_id: task.ti.id });
        DatabaseServer { all: self.clone(), task: task.clone(), answerer }
    }

    fn for_callback(&self) -> Answerer {
        Answerer::new(self.db.clone(), self.options.clone(), Asker::DagFile)
    }

    async fn begin_test(&self, id: Uuid) -> Result<Connection, BeginError> {
        connection_tests::begin(&self.db, &self.options.secrets.cipher, id, Utc::now()).await
    }

    async fn end_test(&self, id: Uuid, verdict: &Verdict) -> Result<(), StoreError> {
        retry("end a connection test", async || {
            connection_tests::finish(&self.db, id, verdict, Utc::now()).await
        })
        .await
    }

    async fn not_running(&self, ids: &[Uuid]) -> Result<Vec<Uuid>, String> {
        withdrawn::not_running(&self.db, ids).await.map_err(|error| error.to_string())
    }
}

impl Answers for DatabaseServer {
    async fn answer(&mut self, body: &Value) -> Reply {
        Answers::answer(&mut self.answerer, body).await
    }
}

impl Answers for Answerer {
    async fn answer(&mut self, body: &Value) -> Reply {
        let answer = Answerer::answer(self, body).await;
        let terminal = match answer.terminal {
            Some(Told::Written { state }) => Some(Terminal::Reported(state)),
            Some(Told::Remembered { state, .. }) => Some(Terminal::Announced(state)),
            // Not in the database: the report is repeated when the process has ended.
            Some(Told::Unsent { .. }) | None => None,
        };
        let changed = if answer.error.is_none() { triggered(body) } else { None };
        Reply { body: answer.body, error: answer.error, terminal, changed: changed.into_iter().collect() }
    }
}

impl TaskServer for DatabaseServer {
    async fn run(&mut self, pid: i32) -> Result<Started, ServerError> {
        let now = Utc::now();
        let who = EnterRunning {
            hostname: self.all.hostname.clone(),
            unixname: self.all.unixname.clone(),
            pid: i64::from(pid),
            start_date: now,
        };
        let teams = self.all.options.execution.multi_team;
        let context =
            execution::run(&self.all.db, self.task.ti.id, &who, teams).await.map_err(refusal_to_run)?;
        let startup = startup_details(&startup(&self.task), &context, now);
        Ok(Started { startup, should_retry: context.should_retry })
    }

    async fn heartbeat(&mut self, pid: i32) -> Result<(), ServerError> {
        let beat =
            execution::heartbeat(&self.all.db, self.task.ti.id, &self.all.hostname, i64::from(pid)).await;
        match beat.map_err(failed)? {
            HeartbeatReply::Ok => Ok(()),
            refused => {
                let grace = self.grace(&refused).await;
                Err(ServerError::Refused(Refused { grace, ..refusal_of_heartbeat(&refused) }))
            }
        }
    }

    async fn repeat(&mut self, _report: &Value) -> Result<Terminal, ServerError> {
        match self.answerer.replay().await {
            Some(Ok(told)) => Ok(Terminal::Reported(told.state())),
            Some(Err(error)) => Err(not_written(error)),
            None => Err(ServerError::Failed("there is no report to repeat".to_owned())),
        }
    }

    async fn finish(
        &mut self,
        state: TaskState,
        rendered_map_index: Option<&str>,
    ) -> Result<(), ServerError> {
        let state = match state {
            TaskState::Skipped => FinishState::Skipped,
            TaskState::Removed => FinishState::Removed,
            TaskState::UpstreamFailed => FinishState::UpstreamFailed,
            _ => FinishState::Failed,
        };
        let rendered_map_index = rendered_map_index.map(str::to_owned);
        let report = Finish { state, end_date: Utc::now(), rendered_map_index };
        match execution::finish(&self.all.db, self.task.ti.id, &report).await {
            Ok(_) => Ok(()),
            Err(error) => Err(not_written(error)),
        }
    }
}

impl DatabaseServer {
    /// How long the process may take to end: what the trigger says that stops or restarts the task. Asked only when the
    /// task looks like one that is being stopped.
    async fn grace(&self, refused: &HeartbeatReply) -> Option<Duration> {
        let stopped = matches!(
            refused,
            HeartbeatReply::NotRunning { state: Some(TaskState::Restarting) }
                | HeartbeatReply::NotFound { archived: true }
        );
        if !stopped {
            return None;
        }
        let ti = &self.task.ti;
        let grace =
            commands::grace::of(&self.all.db, &ti.dag_id, &ti.run_id, &ti.task_id, ti.map_index).await;
        grace.unwrap_or_else(|error| {
            tracing::warn!(ti_id = %ti.id, %error, "the grace time of a stop is not known");
            None
        })
    }
}

fn startup(task: &ExecuteTask) -> Startup {
    let ti = &task.ti;
    Startup {
        ti_id: ti.id,
        task_id: ti.task_id.clone(),
        dag_id: ti.dag_id.clone(),
        run_id: ti.run_id.clone(),
        try_number: ti.try_number,
        dag_version_id: ti.dag_version_id,
        map_index: ti.map_index,
        hostname: ti.hostname.clone(),
        context_carrier: ti.context_carrier.clone(),
        queue: ti.queue.clone(),
        dag_rel_path: task.dag_rel_path.clone(),
        bundle_name: task.bundle_info.name.clone(),
        bundle_version: task.bundle_info.version.clone(),
        sentry_integration: task.sentry_integration.clone(),
    }
}

fn failed(error: StoreError) -> ServerError {
    match error.is_transient() {
        true => ServerError::Unreachable(error.to_string()),
        false => ServerError::Failed(error.to_string()),
    }
}

fn not_written(error: ExecutionError) -> ServerError {
    match error {
        ExecutionError::Refused(refusal) => {
            let message = refusal.message();
            Refused { status: refusal.status, message, detail: refusal.detail, grace: None }.into()
        }
        ExecutionError::Store(error) => failed(error),
    }
}

fn refusal_to_run(error: RunError) -> ServerError {
    let message = error.to_string();
    match error {
        RunError::NotFound => {
            Refused { status: 404, message, detail: json!({"reason": "not_found"}), grace: None }.into()
        }
        RunError::InvalidState { previous } => {
            let previous = previous.map(TaskState::as_str);
            let detail = json!({"reason": "invalid_state", "message": message, "previous_state": previous});
            Refused { status: 409, message, detail, grace: None }.into()
        }
        RunError::Store(error) => failed(error),
    }
}

/// The words of the Execution API's heartbeat route.
fn refusal_of_heartbeat(reply: &HeartbeatReply) -> Refused {
    let (status, detail) = match reply {
        HeartbeatReply::RunningElsewhere { hostname, pid } => (
            409,
            json!({"reason": "running_elsewhere", "message": "TI is already running elsewhere",
                   "current_hostname": hostname, "current_pid": pid}),
        ),
        HeartbeatReply::NotRunning { state } => {
            let state = state.map(TaskState::as_str);
            let text = "TI is no longer in the running state and task should terminate";
            (409, json!({"reason": "not_running", "message": text, "current_state": state}))
        }
        HeartbeatReply::NotFound { archived } => {
            let refusal = if *archived { Refusal::gone() } else { Refusal::no_task_instance() };
            (refusal.status, refusal.detail)
        }
        HeartbeatReply::Ok => (200, json!(null)),
    };
    let message = detail["message"].as_str().unwrap_or_default().to_owned();
    Refused { status, message, detail, grace: None }
}

/// The run that a message has just made: its Dag's scheduler need not wait to find it.
fn triggered(body: &Value) -> Option<(DagId, RunId)> {
    let fields = Fields::new(body).filter(|fields| fields.kind() == "TriggerDagRun")?;
    Some((fields.text("dag_id").ok()?.into(), fields.text("run_id").ok()?.into()))
}
