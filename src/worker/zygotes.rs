//! Task processes from a zygote, and a new zygote when one has died.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use tokio::sync::{Mutex, mpsc, oneshot};

use super::exit::Exit;
use super::process::{LaunchError, Launched, Launcher, Sockets};
use super::reaper::Reaper;
use crate::python::{ChildFds, Interpreter, PythonError, Zygote, ZygoteEvent, ZygoteKind};

/// Starts processes through a zygote. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Zygotes {
    interpreter: Interpreter,
    kind: ZygoteKind,
    current: Rc<Mutex<Option<Running>>>,
    reaper: Reaper,
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
    pub(super) fn new(interpreter: Interpreter, kind: ZygoteKind, reaper: Reaper) -> Self {
        Self { interpreter, kind, current: Rc::default(), reaper }
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
        let running = Running { zygote: Rc::new(zygote), ends: Rc::default() };
        tokio::task::spawn_local(listen(events, running.ends.clone(), self.reaper.clone()));
        *current = Some(running.clone());
        Ok(running)
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
    async fn launch(&self) -> Result<(Launched, Sockets), LaunchError> {
        // Once more with a new zygote if the first one turns out to be dead.
        for last in [false, true] {
            let running = self.running().await.map_err(LaunchError::because)?;
            let (sockets, child_ends): (Sockets, ChildFds) = Sockets::open().map_err(LaunchError::because)?;
            match running.zygote.fork(child_ends).await {
                Ok(pid) => return Ok((Launched { pid, exit: self.claim(&running.ends, pid) }, sockets)),
                Err(PythonError::Died) if !last => running.ends.borrow_mut().zygote_died = true,
                Err(error) => return Err(LaunchError::because(error)),
            }
        }
        Err(LaunchError::because(PythonError::Died))
    }
}

async fn listen(mut events: mpsc::UnboundedReceiver<ZygoteEvent>, ends: Rc<RefCell<Ends>>, reaper: Reaper) {
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
    tracing::error!(
        "the process that tasks are forked from has died; running tasks go on, a new one is started"
    );
    let mut ends = ends.borrow_mut();
    ends.zygote_died = true;
    for (pid, waiting) in ends.waiting.drain() {
        reaper.adopt(pid, waiting);
    }
}
