//! One writer for everything that is sent to this process: what arrives while a transaction commits goes into the next one,
//! so that thousands of small requests a second need only some dozens of commits.

use std::sync::Arc;

use chrono::Utc;
use tokio::sync::{mpsc, oneshot};

use crate::store::events::assets::{Unknown, append_and_update};
use crate::store::events::{Appended, NewEvent};
use crate::store::{Db, StoreError, execution, retry};

use super::wake::LogWake;

/// Requests that wait; further senders wait for a place.
const QUEUE: usize = 1024;
/// Events of one transaction, unless a single request has more.
const GROUP: usize = 2000;

/// Why events were not stored. None of the request's are.
#[derive(Debug, Clone, thiserror::Error)]
pub enum IngestError {
    /// The database did not take them.
    #[error("the events were not stored: {0}")]
    Store(Arc<StoreError>),
    /// The process is about to end.
    #[error("the events were not stored: the scheduler is stopping")]
    Stopping,
}

/// Sends events to the writer. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Ingest {
    jobs: mpsc::Sender<Job>,
}

#[derive(Debug)]
struct Job {
    events: Vec<NewEvent>,
    reply: oneshot::Sender<Result<Vec<Appended>, IngestError>>,
}

impl Ingest {
    /// Starts the writer; it ends when the last clone is dropped.
    pub fn start(db: Db, wake: LogWake, options: execution::Options) -> Self {
        let (jobs, queue) = mpsc::channel(QUEUE);
        let writer = Writer { db, wake, options };
        tokio::spawn(async move { writer.run(queue).await });
        Self { jobs }
    }

    /// Stores the events of one request, all or none; returns where each one is, once they are committed.
    ///
    /// # Errors
    /// [`IngestError`]. When the caller gives up waiting, the events may or may not be stored; sending them again with the
    /// same ids is safe.
    pub async fn send(&self, events: Vec<NewEvent>) -> Result<Vec<Appended>, IngestError> {
        let (reply, answer) = oneshot::channel();
        self.jobs.send(Job { events, reply }).await.map_err(|_| IngestError::Stopping)?;
        answer.await.map_err(|_| IngestError::Stopping)?
    }
}

/// The one that writes.
struct Writer {
    db: Db,
    wake: LogWake,
    options: execution::Options,
}

impl Writer {
    async fn run(&self, mut queue: mpsc::Receiver<Job>) {
        while let Some(job) = queue.recv().await {
            let mut size = job.events.len();
            let mut group = vec![job];
            while size < GROUP
                && let Ok(job) = queue.try_recv()
            {
                size += job.events.len();
                group.push(job);
            }
            self.commit(group).await;
        }
    }

    /// Commits a group of requests; one that is refused does not take the others with it.
    async fn commit(&self, mut group: Vec<Job>) {
        let sizes: Vec<_> = group.iter().map(|job| job.events.len()).collect();
        let events: Vec<_> = group.iter_mut().flat_map(|job| std::mem::take(&mut job.events)).collect();
        match self.append(&events).await {
            Ok(mut done) => {
                for (job, size) in group.into_iter().zip(sizes) {
                    let rest = done.split_off(size);
                    // The sender may have gone.
                    let _ = job.reply.send(Ok(std::mem::replace(&mut done, rest)));
                }
            }
            Err(error) if group.len() == 1 || error.is_transient() => {
                let error = Arc::new(error);
                for job in group {
                    let _ = job.reply.send(Err(IngestError::Store(Arc::clone(&error))));
                }
            }
            Err(_) => {
                let mut rest = &events[..];
                for (job, size) in group.into_iter().zip(sizes) {
                    let (own, others) = rest.split_at(size);
                    rest = others;
                    let done = self.append(own).await;
                    let _ = job.reply.send(done.map_err(|error| IngestError::Store(Arc::new(error))));
                }
            }
        }
    }

    async fn append(&self, all: &[NewEvent]) -> Result<Vec<Appended>, StoreError> {
        let done = retry("append events", || async {
            let tx = self.db.begin().await?;
            let done = append_and_update(&tx, all, Unknown::Refused, Utc::now(), &self.options).await?;
            tx.commit().await?;
            Ok(done)
        })
        .await?;
        if let Some(last) = done.iter().map(|one| one.position).max() {
            self.wake.appended(last);
        }
        Ok(done)
    }
}
