//! A Python process with Airflow imported that forks one child per request: `_host/zygote.py`.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use nix::unistd::Pid;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, oneshot};

use super::error::PythonError;
use super::launch::Hello;
use super::origin::{Life, Origin, Process, Skipped};
use super::wire;
use crate::runtime::socket_pair;

/// What a zygote's children do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ZygoteKind {
    /// Run one task try: `airflow.sdk.execution_time.task_runner.main`. They outlive the zygote.
    Task,
    /// Parse one Dag file, or run its callbacks: `airflow.dag_processing.processor._parse_file_entrypoint`.
    Parse,
    /// Run one executor callback: `airflow.sdk.execution_time.callback_supervisor.execute_callback`.
    Callback,
}

impl ZygoteKind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Task => "task",
            Self::Parse => "parse",
            Self::Callback => "callback",
        }
    }
}

/// The child's ends of its sockets. They are closed here once the child has them.
#[derive(Debug)]
pub struct ChildFds {
    /// Requests of the child and answers to them; becomes its fd 0.
    pub requests: OwnedFd,
    /// Its stdout.
    pub stdout: OwnedFd,
    /// Its stderr.
    pub stderr: OwnedFd,
    /// Its log lines, one JSON object each.
    pub logs: OwnedFd,
}

/// How a child ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChildStatus {
    /// It exited with this code.
    Code(i32),
    /// This signal killed it.
    Signal(i32),
    /// A task whose parent was killed (each has one of its own): nobody knows whether it still runs.
    Lost,
}

/// What a zygote reports on its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ZygoteEvent {
    /// A child ended. It can be read before [`Zygote::fork`] has returned its number to another task: keep it then.
    Exited {
        /// The child.
        pid: i32,
        /// How.
        status: ChildStatus,
    },
    /// The zygote itself is gone; start another one. No more events come; how its children end is not known here.
    Died,
}

type Pending = Arc<Mutex<VecDeque<oneshot::Sender<Result<i32, PythonError>>>>>;

/// A running zygote. Dropped, it is killed; children of [`ZygoteKind::Task`] live on. A prepared one (see
/// [`Zygote::prepare`]) ends by itself then, when the last of its tasks has ended.
#[derive(Debug)]
pub struct Zygote {
    hello: Hello,
    socket: OwnedWriteHalf,
    pending: Pending,
    _life: Option<Life>,
}

/// What a process says that was to parse a Dag file.
#[derive(Deserialize)]
struct Prepared {
    unfit: Option<String>,
    #[serde(default)]
    again: bool,
}

#[derive(Deserialize)]
struct Message {
    forked: Option<i32>,
    refused: Option<String>,
    exited: Option<i32>,
    code: Option<i32>,
    signal: Option<i32>,
    #[serde(default)]
    lost: bool,
    #[serde(default)]
    stale: bool,
}

impl Zygote {
    /// Starts a zygote and waits until everything is imported and it is single-threaded.
    ///
    /// # Errors
    /// When the interpreter has no Airflow, an unsupported one, does not start, or cannot be made single-threaded.
    pub async fn start(
        origin: impl Into<Origin>,
        kind: ZygoteKind,
    ) -> Result<(Self, mpsc::UnboundedReceiver<ZygoteEvent>), PythonError> {
        let origin = origin.into();
        let mut skipped = Skipped::default();
        let Process { socket, hello, life } = loop {
            let settings = json!({"kind": kind.as_str(), "skip": skipped.names()});
            let process = origin.start("zygote", settings).await?;
            if skipped.suffice(origin.interpreter(), &process.hello)? {
                break process;
            }
        };
        Ok(Self::on(socket, hello, Some(life)))
    }

    fn on(
        socket: UnixStream,
        hello: Hello,
        life: Option<Life>,
    ) -> (Self, mpsc::UnboundedReceiver<ZygoteEvent>) {
        let (read, write) = socket.into_split();
        let (events, receiver) = mpsc::unbounded_channel();
        let pending = Pending::default();
        tokio::spawn(listen(read, pending.clone(), events));
        (Self { hello, socket: write, pending, _life: life }, receiver)
    }

    /// Which Python and Airflow it is.
    pub fn hello(&self) -> &Hello {
        &self.hello
    }

    /// Forks a child with these sockets; returns its process id, which is also its process group.
    ///
    /// # Errors
    /// [`PythonError::Died`] when the zygote is gone, [`PythonError::Fork`] when the system refuses,
    /// [`PythonError::Stale`] when it has parsed a Dag file that was changed since.
    pub async fn fork(&self, fds: ChildFds) -> Result<i32, PythonError> {
        let raw = [&fds.requests, &fds.stdout, &fds.stderr, &fds.logs].map(AsRawFd::as_raw_fd);
        let answer = self.ask(&raw).await?;
        drop(fds);
        answer.await.unwrap_or(Err(PythonError::Died))
    }

