//! The trigger engine: puts every event of the log to every trigger that it concerns, once, and writes what follows.
//!
//! It runs in the scheduler's process as a task of its own, with connections of its own, and never holds up the loop. With
//! several schedulers each runs one; the row lock of the cursor decides who evaluates. See `docs/trigger-engine.md`.

mod again;
mod ask;
#[cfg(test)]
mod asset_tests;
mod batch;
mod catalog;
mod effects;
mod index;
mod lanes;
mod maintenance;
mod memory;
mod new_run;
mod observe;
#[cfg(test)]
mod outage_tests;
mod pairing;
mod python_lane;
#[cfg(test)]
mod python_tests;
mod run;
mod savepoint;
mod sync;
#[cfg(test)]
mod sync_tests;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod timers;
mod told;

pub use again::{Before, Effect, Refired};
pub use ask::Asker;
pub use python_lane::PythonLane;
pub use sync::hash as spec_hash;

use chrono::{DateTime, Utc};
use slipstream_core::event::{Pattern, Position};
use tokio::sync::watch;

use crate::events::wake::LogWake;
use crate::runtime::EventWake;
use crate::store::create_run::RunOptions;
use crate::store::dag_bag::DagBag;
use crate::store::events as log;
use crate::store::triggers::registry;
use crate::store::{Db, StoreError};

use catalog::Catalog;
use effects::{Hints, Notice};

/// The engine of one scheduler.
#[derive(Debug)]
pub struct Engine {
    db: Db,
    bag: DagBag,
    options: RunOptions,
    catalog: Catalog,
    /// The state of the registry whose clocks are set.
    armed: Option<i64>,
    sync: sync::Sync,
    watch: observe::Watch,
    clocks: run::Clocks,
    /// Where the log stood when it was last evaluated, by whomever.
    position: Position,
    log: LogWake,
    scheduler: EventWake,
    asker: Asker,
    /// Whether any trigger asks Python.
    asks: watch::Sender<bool>,
}

impl Engine {
    /// An engine on this database. `log` tells it of new events, and it tells the scheduler of what they caused.
    pub fn new(db: Db, options: RunOptions, log: LogWake, scheduler: EventWake, asker: Asker) -> Self {
        Self {
            db,
            bag: DagBag::default(),
            options,
            catalog: Catalog::default(),
            armed: None,
            sync: sync::Sync::default(),
            watch: observe::Watch::default(),
            clocks: run::Clocks::default(),
            position: Position::default(),
            log,
            scheduler,
            asker,
            asks: watch::Sender::new(false),
        }
    }

    /// Reads triggers from Dag files, looks at what Airflow did, and evaluates all that is in the log.
    ///
    /// # Errors
    /// As any statement; what was committed stays.
    pub async fn round(&mut self, now: DateTime<Utc>) -> Result<(), StoreError> {
        self.sync_now(now).await?;
        if self.is_idle() {
            return Ok(());
        }
        self.observe(now).await?;
        self.catch_up(now).await?;
        self.time_has_passed(now).await?;
        self.catch_up(now).await?;
        self.resume_waiting(now).await
    }

    /// What evaluates the triggers that ask Python, to be run beside this engine.
    pub fn python_lane(&self) -> PythonLane {
        PythonLane::new(self.sibling(), self.asks.subscribe())
    }

    /// Another engine on the same database, which tells the same scheduler.
    #[must_use]
    pub fn sibling(&self) -> Self {
        let (db, options, asker) = (self.db.clone(), self.options.clone(), self.asker.clone());
        Self::new(db, options, self.log.clone(), self.scheduler.clone(), asker)
    }

    /// Tells all changes of these Dags' runs and tasks, and what their tasks make of assets, whether a trigger waits for
    /// them or not.
    #[must_use]
    pub fn telling(mut self, dags: Vec<Pattern>) -> Self {
        self.watch = observe::Watch::telling(dags);
        self
    }

    /// Whether there is nothing to evaluate and nothing to tell.
    fn is_idle(&self) -> bool {
        self.catalog.is_empty() && !self.watch.tells_any()
    }

    /// Whether changes of Airflow's have to be looked for.
    fn observes(&self) -> bool {
        self.catalog.observes() || self.watch.tells_any()
    }

    async fn sync_now(&mut self, now: DateTime<Utc>) -> Result<(), StoreError> {
        let (version, dags) = registry::look(&self.db).await?;
        self.catalog.refresh_to(&self.db, version).await?;
        if self.sync.is_first() && self.observes() {
            // What happened while no scheduler ran is for those who waited then, not for who is found now.
            self.observe(now).await?;
        }
        if self.sync.run_once(&self.db, &self.bag, &self.catalog, dags, now).await? == sync::Wrote::Some {
            self.catalog.refresh(&self.db).await?;
        }
        if self.armed != self.catalog.version() {
            self.rest().await?;
            self.arm_all(now).await?;
            self.armed = self.catalog.version();
            self.scheduler.triggers();
        }
        let asks = !self.catalog.asking().is_empty();
        self.asks.send_if_modified(|before| std::mem::replace(before, asks) != asks);
        Ok(())
    }

    /// Evaluates until nothing is left, or another scheduler does it.
    async fn catch_up(&mut self, now: DateTime<Utc>) -> Result<(), StoreError> {
        while self.position < log::head(&self.db).await? {
            let done = self.evaluate(now).await?;
            self.tell(done.hints);
            // None: another one has the cursor; no events: another one was faster.
            let Some(events) = done.events else { return Ok(()) };
            self.position = self.position.max(done.position);
            if events == 0 {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Tells the scheduler's loop of what was committed.
    fn tell(&mut self, hints: Hints) {
        if hints.runs == Notice::Some {
            self.scheduler.runs();
        }
        if hints.commands == Notice::Some {
            self.scheduler.commands();
        }
        if hints.waiting == Notice::Some {
            self.clocks.firings_wait();
        }
    }
}
