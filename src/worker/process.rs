//! A task's process and our ends of its sockets.

use std::future::Future;
use std::io;

use tokio::net::UnixStream;
use tokio::sync::oneshot;

use super::exit::Exit;
use super::prepared::DagFile;
use crate::python::ChildFds;
use crate::runtime::socket_pair;

/// A process that was started for a task.
#[derive(Debug)]
pub(super) struct Launched {
    /// Its id, which is also its process group.
    pub(super) pid: i32,
    /// Its end.
    pub(super) exit: oneshot::Receiver<Exit>,
}

/// No process could be started.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the task's process could not be started: {0}")]
pub(super) struct LaunchError(String);

impl LaunchError {
    /// For this reason.
    pub(super) fn because(why: impl ToString) -> Self {
        Self(why.to_string())
    }
}

/// What starts processes for tasks.
pub(super) trait Launcher {
    /// Starts one, which will ask for a task of `file`; returns it with our ends of its sockets.
    fn launch(
        &self,
        file: Option<&DagFile>,
    ) -> impl Future<Output = Result<(Launched, Sockets), LaunchError>>;
}

/// Our ends of a task's sockets.
#[derive(Debug)]
pub(super) struct Sockets {
    /// Requests of the task and our responses.
    pub(super) requests: UnixStream,
    /// Its fd 1.
    pub(super) stdout: UnixStream,
    /// Its fd 2.
    pub(super) stderr: UnixStream,
    /// Its log records.
    pub(super) logs: UnixStream,
}

impl Sockets {
    /// The four pairs of one process.
    ///
    /// # Errors
    /// When the system has no descriptors left.
    pub(super) fn open() -> io::Result<(Self, ChildFds)> {
        let (requests, child_requests) = socket_pair()?;
        let (stdout, child_stdout) = socket_pair()?;
        let (stderr, child_stderr) = socket_pair()?;
        let (logs, child_logs) = socket_pair()?;
        let child = ChildFds {
            requests: child_requests,
            stdout: child_stdout,
            stderr: child_stderr,
            logs: child_logs,
        };
        Ok((Self { requests, stdout, stderr, logs }, child))
    }
}
