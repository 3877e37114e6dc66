//! Where the event engine and the scheduler's loop meet: commands on tasks, and being told about them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use chrono::{DateTime, Utc};
use slipstream_core::state::RunState;
use tokio::sync::Notify;

use super::tick::Scheduler;
use crate::store::{StoreError, commands};

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

    /// Waits for the next hint; returns at once if one was given since the last wait.
    pub(super) async fn notified(&self) {
        self.inner.notify.notified().await;
    }

    /// Whether commands were committed since the last call.
    pub(super) fn take_commands(&self) -> bool {
        self.inner.commands.swap(false, Ordering::AcqRel)
    }

    /// Whether runs were made or ended since the last call.
    pub(super) fn take_runs(&self) -> bool {
        self.inner.runs.swap(false, Ordering::AcqRel)
    }
}

impl Scheduler {
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