    /// Forks a zygote that has parsed a Dag file and forks tasks of that file only (`_host/prepared.py`).
    ///
    /// # Errors
    /// [`PythonError::Unfit`] when tasks cannot share the parse; what goes wrong with a process otherwise.
    pub async fn prepare(
        &self,
        file: &Value,
        limit: Duration,
    ) -> Result<(Self, mpsc::UnboundedReceiver<ZygoteEvent>), PythonError> {
        let (mut socket, theirs) = socket_pair()?;
        let answer = self.ask(&[theirs.as_raw_fd()]).await?;
        drop(theirs);
        let pid = answer.await.unwrap_or(Err(PythonError::Died))?;
        let talk = async {
            wire::write(&mut socket, file, &[]).await?;
            wire::read::<Prepared>(&mut socket).await
        };
        let Ok(words) = tokio::time::timeout(limit, talk).await else {
            // It holds its end of the socket, so it is there.
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            return Err(PythonError::Overran { op: "the parse of a Dag file".to_owned(), limit });
        };
        match words.map_err(|_| PythonError::Died)? {
            Prepared { unfit: Some(why), again } => Err(PythonError::Unfit { why, again }),
            Prepared { unfit: None, .. } => Ok(Self::on(socket, self.hello.clone(), None)),
        }
    }

    /// Sends a request, which is nothing but descriptors; returns the answer to come.
    async fn ask(&self, fds: &[RawFd]) -> Result<oneshot::Receiver<Result<i32, PythonError>>, PythonError> {
        let stream: &UnixStream = self.socket.as_ref();
        let (sender, answer) = oneshot::channel();
        let mut sender = Some(sender);
        let sent = stream.async_io(Interest::WRITABLE, || {
            // Sent and noted under one lock: answers come in the order of the requests.
            let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
            let (data, rights) = ([IoSlice::new(b"f")], [ControlMessage::ScmRights(fds)]);
            sendmsg::<()>(stream.as_raw_fd(), &data, &rights, MsgFlags::MSG_NOSIGNAL, None)
                .map_err(io::Error::from)?;
            pending.extend(sender.take());
            Ok(())
        });
        sent.await.map_err(|_| PythonError::Died)?;
        Ok(answer)
    }
}

/// Hands on what the zygote says until it is gone.
async fn listen(mut socket: OwnedReadHalf, pending: Pending, events: mpsc::UnboundedSender<ZygoteEvent>) {
    while let Ok(message) = wire::read::<Message>(&mut socket).await {
        let next = || pending.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        // A caller or a reader that went away misses nothing that matters.
        if let Some(pid) = message.forked {
            next().map(|caller| caller.send(Ok(pid)));
        } else if let Some(why) = message.refused {
            next().map(|caller| caller.send(Err(PythonError::Fork(why))));
        } else if message.stale {
            next().map(|caller| caller.send(Err(PythonError::Stale)));
        } else if let Some(pid) = message.exited {
            let status = match message.signal {
                _ if message.lost => ChildStatus::Lost,
                Some(signal) => ChildStatus::Signal(signal),
                None => ChildStatus::Code(message.code.unwrap_or(1)),
            };
            let _ = events.send(ZygoteEvent::Exited { pid, status });
        }
    }
    pending.lock().unwrap_or_else(PoisonError::into_inner).clear();
    let _ = events.send(ZygoteEvent::Died);
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::net::UnixStream;

    use super::*;
    use crate::python::Interpreter;

    /// Our ends of a child's sockets, and the child's.
    fn sockets() -> ([UnixStream; 4], ChildFds) {
        let pairs = [(); 4].map(|()| UnixStream::pair().unwrap());
        let [(r, requests), (o, stdout), (e, stderr), (l, logs)] = pairs;
        let fds = ChildFds {
            requests: requests.into(),
            stdout: stdout.into(),
            stderr: stderr.into(),
            logs: logs.into(),
        };
        ([r, o, e, l], fds)
    }

    #[tokio::test]
    async fn a_child_has_its_sockets_and_its_own_process_group_and_its_end_is_reported() {
        let home = tempfile::tempdir().unwrap();
        let interpreter = Interpreter::at(".venv/bin/python").with_env("AIRFLOW_HOME", home.path());
        let (zygote, mut events) = Zygote::start(&interpreter, ZygoteKind::Parse).await.unwrap();
        let ([requests, _, _, mut logs], fds) = sockets();
        let killed = zygote.fork(fds).await.unwrap();
        let group = nix::unistd::Pid::from_raw(killed);
        assert_eq!(nix::unistd::getpgid(Some(group)).unwrap(), group);
        nix::sys::signal::killpg(group, nix::sys::signal::Signal::SIGKILL).unwrap();
        let status = ChildStatus::Signal(9);
        assert_eq!(events.recv().await, Some(ZygoteEvent::Exited { pid: killed, status }));
        drop(requests);
        assert_eq!(logs.read(&mut [0; 10]).unwrap(), 0, "the zygote keeps no copy of a child's socket");

        let ([requests, _, _, _], fds) = sockets();
        let pid = zygote.fork(fds).await.unwrap();
        drop(requests);
        let ended = events.recv().await;
        assert!(
            matches!(ended, Some(ZygoteEvent::Exited { pid: who, status: ChildStatus::Code(code) }) if who == pid && code != 0)
        );

        drop(zygote);
        assert_eq!(events.recv().await, Some(ZygoteEvent::Died));
    }
}
