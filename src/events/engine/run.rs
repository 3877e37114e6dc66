//! The engine's loop: when to look at what.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::time::Instant;

use super::Engine;
use super::timers::Told;
use crate::runtime::Shutdown;
use crate::store::{StoreError, triggers};

/// How often Dag files and Airflow's own changes are looked for.
const LOOK: Duration = Duration::from_secs(1);
/// How often changes of states are looked for while a trigger waits for them.
const OBSERVE: Duration = Duration::from_millis(100);
/// How often firings that wait for their lane are looked at.
const LANES: Duration = Duration::from_millis(200);
/// How soon to try again while another scheduler evaluates.
const BUSY: Duration = Duration::from_millis(50);
/// How often what is no longer needed is removed.
const MAINTAIN: Duration = Duration::from_secs(60);

/// When everything was last done.
#[derive(Debug, Default)]
pub(super) struct Clocks {
    looked: Option<Instant>,
    observed: Option<Instant>,
    lanes: Option<Instant>,
    maintained: Option<Instant>,
    waiting: Waiting,
    /// When time alone may make a trigger fire.
    pub(super) wake_at: Option<DateTime<Utc>>,
}

/// Whether firings wait for their lane.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Waiting {
    /// Not known: another scheduler may have left some.
    #[default]
    Perhaps,
    /// Some do.
    Yes,
    /// None does.
    No,
}

impl Clocks {
    pub(super) fn firings_wait(&mut self) {
        self.waiting = Waiting::Yes;
    }

    pub(super) fn lanes_looked_at(&mut self, left: Waiting) {
        self.waiting = left;
    }
}

fn due(last: &mut Option<Instant>, every: Duration) -> bool {
    let now = Instant::now();
    let due = last.is_none_or(|last| now.duration_since(last) >= every);
    if due {
        *last = Some(now);
    }
    due
}

impl Engine {
    /// Goes on until it is told to stop. An error of the database is logged, and tried again after a growing pause.
    pub async fn run(mut self, shutdown: Shutdown) {
        let mut pause = Duration::from_millis(100);
        while !shutdown.is_asked() {
            // What is cut off is rolled back, and done by the next engine.
            let worked = tokio::select! {
                worked = self.work() => worked,
                () = shutdown.asked() => break,
            };
            match worked {
                Ok(next) => {
                    pause = Duration::from_millis(100);
                    self.wait(next, &shutdown).await;
                }
                Err(error) => {
                    tracing::error!(%error, "the trigger engine failed, it goes on in {} ms", pause.as_millis());
                    tokio::select! { () = tokio::time::sleep(pause) => {}, () = shutdown.asked() => {} }
                    pause = (pause * 2).min(Duration::from_secs(10));
                }
            }
        }
        tracing::info!("The trigger engine has stopped");
    }

    /// Everything that is due now; returns when to look again at the latest.
    async fn work(&mut self) -> Result<Duration, StoreError> {
        let now = Utc::now();
        if due(&mut self.clocks.looked, LOOK) {
            match self.sync_now(now).await {
                Err(error) if !error.is_transient() => {
                    tracing::error!(%error, "the triggers of Dag files cannot be read; those that are known go on");
                }
                done => done?,
            }
            if !self.is_idle() {
                self.clocks.wake_at = triggers::progress::next_wake(&self.db).await?;
                self.adopt_new_runs(now).await?;
            }
        }
        if self.is_idle() {
            return Ok(LOOK);
        }
        if self.observes() && due(&mut self.clocks.observed, OBSERVE) {
            self.observe(now).await?;
        }
        let head = crate::store::events::head(&self.db).await?;
        self.log.appended(head);
        let mut next = if self.observes() { OBSERVE } else { LOOK };
        if head > self.position {
            self.catch_up(now).await?;
            if self.position < head {
                next = next.min(BUSY);
            }
            self.clocks.wake_at = triggers::progress::next_wake(&self.db).await?;
        }
        if self.clocks.wake_at.is_some_and(|at| at <= now) {
            match self.time_has_passed(now).await? {
                // What it appended is evaluated at once.
                Told::Done => next = Duration::ZERO,
                Told::Busy => return Ok(BUSY),
            }
        }
        if self.clocks.waiting != Waiting::No && due(&mut self.clocks.lanes, LANES) {
            self.resume_waiting(now).await?;
        }
        if self.clocks.waiting == Waiting::Yes {
            next = next.min(LANES);
        }
        if due(&mut self.clocks.maintained, MAINTAIN) {
            self.maintain(now).await?;
        }
        Ok(next.min(self.until_wake(now)))
    }

    fn until_wake(&self, now: DateTime<Utc>) -> Duration {
        let until = self.clocks.wake_at.map_or(TimeDelta::MAX, |at| at - now);
        until.to_std().unwrap_or(Duration::from_millis(1)).max(Duration::from_millis(1))
    }

    async fn wait(&self, most: Duration, shutdown: &Shutdown) {
        let news = async {
            if self.is_idle() {
                // Nobody reads the log.
                std::future::pending::<()>().await;
            }
            self.log.beyond(self.position).await;
        };
        tokio::select! {
            () = news => {}
            () = tokio::time::sleep(most) => {}
            () = shutdown.asked() => {}
        }
    }
}
