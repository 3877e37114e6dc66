//! The wake-up of the scheduler's loop by what evaluates events beside it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

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
    pub async fn notified(&self) {
        self.inner.notify.notified().await;
    }

    /// Whether commands were committed since the last call.
    pub fn take_commands(&self) -> bool {
        self.inner.commands.swap(false, Ordering::AcqRel)
    }

    /// Whether triggers changed since the last call.
    pub fn take_triggers(&self) -> bool {
        self.inner.triggers.swap(false, Ordering::AcqRel)
    }

    /// Whether runs were made or ended since the last call.
    pub fn take_runs(&self) -> bool {
        self.inner.runs.swap(false, Ordering::AcqRel)
    }
}
