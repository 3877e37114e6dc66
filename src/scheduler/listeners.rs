//! Listeners of plugins hear of the scheduler's doings in a Python process of their own; the loop never waits for them.
//!
//! There is one queue: listeners hear of everything in the order in which it happened, after it was committed.

use std::time::Duration;

use serde_json::{Value, json};
use slipstream_core::ids::{DagId, RunId, TiKey};
use slipstream_core::state::{RunState, TaskState};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;

use super::users_python::Wishes;
use crate::python::LazyService;
use crate::store::job::JobId;

/// How long all listeners together may take for one event.
const LIMIT: Duration = Duration::from_secs(30);
/// How long an ending scheduler waits for listeners to hear of what has happened.
const LAST_WORDS: Duration = Duration::from_secs(10);

/// The queue to the listeners.
#[derive(Debug)]
pub(super) struct Listeners {
    wishes: Wishes,
    events: UnboundedSender<(&'static str, Value)>,
    teller: JoinHandle<()>,
}

/// A moment in the scheduler's life.
#[derive(Clone, Copy, Debug)]
pub(super) enum Lifecycle {
    /// It has its job row.
    Starting,
    /// It is about to close its job row.
    Stopping,
}

impl Listeners {
    /// A queue that drops what no listener wishes to hear.
    pub(super) fn new(service: LazyService, wishes: Wishes) -> Self {
        let (events, heard) = unbounded_channel();
        Self { wishes, events, teller: tokio::spawn(tell(service, heard)) }
    }

    /// `on_dag_run_running`, `on_dag_run_success` or `on_dag_run_failed`.
    pub(super) fn dag_run(&self, dag_id: &DagId, run_id: &RunId, state: RunState, message: &'static str) {
        let args = json!({"dag_id": dag_id, "run_id": run_id, "state": state.as_str(), "msg": message});
        self.send(self.wishes.runs, "listeners.dag_run", args);
    }

    /// `on_asset_changed` and `on_asset_event_emitted` for every asset that the task instance has updated.
    pub(super) fn task_ended(&self, key: &TiKey) {
        let args = json!({
            "dag_id": key.dag_id, "run_id": key.run_id, "task_id": key.task_id, "map_index": key.map_index.0,
        });
        self.send(self.wishes.assets, "listeners.assets", args);
    }

    /// `on_task_instance_failed` for a try that the scheduler ended, because nobody else could; `error` says why.
    pub(super) fn task_failed(&self, key: &TiKey, state: TaskState, error: &str) {
        let args = json!({
            "dag_id": key.dag_id, "run_id": key.run_id, "task_id": key.task_id, "map_index": key.map_index.0,
            "state": state.as_str(), "error": error,
        });
        self.send(self.wishes.tasks, "listeners.task_failed", args);
    }

    /// `on_starting` or `before_stopping`.
    pub(super) fn lifecycle(&self, moment: Lifecycle, job: JobId) {
        let event = match moment {
            Lifecycle::Starting => "on_starting",
            Lifecycle::Stopping => "before_stopping",
        };
        self.send(self.wishes.lifecycle, "listeners.lifecycle", json!({"event": event, "job_id": job.0}));
    }

    fn send(&self, wished: bool, op: &'static str, args: Value) {
        if wished {
            // The teller ends only with this queue.
            let _ = self.events.send((op, args));
        }
    }

    /// Waits, but not for ever, until the listeners have heard everything.
    pub(super) async fn finish(self) {
        let Self { events, teller, .. } = self;
        drop(events);
        if tokio::time::timeout(LAST_WORDS, teller).await.is_err() {
            tracing::warn!("listeners of plugins have not heard everything; the scheduler ends without them");
        }
    }
}

/// A listener that fails or takes too long is logged and changes nothing.
async fn tell(service: LazyService, mut heard: UnboundedReceiver<(&'static str, Value)>) {
    while let Some((op, args)) = heard.recv().await {
        if let Err(error) = service.call(op, args, LIMIT).await {
            tracing::warn!(%error, "listeners of plugins could not be told");
        }
    }
}
