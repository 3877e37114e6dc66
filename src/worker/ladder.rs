//! Ending a process that may not want to: a signal, some time, a stronger signal (`WatchedSubprocess.kill` in
//! `airflow/sdk/execution_time/supervisor.py`).

use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use tokio::time::Instant;

/// What came of sending a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    /// It is on its way.
    Delivered,
    /// There is no such process any more.
    Gone,
}

/// Sends a signal to a task's process group, so that what the task started gets it as well; to the process alone if
/// there is no such group.
pub(super) fn signal_group(pid: i32, signal: Signal) -> Sent {
    let pid = Pid::from_raw(pid);
    if killpg(pid, signal).is_ok() {
        return Sent::Delivered;
    }
    match kill(pid, signal) {
        Ok(()) => Sent::Delivered,
        Err(Errno::ESRCH) => Sent::Gone,
        Err(error) => {
            tracing::warn!(%pid, %signal, %error, "a task's process cannot be signalled");
            Sent::Delivered
        }
    }
}

/// The way from SIGTERM to SIGKILL for one process.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ladder {
    pid: i32,
    step: Duration,
    last: Signal,
    next_at: Option<Instant>,
}

impl Ladder {
    /// Sends SIGTERM; SIGKILL is due after `step`.
    pub(super) fn start(pid: i32, step: Duration) -> Self {
        signal_group(pid, Signal::SIGTERM);
        Self { pid, step, last: Signal::SIGTERM, next_at: Some(Instant::now() + step) }
    }

    /// When [`Ladder::climb`] is due.
    pub(super) fn due(&self) -> Option<Instant> {
        self.next_at
    }

    /// The signal that was sent last.
    pub(super) fn last(&self) -> Signal {
        self.last
    }

    /// Goes one step further if it is time.
    pub(super) fn climb(&mut self, now: Instant) {
        if self.next_at.is_none_or(|due| now < due) {
            return;
        }
        if self.last == Signal::SIGTERM {
            tracing::warn!(pid = self.pid, "process did not terminate in time; escalating");
            self.last = Signal::SIGKILL;
            signal_group(self.pid, Signal::SIGKILL);
            self.next_at = Some(now + self.step);
        } else {
            tracing::error!(pid = self.pid, "failed to terminate process after full escalation");
            self.next_at = None;
        }
    }
}
