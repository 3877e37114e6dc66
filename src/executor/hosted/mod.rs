//! Any executor class of Airflow, unmodified, in a Python process of its own (`airflow_compat/slipstream/_host/executor.py`).
//!
//! Mirrors what `SchedulerJobRunner` does with a `BaseExecutor`. Nothing here waits for the process: it is told ids and
//! answers when it can. One that says nothing for too long, or ends, is replaced after a pause; what it held is offered to
//! its successor (`try_adopt_task_instances`), and what that does not take comes back as [`WorkEvent::NotAdopted`].

mod held;
mod link;
mod message;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::json;
use slipstream_core::executor::ExecutorName;
use slipstream_core::ids::TiKey;
use tokio::sync::{Notify, mpsc, oneshot};
use uuid::Uuid;

use super::event::ExecutorEvent;
#[cfg(doc)]
use super::event::WorkEvent;
use crate::python::{HostProcess, Interpreter, PythonError};

use held::{Held, Phase};
use link::{Command, Link};
use message::Said;
pub use message::{Facts, HostedKey};

/// How to run an executor's process.
#[derive(Clone, Debug)]
pub struct HostOptions {
    /// The Python of the Airflow environment.
    pub interpreter: Interpreter,
    /// Which executor.
    pub name: ExecutorName,
    /// `[slipstream] executor_timeout`: one that says nothing for so long is replaced.
    pub timeout: Duration,
}

/// An executor as the scheduler holds it. Cheap to clone; when the last clone is dropped, its process ends.
#[derive(Clone, Debug)]
pub struct HostedExecutor {
    facts: Facts,
    held: Shared,
    handed: Arc<Notify>,
    commands: mpsc::UnboundedSender<Command>,
}

/// A task instance that another scheduler had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Adoptable {
    /// `task_instance.id`.
    pub ti_id: Uuid,
    /// Its key.
    pub key: TiKey,
    /// The job that queued it: executors find by it what is the task instance's.
    pub queued_by_job_id: Option<i64>,
}

/// [`Held`], shared by the executor and its link. Never locked across an await.
#[derive(Clone, Debug, Default)]
struct Shared(Arc<Mutex<Held>>);

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HostedExecutor {
    /// Starts the process and loads the class in it. The executor itself starts with [`HostedExecutor::begin`].
    ///
    /// # Errors
    /// When Python cannot be started or the class cannot be loaded.
    pub async fn start(
        options: HostOptions,
    ) -> Result<(Self, mpsc::UnboundedReceiver<ExecutorEvent>), PythonError> {
        let process = launch(&options).await?;
        let facts: Facts = serde_json::from_value(process.facts().clone()).unwrap_or_default();
        tracing::info!(executor = %options.name.shown(), pid = process.pid(), "the executor's process is there");
        let (commands, received) = mpsc::unbounded_channel();
        let (events, reports) = mpsc::unbounded_channel();
        let (held, handed) = (Shared::default(), Arc::new(Notify::new()));
        let link = Link::new(options, facts.clone(), held.clone(), handed.clone(), received, events);
        tokio::spawn(link.run(process));
        Ok((Self { facts, held, handed, commands }, reports))
    }

    /// What its class is.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Starts the executor for the scheduler with this job. [`ExecutorEvent::Ready`] follows, now and after each restart.
    pub fn begin(&self, job_id: i64) {
        self.tell(Command::Begin(job_id));
    }

    /// Hands over task instances that were just queued. Without a process they wait for one.
    pub fn queue_tasks(&self, tasks: impl IntoIterator<Item = (Uuid, TiKey)>) {
        let mut held = self.held.lock();
        for (ti_id, key) in tasks {
            held.set(HostedKey::from(key), ti_id, Phase::ToQueue);
        }
        drop(held);
        self.tell(Command::Work);
    }

    /// Hands over callbacks.
    pub fn queue_callbacks(&self, ids: impl IntoIterator<Item = Uuid>) {
        let mut held = self.held.lock();
        for id in ids {
            held.set(HostedKey::Callback { id }, id, Phase::ToQueue);
        }
        drop(held);
        self.tell(Command::Work);
    }

    /// Offers task instances of a scheduler that is gone; those that are not taken come back as
    /// [`WorkEvent::NotAdopted`].
    pub fn adopt(&self, tis: impl IntoIterator<Item = Adoptable>) {
        let mut held = self.held.lock();
        for ti in tis {
            held.set(HostedKey::from(ti.key), ti.ti_id, Phase::ToAdopt { job: ti.queued_by_job_id });
        }
        drop(held);
        self.tell(Command::Work);
    }

    /// Asks to take a task instance back; [`WorkEvent::Revoked`] follows if it could be done (`revoke_task`).
    pub fn revoke(&self, ti_id: Uuid, key: TiKey) {
        if self.held.lock().revoking.insert(ti_id) {
            self.tell(Command::Revoke { ti_id, key: HostedKey::from(key) });
        }
    }

    /// Forgets a try that the scheduler has given up, and tells the executor (`change_state` to failed).
    pub fn fail(&self, key: TiKey) {
        let key = HostedKey::from(key);
        self.held.lock().remove(&key);
        self.tell(Command::Fail { key });
    }

    /// The task instances that are in the executor's hands, or on the way (`has_task`).
    pub fn held_tasks(&self) -> HashSet<Uuid> {
        self.held.lock().tasks()
    }

    /// Slots that are taken (`slots_occupied`).
    pub fn slots_occupied(&self) -> usize {
        self.held.lock().occupied()
    }

    /// Slots that are free (`slots_available`); none while there is no process.
    pub fn slots_available(&self) -> usize {
        self.held.lock().available()
    }

    /// Whether the executor has started and answers.
    pub fn is_ready(&self) -> bool {
        self.held.lock().ready
    }

    /// Returns when the executor has everything that it was given.
    pub async fn handed_over(&self) {
        loop {
            let handed = self.handed.notified();
            if self.held.lock().is_handed_over() {
                return;
            }
            handed.await;
        }
    }

    /// Ends the executor and its process (`end`); returns after `limit` at the latest.
    pub async fn end(&self, limit: Duration) {
        let (done, ended) = oneshot::channel();
        self.tell(Command::End(done));
        if tokio::time::timeout(limit, ended).await.is_err() {
            tracing::warn!(executor = %self.facts.class_name, "the executor did not end in {limit:?}; its process is ended");
        }
    }

    fn tell(&self, command: Command) {
        // The link lives as long as the executor, except after its end.
        let _ = self.commands.send(command);
    }
}

/// Loads the class in a process that ends at once, and says what it is. The executor is not started.
///
/// # Errors
/// When Python cannot be started or the class cannot be loaded.
pub async fn inspect(options: &HostOptions) -> Result<Facts, PythonError> {
    let mut process = launch(options).await?;
    let facts = serde_json::from_value(process.facts().clone()).unwrap_or_default();
    process.kill().await;
    Ok(facts)
}

async fn launch(options: &HostOptions) -> Result<HostProcess<Said>, PythonError> {
    let ExecutorName { alias, module_path, team } = &options.name;
    let settings = json!({"alias": alias, "module_path": module_path, "team": team});
    HostProcess::start(&options.interpreter, "executor", settings).await
}
