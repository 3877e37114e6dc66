//! Who appends tells who waits.

use std::sync::Arc;
use std::time::Duration;

use slipstream_core::event::Position;
use tokio::sync::{Notify, watch};

use crate::runtime::Shutdown;
use crate::store::Db;
use crate::store::events;

/// How often the database is asked for what other processes appended, while someone waits for it.
const POLL: Duration = Duration::from_millis(50);

/// The head of the log as this process knows it. Cheap to clone; all clones share one value.
///
/// A wake-up may be lost with the process that should have sent it; then [`LogWake::follow`] finds the event in the
/// database, and only time is lost.
#[derive(Clone, Debug)]
pub struct LogWake {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    head: watch::Sender<Position>,
    /// Someone began to wait.
    waiting: Notify,
}

impl Default for LogWake {
    fn default() -> Self {
        Self::new()
    }
}

impl LogWake {
    /// Knows of no event yet.
    pub fn new() -> Self {
        Self { inner: Arc::new(Inner { head: watch::Sender::new(Position(0)), waiting: Notify::new() }) }
    }

    /// Says that events up to a position are committed.
    pub fn appended(&self, position: Position) {
        self.inner.head.send_if_modified(|head| {
            let new = position > *head;
            if new {
                *head = position;
            }
            new
        });
    }

    /// The last position that this process has heard of.
    pub fn head(&self) -> Position {
        *self.inner.head.borrow()
    }

    /// Waits until there is an event after `seen`. Can be dropped at any time.
    pub async fn beyond(&self, seen: Position) {
        let mut head = self.inner.head.subscribe();
        self.inner.waiting.notify_one();
        // The sender lives as long as `self`.
        let _ = head.wait_for(|head| *head > seen).await;
    }

    /// Asks the database for what other processes appended, as long as someone waits, until it is asked to stop.
    pub async fn follow(&self, db: &Db, shutdown: &Shutdown) {
        let work = async {
            loop {
                if self.inner.head.receiver_count() == 0 {
                    self.inner.waiting.notified().await;
                }
                match events::head(db).await {
                    Ok(head) => self.appended(head),
                    Err(error) => tracing::debug!(%error, "The head of the event log cannot be read"),
                }
                tokio::time::sleep(POLL).await;
            }
        };
        tokio::select! {
            () = work => (),
            () = shutdown.asked() => (),
        }
    }
}
