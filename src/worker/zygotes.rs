//! Task processes from a zygote, and a new zygote when one has died.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::time::{Instant, sleep_until, timeout};

use super::exit::Exit;
use super::prepared::{Advice, DagFile, PreparedFiles};
use super::process::{LaunchError, Launched, Launcher, Sockets};
use super::reaper::Reaper;
use crate::python::{ChildFds, Interpreter, PythonError, Zygote, ZygoteEvent, ZygoteKind};

/// How long a Dag file may take to be parsed aside; Airflow ends a parse itself after `[core] dagbag_import_timeout`.
const PREPARE_LIMIT: Duration = Duration::from_secs(120);
/// How long a task waits for the preparation of its file, instead of parsing it beside that.
const WAIT: Duration = Duration::from_secs(1);
/// How long a fork from a prepared process may take; then the task is started without.
const FORK_LIMIT: Duration = Duration::from_secs(5);

/// Starts processes through a zygote. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Zygotes {
    interpreter: Interpreter,
    kind: ZygoteKind,
    current: Rc<Mutex<Option<Running>>>,
    prepared: Rc<RefCell<PreparedFiles<Running>>>,
    reaper: Reaper,
    /// How long a fork may take.
    limit: Duration,
}

#[derive(Clone, Debug)]
struct Running {
    zygote: Rc<Zygote>,
    ends: Rc<RefCell<Ends>>,
}

/// Ends of a zygote's children, matched with those who wait for them in whichever order they come.
#[derive(Debug, Default)]
struct Ends {
    waiting: HashMap<i32, oneshot::Sender<Exit>>,
    early: HashMap<i32, Exit>,
    zygote_died: bool,
}

impl Zygotes {
    /// For tasks or for callbacks. Nothing is started yet.
    pub(super) fn new(interpreter: Interpreter, kind: ZygoteKind, reaper: Reaper, limit: Duration) -> Self {
        let prepared = Rc::new(RefCell::new(PreparedFiles::new(0, 0)));
        Self { interpreter, kind, current: Rc::default(), prepared, reaper, limit }
    }

    /// Keeps so many Dag files parsed.
    pub(super) fn preparing(mut self, most: usize) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        self.prepared = Rc::new(RefCell::new(PreparedFiles::new(most, cores)));
        self
    }

    /// Starts the zygote if none runs, so that the next task need not wait for it.
    ///
    /// # Errors
    /// When it cannot be started: see [`Zygote::start`].
    pub(super) async fn warm(&self) -> Result<(), PythonError> {
        self.running().await.map(drop)
    }

    async fn running(&self) -> Result<Running, PythonError> {
        let mut current = self.current.lock().await;
        if let Some(running) = current.as_ref().filter(|running| !running.ends.borrow().zygote_died) {
            return Ok(running.clone());
        }
        let (zygote, events) = Zygote::start(&self.interpreter, self.kind).await?;
        let running = self.follow(zygote, events, false);
        *current = Some(running.clone());
        Ok(running)
    }

    fn follow(
        &self,
        zygote: Zygote,
        events: mpsc::UnboundedReceiver<ZygoteEvent>,
        prepared: bool,
    ) -> Running {
        let running = Running { zygote: Rc::new(zygote), ends: Rc::default() };
        tokio::task::spawn_local(listen(events, running.ends.clone(), self.reaper.clone(), prepared));
        running
    }

    /// Forks from a process that has parsed `file`. `None`: the task has to parse it; whatever goes wrong here costs no task.
    async fn launch_prepared(&self, file: &DagFile) -> Option<(Launched, Sockets)> {
        let advise = || self.prepared.borrow_mut().advise(file, Instant::now());
        let running = match advise() {
            Advice::From(running) => running,
            Advice::Plain => return None,
            Advice::Prepare => {
                tokio::task::spawn_local(self.clone().prepare(file.clone()));
                return None;
            }
            Advice::Wait(done) => {
                // Also after the time is over it may just be ready.
                let _ = timeout(WAIT, done.notified()).await;
                let Advice::From(running) = advise() else { return None };
                running
            }
        };
        let (sockets, child_ends) = Sockets::open().ok()?;
        match timeout(FORK_LIMIT, running.zygote.fork(child_ends)).await {
            Ok(Ok(pid)) => return Some((Launched { pid, exit: self.claim(&running.ends, pid) }, sockets)),
            Ok(Err(PythonError::Stale)) => {
                tracing::debug!(%file, "a Dag file has changed; it is parsed anew")
            }
            Ok(Err(error)) => tracing::warn!(%file, %error, "a prepared Dag file is not used any more"),
            // Should it fork later, the child finds its sockets closed and ends.
            Err(_) => tracing::warn!(%file, "a prepared Dag file does not answer and is not used any more"),
        }
        self.prepared.borrow_mut().lost(file, Instant::now());
        None
    }

    /// Lets `file` be parsed for the tasks to come.
    async fn prepare(self, file: DagFile) {
        let prepared = async {
            let zygote = self.running().await?.zygote;
            zygote.prepare(&file.to_json(), PREPARE_LIMIT).await
        };
        let (zygote, events) = match prepared.await {
            Ok(ready) => ready,
            Err(error) => {
                let again =
                    !matches!(error, PythonError::Unfit { again: false, .. } | PythonError::Overran { .. });
                if !again {
                    tracing::info!(%file, %error, "each task parses its Dag file by itself");
                }
                return self.prepared.borrow_mut().unfit(&file, again, Instant::now());
            }
        };
        tracing::debug!(%file, "a Dag file is prepared for its next tasks");
        let running = self.follow(zygote, events, true);
        let number = self.prepared.borrow_mut().ready(&file, running, Instant::now());
        loop {
            let next = self.prepared.borrow_mut().rest(&file, number, Instant::now());
            let Some(next) = next else { return };
            sleep_until(next).await;
        }
    }

    fn claim(&self, ends: &RefCell<Ends>, pid: i32) -> oneshot::Receiver<Exit> {
        let (sender, receiver) = oneshot::channel();
        let mut ends = ends.borrow_mut();
        if let Some(exit) = ends.early.remove(&pid) {
            // The receiver is at hand.
            let _ = sender.send(exit);
        } else if ends.zygote_died {
            self.reaper.adopt(pid, sender);
        } else {
            ends.waiting.insert(pid, sender);
        }
        receiver
    }
}

