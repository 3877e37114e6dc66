//! The parse zygote and its children: starts a new zygote when one is gone, brings each child's end to who waits for it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Mutex as AsyncMutex, mpsc, oneshot};

use crate::python::{ChildFds, ChildStatus, Origin, PythonError, Zygote, ZygoteEvent, ZygoteKind};

/// Ends that nobody waits for yet, and those who wait.
#[derive(Debug, Default)]
struct Ends {
    early: HashMap<i32, ChildStatus>,
    waiting: HashMap<i32, oneshot::Sender<ChildStatus>>,
    zygote_is_gone: bool,
}

type SharedEnds = Arc<Mutex<Ends>>;

/// The parse zygote, started when it is needed.
#[derive(Debug)]
pub(super) struct Children {
    origin: Origin,
    zygote: AsyncMutex<Option<(Zygote, SharedEnds)>>,
}

/// A forked child.
#[derive(Debug)]
pub(super) struct Child {
    /// Its process and its process group.
    pub(super) pid: i32,
    /// Its end; an error when the zygote was gone before it.
    pub(super) ended: oneshot::Receiver<ChildStatus>,
}

impl Children {
    /// Starts the zygote.
    pub(super) async fn start(origin: &Origin) -> Result<Self, PythonError> {
        let zygote = start(origin).await?;
        Ok(Self { origin: origin.clone(), zygote: AsyncMutex::new(Some(zygote)) })
    }

    /// Forks a child, from a new zygote if the last one is gone.
    pub(super) async fn fork(&self, fds: ChildFds) -> Result<Child, PythonError> {
        let mut place = self.zygote.lock().await;
        if place.as_ref().is_some_and(|(_, ends)| lock(ends).zygote_is_gone) {
            tracing::warn!("the parse zygote is gone; another one is started");
            *place = None;
        }
        let (zygote, ends) = match place.as_ref() {
            Some(running) => running,
            None => place.insert(start(&self.origin).await?),
        };
        let pid = zygote.fork(fds).await?;
        let (sender, ended) = oneshot::channel();
        let mut ends = lock(ends);
        match ends.early.remove(&pid) {
            Some(status) => drop(sender.send(status)),
            // Dropping the sender says that the end will never be known.
            None if ends.zygote_is_gone => {}
            None => drop(ends.waiting.insert(pid, sender)),
        }
        Ok(Child { pid, ended })
    }
}

async fn start(origin: &Origin) -> Result<(Zygote, SharedEnds), PythonError> {
    let (zygote, events) = Zygote::start(origin, ZygoteKind::Parse).await?;
    let ends = SharedEnds::default();
    tokio::spawn(hand_out(events, ends.clone()));
    Ok((zygote, ends))
}

async fn hand_out(mut events: mpsc::UnboundedReceiver<ZygoteEvent>, ends: SharedEnds) {
    while let Some(ZygoteEvent::Exited { pid, status }) = events.recv().await {
        let mut ends = lock(&ends);
        match ends.waiting.remove(&pid) {
            Some(waiting) => drop(waiting.send(status)),
            None => drop(ends.early.insert(pid, status)),
        }
    }
    let mut ends = lock(&ends);
    ends.zygote_is_gone = true;
    ends.waiting.clear();
}

fn lock(ends: &SharedEnds) -> std::sync::MutexGuard<'_, Ends> {
    ends.lock().unwrap_or_else(PoisonError::into_inner)
}
