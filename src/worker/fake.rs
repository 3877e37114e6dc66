//! Tasks and servers for tests.

use std::cell::{Cell, RefCell};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Stdio;
use std::rc::Rc;
use std::time::Duration;

use rmpv::Value;
use slipstream_core::admit::Class;
use slipstream_core::ids::MapIndex;
use slipstream_core::state::TaskState;
use tokio::sync::oneshot;
use uuid::Uuid;

use super::exit::Exit;
use super::log::{Level, LogFiles};
use super::prepared::DagFile;
use super::process::{LaunchError, Launched, Launcher, Sockets};
use super::server::{Answers, Refused, Reply, ServerError, Servers, Started, TaskServer, Terminal};
use super::settings::Settings;
use crate::executor::{BundleInfo, ExecuteTask, Workload, WorkloadTi};
use crate::store::StoreError;
use crate::store::connection_tests::{BeginError, Verdict};
use crate::store::secrets::Connection;
use crate::supervisor::masker::Masker;

/// A task's workload.
pub(crate) fn task(task_id: &str, priority_weight: i64) -> Workload {
    Workload::ExecuteTask(execute(task_id, priority_weight))
}

/// As [`task`].
pub(crate) fn execute(task_id: &str, priority_weight: i64) -> ExecuteTask {
    ExecuteTask {
        token: String::new(),
        dag_rel_path: "dag.py".to_owned(),
        bundle_info: BundleInfo { name: "dags-folder".to_owned(), version: None },
        log_path: Some(format!("dag_id=d/run_id=r/task_id={task_id}/attempt=1.log")),
        ti: WorkloadTi {
            id: Uuid::new_v4(),
            task_id: task_id.into(),
            dag_id: "d".into(),
            run_id: "r".into(),
            try_number: 1,
            dag_version_id: None,
            map_index: MapIndex::UNMAPPED,
            hostname: None,
            context_carrier: serde_json::json!({}),
            queue: "default".to_owned(),
            pool_slots: 1,
            priority_weight,
        },
        sentry_integration: String::new(),
        class: Class::Batch,
    }
}

/// What a fake server saw and what it is to say.
#[derive(Debug, Default)]
pub(crate) struct Script {
    /// Refuse the next heartbeats.
    pub(crate) withdrawn: Cell<bool>,
    /// Fail the next heartbeats.
    pub(crate) unreachable: Cell<bool>,
    /// How often the database cannot be reached for a start, a report or an end.
    pub(crate) outages: Cell<u32>,
    /// The database goes away for a while once the task has started.
    pub(crate) down_for_reports: Cell<bool>,
    /// Refuse to start.
    pub(crate) refuse_start: Cell<bool>,
    /// Tries are left.
    pub(crate) should_retry: Cell<bool>,
    /// What was asked, in words.
    pub(crate) seen: RefCell<Vec<String>>,
}

impl Script {
    fn saw(&self, what: impl Into<String>) {
        self.seen.borrow_mut().push(what.into());
    }

    fn is_down(&self) -> bool {
        let left = self.outages.get();
        self.outages.set(left.saturating_sub(1));
        left > 0
    }

    /// How often this was asked.
    pub(crate) fn count(&self, what: &str) -> usize {
        self.seen.borrow().iter().filter(|seen| *seen == what).count()
    }
}

/// A server that follows a script.
#[derive(Clone, Debug, Default)]
pub(crate) struct FakeServer(pub(crate) Rc<Script>);

impl Servers for FakeServer {
    type Server = Self;
    type Answers = Self;

    fn server(&self, _task: &ExecuteTask) -> Self {
        self.clone()
    }

    fn for_callback(&self) -> Self {
        self.clone()
    }

    async fn begin_test(&self, id: Uuid) -> Result<Connection, BeginError> {
        Err(BeginError::Gone(id))
    }

    async fn end_test(&self, _: Uuid, _: &Verdict) -> Result<(), StoreError> {
        Ok(())
    }

    async fn not_running(&self, ids: &[Uuid]) -> Result<Vec<Uuid>, String> {
        Ok(if self.0.withdrawn.get() { ids.to_vec() } else { Vec::new() })
    }
}

fn unreachable() -> ServerError {
    ServerError::Unreachable("no database".to_owned())
}