impl Launcher for Zygotes {
    async fn launch(&self, file: Option<&DagFile>) -> Result<(Launched, Sockets), LaunchError> {
        if let Some(file) = file
            && let Some(launched) = self.launch_prepared(file).await
        {
            return Ok(launched);
        }
        // Once more with a new zygote if the first one turns out to be dead, or stuck.
        for last in [false, true] {
            let running = self.running().await.map_err(LaunchError::because)?;
            let (sockets, child_ends): (Sockets, ChildFds) = Sockets::open().map_err(LaunchError::because)?;
            let forked = timeout(self.limit, running.zygote.fork(child_ends)).await;
            let forked = forked.unwrap_or_else(|_| {
                // Should it fork later, the child finds its sockets closed and ends.
                tracing::error!(limit = ?self.limit, "the process that tasks are forked from does not answer; another one is started");
                Err(PythonError::Died)
            });
            match forked {
                Ok(pid) => return Ok((Launched { pid, exit: self.claim(&running.ends, pid) }, sockets)),
                Err(PythonError::Died) if !last => running.ends.borrow_mut().zygote_died = true,
                Err(error) => return Err(LaunchError::because(error)),
            }
        }
        Err(LaunchError::because(PythonError::Died))
    }
}

async fn listen(
    mut events: mpsc::UnboundedReceiver<ZygoteEvent>,
    ends: Rc<RefCell<Ends>>,
    reaper: Reaper,
    prepared: bool,
) {
    while let Some(event) = events.recv().await {
        match event {
            ZygoteEvent::Exited { pid, status } => {
                let mut ends = ends.borrow_mut();
                match ends.waiting.remove(&pid) {
                    // A supervision that gave up does not care.
                    Some(waiting) => drop(waiting.send(status.into())),
                    None => drop(ends.early.insert(pid, status.into())),
                }
            }
            ZygoteEvent::Died => break,
        }
    }
    let mut ends = ends.borrow_mut();
    // A prepared one ends by itself when it is not needed any more.
    if !prepared || !ends.waiting.is_empty() {
        tracing::error!(
            "the process that tasks are forked from has died; running tasks go on, a new one is started"
        );
    }
    ends.zygote_died = true;
    for (pid, waiting) in ends.waiting.drain() {
        reaper.adopt(pid, waiting);
    }
}
