//! A Python process with Airflow loaded from which others are forked: `_host/ancestor.py`.

use std::io::{self, IoSlice};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream as StdStream;
use std::sync::Arc;

use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::UnixStream;
use tokio::process::Child;
use tokio::sync::Mutex;

use super::error::PythonError;
use super::interpreter::Interpreter;
use super::launch::{FirstWords, Launched, argv, launch, within_limit};
use super::origin::{Life, Process, Skipped};
use super::wire;
use crate::runtime::socket_pair;

/// A process from which others are forked; started when it is needed, and anew when it is gone. Cheap to clone; clones
/// share the process. What was forked from one ends with it.
#[derive(Clone, Debug)]
pub struct Ancestor {
    interpreter: Interpreter,
    running: Arc<Mutex<Option<Arc<Running>>>>,
}

/// A running ancestor. Dropped, it is killed; so it lives as long as anything that was forked from it is wanted.
#[derive(Debug)]
struct Running {
    socket: StdStream,
    _child: Child,
}

/// A process that was forked. Dropped, it is killed.
#[derive(Debug)]
pub(super) struct Forked {
    pid: i32,
    ancestor: Arc<Running>,
}

/// What a forked process says first, or the ancestor in its place.
#[derive(Deserialize)]
struct Birth {
    forked: Option<i32>,
    refused: Option<String>,
}

/// The number of a request that is no process.
const FORK: i32 = 0;

impl Ancestor {
    /// Starts nothing yet.
    pub(super) fn new(interpreter: &Interpreter) -> Self {
        Self { interpreter: interpreter.clone(), running: Arc::default() }
    }

    /// The interpreter.
    pub(super) fn interpreter(&self) -> &Interpreter {
        &self.interpreter
    }

    /// Forks a process, which plays `role`, and waits until it is ready. If it is killed before, or the ancestor is, this is
    /// done once more.
    pub(super) async fn fork(&self, role: &str, settings: Value) -> Result<Process, PythonError> {
        match self.attempt(role, &settings).await {
            Err(PythonError::Died) => {
                tracing::warn!(
                    role,
                    "a forked Python process ended before it was ready; another one is forked"
                );
                self.attempt(role, &settings).await.map_err(|error| match error {
                    PythonError::Died => PythonError::Start {
                        interpreter: self.interpreter.path().to_owned(),
                        why: "it ended before it was ready, twice; see its output above".to_owned(),
                    },
                    error => error,
                })
            }
            result => result,
        }
    }

    /// Forks a process; [`PythonError::Died`] when it, or the ancestor, is gone before it is ready.
    async fn attempt(&self, role: &str, settings: &Value) -> Result<Process, PythonError> {
        let known = self.running().await?;
        let (forked, mut socket) = match known.fork().await {
            Err(PythonError::Died) => {
                self.forget(&known).await;
                return Err(PythonError::Died);
            }
            result => result?,
        };
        let start = json!({"role": role, "settings": settings, "argv": argv("ancestor")});
        let talk = async {
            wire::write(&mut socket, &start, &[]).await?;
            wire::read::<FirstWords>(&mut socket).await
        };
        // Whoever is killed says nothing.
        let talk = async { Ok(talk.await.ok()) };
        let words = within_limit(&self.interpreter, talk).await?.ok_or(PythonError::Died)?;
        Ok(Process { socket, hello: words.hello(&self.interpreter)?, life: Life::Forked(forked) })
    }

    /// The running process.
    async fn running(&self) -> Result<Arc<Running>, PythonError> {
        let mut place = self.running.lock().await;
        if let Some(running) = place.as_ref() {
            return Ok(running.clone());
        }
        let mut skipped = Skipped::default();
        let Launched { child, socket, .. } = loop {
            let settings = json!({"skip": skipped.names()});
            let process = launch(&self.interpreter, "ancestor", settings).await?;
            if skipped.suffice(&self.interpreter, &process.hello)? {
                break process;
            }
        };
        Ok(place.insert(Arc::new(Running { socket: socket.into_std()?, _child: child })).clone())
    }

    /// Lets the next fork start another process, unless there is another one already.
    async fn forget(&self, gone: &Arc<Running>) {
        self.running.lock().await.take_if(|running| Arc::ptr_eq(running, gone));
    }
}

impl Running {
    /// Forks a process; [`PythonError::Died`] when the ancestor is gone.
    async fn fork(self: &Arc<Self>) -> Result<(Forked, UnixStream), PythonError> {
        let (mut socket, theirs) = socket_pair()?;
        self.ask(FORK, &[theirs.as_raw_fd()]).map_err(|_| PythonError::Died)?;
        drop(theirs);
        match wire::read::<Birth>(&mut socket).await {
            Ok(Birth { forked: Some(pid), .. }) => Ok((Forked { pid, ancestor: self.clone() }, socket)),
            Ok(Birth { refused: Some(why), .. }) => Err(PythonError::Fork(why)),
            _ => Err(PythonError::Died),
        }
    }