fn refused(status: u16) -> ServerError {
    let detail = serde_json::json!({"reason": "not_running"});
    ServerError::Refused(Refused { status, message: "not running".to_owned(), detail, grace: None })
}

impl Answers for FakeServer {
    async fn answer(&mut self, body: &Value) -> Reply {
        let field = |name: &str| {
            let fields = body.as_map().into_iter().flatten();
            fields.clone().find(|(key, _)| key.as_str() == Some(name)).and_then(|(_, value)| value.as_str())
        };
        let kind = field("type").unwrap_or_default();
        self.0.saw(kind);
        let terminal = match kind {
            "SucceedTask" if self.0.is_down() => None,
            "SucceedTask" => Some(Terminal::Reported(TaskState::Success)),
            "TaskState" => field("state").and_then(|state| state.parse().ok()).map(Terminal::Announced),
            _ => None,
        };
        let body = (kind == "SendMeMuch").then(|| Value::from("x".repeat(4_000_000)));
        Reply { body, terminal, ..Reply::default() }
    }
}

impl TaskServer for FakeServer {
    async fn run(&mut self, _pid: i32) -> Result<Started, ServerError> {
        self.0.saw("run");
        if self.0.is_down() {
            return Err(unreachable());
        }
        if self.0.refuse_start.get() {
            return Err(refused(409));
        }
        if self.0.down_for_reports.take() {
            self.0.outages.set(2);
        }
        let startup = Value::Map(vec![("type".into(), "StartupDetails".into())]);
        Ok(Started { startup, should_retry: self.0.should_retry.get() })
    }

    async fn heartbeat(&mut self, _pid: i32) -> Result<(), ServerError> {
        self.0.saw("heartbeat");
        match (self.0.withdrawn.get(), self.0.unreachable.get()) {
            (true, _) => Err(refused(409)),
            (false, true) => Err(ServerError::Failed("no database".to_owned())),
            (false, false) => Ok(()),
        }
    }

    async fn repeat(&mut self, report: &Value) -> Result<Terminal, ServerError> {
        self.answer(report).await.terminal.ok_or_else(unreachable)
    }

    async fn finish(&mut self, state: TaskState, label: Option<&str>) -> Result<(), ServerError> {
        self.0.saw(format!("finish {state} {}", label.unwrap_or("-")));
        if self.0.is_down() { Err(unreachable()) } else { Ok(()) }
    }
}

/// Starts `fake_task.py` with what it is to do.
#[derive(Clone, Debug)]
pub(crate) struct FakeTasks(pub(crate) &'static str);

impl Launcher for FakeTasks {
    async fn launch(&self, _: Option<&DagFile>) -> Result<(Launched, Sockets), LaunchError> {
        let (sockets, ends) = Sockets::open().map_err(LaunchError::because)?;
        let mut child = tokio::process::Command::new("python3")
            .args(["-c", include_str!("fake_task.py"), self.0])
            .stdin(Stdio::from(ends.requests))
            .stdout(Stdio::from(ends.stdout))
            .stderr(Stdio::from(ends.stderr))
            .process_group(0)
            .spawn()
            .map_err(LaunchError::because)?;
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).unwrap_or_default();
        let (sender, exit) = oneshot::channel();
        tokio::task::spawn_local(async move {
            let status = child.wait().await.unwrap();
            let end = status.code().map_or(Exit::Signal(status.signal().unwrap_or_default()), Exit::Code);
            let _ = sender.send(end);
        });
        Ok((Launched { pid, exit }, sockets))
    }
}

/// Options with short times.
pub(crate) fn settings(folder: &Path) -> Settings {
    Settings {
        parallelism: 4,
        streaming_parallelism: 4,
        prepared_dag_files: 8,
        heartbeat_interval: Duration::from_secs(5),
        max_failed_heartbeats: 3,
        overtime: Duration::from_secs(20),
        socket_cleanup: Duration::from_secs(60),
        escalation: Duration::from_millis(300),
        fork_limit: Duration::from_secs(60),
        callback_timeout: None,
        logs: LogFiles { folder: folder.to_owned(), file_mode: 0o664, folder_mode: 0o775 },
        level: Level::Info,
        masker: Masker::default(),
        remote_logs: None,
    }
}
