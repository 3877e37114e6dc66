//! Where the event engine and the scheduler's loop meet: commands on tasks, and being told about them.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use chrono::{DateTime, Utc};
use slipstream_core::event::TriggerSpec;
use slipstream_core::ids::{DagId, TaskId};
use slipstream_core::state::RunState;
use tokio::sync::Notify;

use super::tick::Scheduler;
use crate::store::StoreError;
use crate::store::commands::{self, external};

/// Wakes the scheduler's loop for what events caused. Only a hint: polls find everything that was committed. Cheap to
/// clone; all clones wake the same loop.
#[derive(Clone, Debug, Default)]
pub struct EventWake {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    notify: Notify,
    commands: AtomicBool,
    runs: AtomicBool,
    triggers: AtomicBool,
}

impl EventWake {
    /// Commands on tasks (`slipstream_command`) have been committed.
    pub fn commands(&self) {
        self.inner.commands.store(true, Ordering::Release);
        self.inner.notify.notify_one();
    }

    /// Dag runs have been made or ended.
    pub fn runs(&self) {
        self.inner.runs.store(true, Ordering::Release);
        self.inner.notify.notify_one();
    }

    /// Triggers were added, changed or removed from outside.
    pub fn triggers(&self) {
        self.inner.triggers.store(true, Ordering::Release);
        self.inner.notify.notify_one();
    }

    /// Waits for the next hint; returns at once if one was given since the last wait.
    pub(super) async fn notified(&self) {
        self.inner.notify.notified().await;
    }

    /// Whether commands were committed since the last call.
    pub(super) fn take_commands(&self) -> bool {
        self.inner.commands.swap(false, Ordering::AcqRel)
    }

    /// Whether triggers changed since the last call.
    pub(super) fn take_triggers(&self) -> bool {
        self.inner.triggers.swap(false, Ordering::AcqRel)
    }

    /// Whether runs were made or ended since the last call.
    pub(super) fn take_runs(&self) -> bool {
        self.inner.runs.swap(false, Ordering::AcqRel)
    }
}

impl Scheduler {
    /// Learns which tasks have triggers that are not in their Dag's file, and looks at the runs in which that matters.
    pub(super) async fn learn_triggers(&mut self) -> Result<(), StoreError> {
        self.agenda.triggers = false;
        let mut by_dag: HashMap<DagId, Vec<(TaskId, TriggerSpec)>> = HashMap::new();
        for trigger in external::load(&self.db).await? {
            match TriggerSpec::from_json(&trigger.spec) {
                Ok(spec) => by_dag.entry(trigger.dag_id).or_default().push((trigger.task_id, spec)),
                Err(error) => tracing::error!(
                    dag_id = %trigger.dag_id, task_id = %trigger.task_id, %error,
                    "a trigger that was added from outside cannot be understood, it holds nothing back"
                ),
            }
        }
        let before: BTreeSet<&DagId> = self.event_memory.external.keys().collect();
        if before != by_dag.keys().collect() {
            // A gate may have come or gone.
            self.seen.forget_all();
        }
        self.event_memory.external = by_dag;
        Ok(())
    }

    /// Looks at the runs that have new commands; commands for runs that have ended are dropped.
    pub(super) async fn find_commands(&mut self, now: DateTime<Utc>) -> Result<(), StoreError> {
        self.agenda.commands = false;
        for found in commands::find(&self.db).await? {
            match found.run {
                Some(RunState::Running) => self.agenda.look_at_named(found.dag_id, found.run_id),
                // Looked at when it starts.
                Some(RunState::Queued) => {}
                Some(RunState::Success | RunState::Failed) => {
                    commands::drop_of_run(&self.db, &found.dag_id, &found.run_id, "the run has ended", now)
                        .await?;
                }
                None => {
                    commands::drop_of_run(
                        &self.db,
                        &found.dag_id,
                        &found.run_id,
                        "there is no such run",
                        now,
                    )
                    .await?;
                }
            }
        }
        Ok(())
    }
}