    /// Sends a request. It is short, so that a process that reads has always room for it.
    fn ask(&self, number: i32, fds: &[RawFd]) -> io::Result<()> {
        let number = number.to_ne_bytes();
        let rights = [ControlMessage::ScmRights(fds)];
        let rights = if fds.is_empty() { &[][..] } else { &rights[..] };
        let sent = sendmsg::<()>(
            self.socket.as_raw_fd(),
            &[IoSlice::new(&number)],
            rights,
            MsgFlags::MSG_NOSIGNAL,
            None,
        );
        sent.map(drop).map_err(io::Error::from)
    }
}

impl Drop for Forked {
    fn drop(&mut self) {
        // With an ancestor that is gone it has ended already.
        let _ = self.ancestor.ask(self.pid, &[]);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;
    use tokio::time::Instant;

    use super::*;
    use crate::python::{Origin, Service, Zygote, ZygoteEvent, ZygoteKind};

    const LIMIT: Duration = Duration::from_secs(60);

    fn origin(home: &tempfile::TempDir) -> Origin {
        let interpreter = Interpreter::at(".venv/bin/python").with_env("AIRFLOW_HOME", home.path());
        Origin::shared(&interpreter)
    }

    async fn pid(service: &Service) -> i32 {
        let about = service.call("probe.about", json!({}), LIMIT).await.unwrap();
        i32::try_from(about["pid"].as_i64().unwrap()).unwrap()
    }

    /// A process's parent, from `/proc`.
    fn parent(pid: i32) -> i32 {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        stat.rsplit_once(") ").unwrap().1.split(' ').nth(1).unwrap().parse().unwrap()
    }

    fn killed(pid: i32) {
        kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
    }

    async fn until_gone(pid: i32) {
        let limit = Instant::now() + LIMIT;
        let is_there = || {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
        };
        while is_there() && Instant::now() < limit {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!(!is_there(), "{pid} is still there");
    }

    #[tokio::test]
    async fn a_service_that_is_killed_is_forked_anew_and_its_siblings_do_not_notice() {
        let home = tempfile::tempdir().unwrap();
        let origin = origin(&home);
        let (service, other) =
            (Service::start(&origin).await.unwrap(), Service::start(&origin).await.unwrap());
        let (zygote, mut events) = Zygote::start(&origin, ZygoteKind::Parse).await.unwrap();
        let (first, sibling) = (pid(&service).await, pid(&other).await);
        let ancestor = parent(first);
        assert_eq!(parent(sibling), ancestor);
        assert_ne!(ancestor, i32::try_from(std::process::id()).unwrap());

        killed(first);
        let lost = service.call("probe.about", json!({}), LIMIT).await.unwrap_err();
        assert!(matches!(lost, PythonError::Died), "{lost}");
        let second = pid(&service).await;
        assert_ne!(second, first);
        let short = Duration::from_millis(50);
        service.call("probe.wait", json!({"seconds": 600}), short).await.unwrap_err();
        until_gone(second).await;
        assert_eq!(parent(pid(&service).await), ancestor);
        assert_eq!(pid(&other).await, sibling);
        assert!(events.try_recv().is_err(), "the zygote is there");
        drop(zygote);
        assert_eq!(events.recv().await, Some(ZygoteEvent::Died));
        assert_eq!(pid(&other).await, sibling);
    }

    #[tokio::test]
    async fn a_process_that_ends_before_it_is_ready_is_an_error_and_others_are_forked_all_the_same() {
        let home = tempfile::tempdir().unwrap();
        let origin = origin(&home);
        let failed = origin.start("no_such_role", json!({})).await.unwrap_err();
        assert!(matches!(&failed, PythonError::Start { why, .. } if why.contains("twice")), "{failed}");
        Service::start(&origin).await.unwrap();
    }

    #[tokio::test]
    async fn what_was_forked_ends_with_its_ancestor_and_comes_again_from_another_one() {
        let home = tempfile::tempdir().unwrap();
        let origin = origin(&home);
        let service = Service::start(&origin).await.unwrap();
        let (_zygote, mut events) = Zygote::start(&origin, ZygoteKind::Parse).await.unwrap();
        let first = pid(&service).await;
        let ancestor = parent(first);
        killed(ancestor);
        assert_eq!(events.recv().await, Some(ZygoteEvent::Died));
        until_gone(first).await;
        let lost = service.call("probe.about", json!({}), LIMIT).await.unwrap_err();
        assert!(matches!(lost, PythonError::Died), "{lost}");
        let second = pid(&service).await;
        let (zygote, _events) = Zygote::start(&origin, ZygoteKind::Parse).await.unwrap();
        assert_ne!(parent(second), ancestor);

        let last = parent(second);
        drop((service, zygote, origin));
        until_gone(second).await;
        until_gone(last).await;
    }
}
