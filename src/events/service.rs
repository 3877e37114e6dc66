//! The notification service of one scheduler: everything that its HTTP and gRPC servers share.

use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use slipstream_core::event::{Event, Position};
use tokio::time::Instant;

use crate::config::{Config, keys};
use crate::runtime::Shutdown;
use crate::store::events::{self, Filter, retention};
use crate::store::{Db, StoreError};
use crate::supervisor::answer::execution_options;

use super::access::Access;
use super::hooks::Hooks;
use super::ingest::Ingest;
use super::limits::Limits;
use super::wake::LogWake;

/// How often old events are looked for.
const RETENTION_INTERVAL: Duration = Duration::from_secs(300);

/// What answers requests. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Service {
    /// The database.
    pub db: Db,
    /// Who appends tells who waits.
    pub wake: LogWake,
    /// The way into the log.
    pub ingest: Ingest,
    /// Who may do what.
    pub access: Access,
    /// How much may be sent at once.
    pub limits: Limits,
    /// Webhooks.
    pub hooks: Arc<Hooks>,
}

/// Events of one page, and where the next one begins.
#[derive(Debug)]
pub struct Page {
    /// Events in their order.
    pub events: Vec<Event>,
    /// Everything up to here has been looked at.
    pub next: Position,
}

impl Service {
    /// Starts the writer and what goes on in the background, until the process is asked to stop.
    ///
    /// # Errors
    /// A sentence that names the option that is wrong.
    pub fn start(config: &Config, db: &Db, wake: &LogWake, shutdown: &Shutdown) -> Result<Self, String> {
        let without_token = config.get(&keys::slipstream::EVENTS_WITHOUT_TOKEN).parse()?;
        let service = Self {
            db: db.clone(),
            wake: wake.clone(),
            ingest: Ingest::start(db.clone(), wake.clone(), execution_options(config)),
            access: Access::new(db.clone(), without_token),
            limits: Limits::of(config),
            hooks: Arc::new(config.get(&keys::slipstream::WEBHOOKS).parse()?),
        };
        let (follower, ended) = (service.clone(), shutdown.clone());
        tokio::spawn(async move { follower.wake.follow(&follower.db, &ended).await });
        let age = config.get(&keys::slipstream::EVENT_RETENTION);
        if !age.is_zero() {
            tokio::spawn(retain(db.clone(), age, shutdown.clone()));
        }
        Ok(service)
    }

    /// The next events after a position; waits for one up to `wait`.
    ///
    /// # Errors
    /// As any statement.
    pub async fn next(
        &self,
        mut after: Position,
        limit: i64,
        filter: &Filter,
        wait: Duration,
    ) -> Result<Page, StoreError> {
        let deadline = Instant::now() + wait;
        loop {
            // Asked before the events are: what is appended in between is found by the next turn.
            let head = events::head(&self.db).await?;
            let events = events::read(&self.db, after, limit, filter).await?;
            let end = filter.until.map_or(head, |until| until.min(head));
            if let Some(last) = events.last() {
                let full = i64::try_from(events.len()).is_ok_and(|length| length == limit);
                let next = if full { last.position } else { last.position.max(end) };
                return Ok(Page { events, next });
            }
            after = after.max(end);
            if filter.until.is_some_and(|until| until <= head) {
                return Ok(Page { events, next: after });
            }
            if tokio::time::timeout_at(deadline, self.wake.beyond(head)).await.is_err() {
                return Ok(Page { events, next: after });
            }
        }
    }
}

/// Removes old events again and again.
async fn retain(db: Db, age: Duration, shutdown: Shutdown) {
    let mut ticks = tokio::time::interval(RETENTION_INTERVAL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => (),
            () = shutdown.asked() => return,
        }
        match retention::run_once(&db, age, Utc::now()).await {
            Ok(0) => (),
            Ok(removed) => tracing::info!(removed, "Old events are removed from the log"),
            Err(error) => tracing::error!(%error, "Old events cannot be removed from the log"),
        }
    }
}
