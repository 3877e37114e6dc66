//! Processes whose parent died and that have become this process's children (it is a subreaper): tasks of a zygote that is
//! gone, and what tasks left behind.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::{Pid, getpgid, getpgrp};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

use super::exit::Exit;

/// A signal can be missed while another one is handled: look again after this time.
const ROUND: Duration = Duration::from_secs(1);

/// Waits for adopted processes. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct Reaper {
    adopted: Rc<RefCell<HashMap<i32, oneshot::Sender<Exit>>>>,
}

impl Reaper {
    /// Tells `exit` when `pid` ends.
    pub(super) fn adopt(&self, pid: i32, exit: oneshot::Sender<Exit>) {
        self.adopted.borrow_mut().insert(pid, exit);
    }

    /// Reaps for ever.
    pub(super) async fn run(self) {
        let mut children = match signal(SignalKind::child()) {
            Ok(children) => children,
            Err(error) => return tracing::error!(%error, "ends of child processes cannot be watched"),
        };
        loop {
            tokio::select! {
                _ = children.recv() => {}
                () = tokio::time::sleep(ROUND) => {}
            }
            self.reap_adopted();
            reap_strangers();
        }
    }

    fn reap_adopted(&self) {
        let mut ended = Vec::new();
        for pid in self.adopted.borrow().keys() {
            match waitpid(Pid::from_raw(*pid), Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::Exited(_, code)) => ended.push((*pid, Exit::Code(code))),
                Ok(WaitStatus::Signaled(_, signal, _)) => ended.push((*pid, Exit::Signal(signal as i32))),
                // Not ours (yet): its parent is only just ending, or has taken its status along.
                Err(_) if kill(Pid::from_raw(*pid), None) == Err(Errno::ESRCH) => {
                    ended.push((*pid, Exit::Unknown));
                }
                Ok(_) | Err(_) => {}
            }
        }
        for (pid, exit) in ended {
            // Nobody waits for a task that was given up.
            let _ = self.adopted.borrow_mut().remove(&pid).map(|waiting| waiting.send(exit));
        }
    }
}

/// Reaps processes that tasks left behind. Our own children are in our process group, and are waited for elsewhere.
fn reap_strangers() {
    let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    while let Ok(status) = waitid(Id::All, flags) {
        let Some(pid) = status.pid() else { return };
        if getpgid(Some(pid)).is_ok_and(|group| group == getpgrp()) {
            return;
        }
        if waitpid(pid, Some(WaitPidFlag::WNOHANG)).is_err() {
            return;
        }
    }
}
