//! What a supervisor asks the database about its one task: the Execution API's part in a task's life.

use std::time::Duration;

use rmpv::Value;
use slipstream_core::ids::{DagId, RunId};
use slipstream_core::state::TaskState;
use uuid::Uuid;

use crate::executor::ExecuteTask;
use crate::store::StoreError;
use crate::store::connection_tests::{BeginError, Verdict};
use crate::store::secrets::Connection;

/// A task was marked as running.
#[derive(Clone, Debug)]
pub(super) struct Started {
    /// `StartupDetails`: the body of the first frame to the task.
    pub(super) startup: Value,
    /// Whether a failure leads to another try.
    pub(super) should_retry: bool,
}

/// Something was refused, with the status that the Execution API gives.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{message}")]
pub(super) struct Refused {
    /// 404, 409 or 410.
    pub(super) status: u16,
    /// The sentence for people.
    pub(super) message: String,
    /// The API's `detail`.
    pub(super) detail: serde_json::Value,
    /// How long the task's process may take to end, if whoever stopped it said so.
    pub(super) grace: Option<Duration>,
}

/// Why a question to the server has no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum ServerError {
    /// The server refuses.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The server could not be asked. Worth another try later.
    #[error("{0}")]
    Unreachable(String),
    /// The server failed, and would again.
    #[error("{0}")]
    Failed(String),
}

/// How a task's end came to be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Terminal {
    /// The state is in the database (`STATES_SENT_DIRECTLY`).
    Reported(TaskState),
    /// The task named the state; it is written when the process is gone.
    Announced(TaskState),
    /// The database says that the task is not to run any more.
    Withdrawn,
}

impl Terminal {
    /// Whether the process has some time left for listeners and callbacks only, and is then ended.
    pub(super) fn limits_overtime(self) -> bool {
        match self {
            Self::Announced(_) | Self::Reported(TaskState::Success | TaskState::UpForRetry) => true,
            Self::Reported(_) | Self::Withdrawn => false,
        }
    }
}

/// The answer to one message of the task.
#[derive(Clone, Debug, Default)]
pub(super) struct Reply {
    /// The response's body.
    pub(super) body: Option<Value>,
    /// The response's error.
    pub(super) error: Option<Value>,
    /// The message reported or announced the task's end.
    pub(super) terminal: Option<Terminal>,
    /// Runs that the message changed, other than the task's own.
    pub(super) changed: Vec<(DagId, RunId)>,
}

/// What answers the messages of a process.
pub(super) trait Answers {
    /// Answers one message.
    fn answer(&mut self, body: &Value) -> impl Future<Output = Reply>;
}

/// The server of one task.
pub(super) trait TaskServer: Answers {
    /// Marks the task as running in process `pid`.
    fn run(&mut self, pid: i32) -> impl Future<Output = Result<Started, ServerError>>;

    /// Says that process `pid` still runs.
    fn heartbeat(&mut self, pid: i32) -> impl Future<Output = Result<(), ServerError>>;

    /// Writes the task's own report of its end, which could not be written when it came.
    fn repeat(&mut self, report: &Value) -> impl Future<Output = Result<Terminal, ServerError>>;

    /// Writes a final state that was not reported by a message.
    fn finish(
        &mut self,
        state: TaskState,
        rendered_map_index: Option<&str>,
    ) -> impl Future<Output = Result<(), ServerError>>;
}

/// What gives every task its server.
pub(super) trait Servers {
    /// The server of one task.
    type Server: TaskServer;
    /// What answers one callback.
    type Answers: Answers;

    /// For this task.
    fn server(&self, task: &ExecuteTask) -> Self::Server;

    /// What answers a callback: it only reads connections and variables.
    fn for_callback(&self) -> Self::Answers;

    /// Takes a test of a connection, which is `running` from then on.
    fn begin_test(&self, id: Uuid) -> impl Future<Output = Result<Connection, BeginError>>;

    /// Writes what came of a test.
    fn end_test(&self, id: Uuid, verdict: &Verdict) -> impl Future<Output = Result<(), StoreError>>;

    /// Which of these task instances are not running in the database.
    fn not_running(&self, ids: &[Uuid]) -> impl Future<Output = Result<Vec<Uuid>, String>>;
}
