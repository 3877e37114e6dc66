//! When the database is asked what others changed (the UI, the triggerer, another scheduler), and what is made of it.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::resting::Resting;
use super::tick::Scheduler;
use crate::store::StoreError;
use crate::store::watch;

/// When each look at the database was last taken.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clocks {
    /// The time of the last round.
    round: DateTime<Utc>,
    poll: DateTime<Utc>,
    glance: DateTime<Utc>,
    /// Until then, new runs are looked for more often than at rest.
    lively_until: DateTime<Utc>,
    /// The newest dag run, as the last glance saw it.
    newest_run: Option<i64>,
    /// Task instances that were turned away are not looked at again before this, unless something ended here.
    pub(super) enqueue: DateTime<Utc>,
    /// Whether a run was running at the last poll.
    running_runs: bool,
    deep_poll: DateTime<Utc>,
    reexamine: DateTime<Utc>,
    pub(super) heartbeat: DateTime<Utc>,
    /// When the teams were read.
    pub(super) teams: Option<DateTime<Utc>>,
    /// The next time-based run, as the last poll saw it.
    pub(super) next_due: Option<DateTime<Utc>>,
}

impl Clocks {
    /// Everything is looked at in the first round.
    pub(super) fn new(now: DateTime<Utc>) -> Self {
        let past = DateTime::<Utc>::MIN_UTC;
        Self {
            round: now,
            poll: past,
            glance: past,
            lively_until: past,
            newest_run: None,
            enqueue: past,
            running_runs: false,
            deep_poll: past,
            reexamine: now,
            heartbeat: now,
            teams: None,
            next_due: None,
        }
    }

    /// The executor said something: tasks come and go.
    pub(super) fn heard_of_tasks(&mut self, now: DateTime<Utc>) {
        self.lively_until = later(now, LIVELY);
    }
}

impl Scheduler {
    /// How long the loop may sleep.
    pub(super) fn wake_at(&self, now: DateTime<Utc>) -> Duration {
        let poll = later(self.clocks.poll, self.options.poll);
        let due = [
            (now < self.clocks.lively_until).then(|| later(self.clocks.glance, GLANCE)),
            self.agenda.next(),
            self.clocks.next_due.filter(|_| self.options.create_runs),
            self.timers.next(),
        ];
        let first = due.into_iter().flatten().fold(poll, DateTime::min);
        // Since the poll the clock may have been set back.
        let longest = self.options.poll.max(Duration::from_millis(1));
        (first - now).to_std().unwrap_or_default().clamp(Duration::from_millis(1), longest)
    }

    /// Notices that the clock was set back. What is done by the clock would else rest until it is again as late as it was:
    /// heartbeats, polls and duties, for an hour after a correction by an hour.
    pub(super) fn mind_the_clock(&mut self, now: DateTime<Utc>) {
        let back = self.clocks.round - now;
        self.clocks.round = now;
        if back <= SLIGHT {
            return;
        }
        tracing::warn!("the clock was set back by {:.1} s", back.as_seconds_f64());
        self.clocks = Clocks { heartbeat: DateTime::<Utc>::MIN_UTC, ..Clocks::new(now) };
        self.clocks.heard_of_tasks(now);
        self.timers.set_back(now);
        self.resting = Resting::default();
        self.look_at_all_soon();
    }

    /// When the database is looked at next, and for what.
    pub(super) fn looks_at_the_database(&self, now: DateTime<Utc>) -> Vec<(&'static str, DateTime<Utc>)> {
        let clocks = &self.clocks;
        let lively = now < clocks.lively_until;
        let mut looks = vec![
            ("heartbeat of the job", later(clocks.heartbeat, self.options.heartbeat)),
            ("poll for what waits", later(clocks.poll, self.options.poll)),
            ("look for running runs that others changed", later(clocks.deep_poll, self.options.deep_poll)),
            ("examine every running run", later(clocks.reexamine, self.options.reexamine)),
        ];
        looks.extend(lively.then(|| ("glance at new runs", later(clocks.glance, GLANCE))));
        looks.extend(clocks.next_due.map(|due| ("next run of a timetable", due)));
        // Before the first round all of it is due since ever.
        looks.iter_mut().for_each(|(_, at)| *at = (*at).max(now - TimeDelta::days(1)));
        looks
    }

    /// Asks the database again in the next round.
    pub(super) fn poll_soon(&mut self) {
        self.clocks.poll = DateTime::<Utc>::MIN_UTC;
    }

    /// Looks at every running run in the next round.
    pub(super) fn look_at_all_soon(&mut self) {
        self.clocks.poll = DateTime::<Utc>::MIN_UTC;
        self.clocks.deep_poll = DateTime::<Utc>::MIN_UTC;
        self.seen.forget_all();
    }

    /// Asks the database, when it is time, what others changed.
    pub(super) async fn look_around(&mut self, now: DateTime<Utc>) -> Result<(), StoreError> {
        if now < self.clocks.lively_until && now >= later(self.clocks.glance, GLANCE) {
            self.clocks.glance = now;
            let newest = watch::newest_run(&self.db).await?;
            if newest != self.clocks.newest_run {
                self.clocks.newest_run = newest;
                self.poll_soon();
            }
        }
        if now >= later(self.clocks.poll, self.options.poll) || self.is_due(now) {
            // Before the query, so that one that fails does not come again at once.
            self.clocks.poll = now;
            self.clocks.next_due = None;
            self.ended.append(&mut self.put_off);
            let pending = watch::pending(&self.db, now).await?;
            self.clocks.next_due = pending.next_due;
            self.clocks.running_runs = pending.running_runs;
            self.agenda.start_runs |= pending.queued_runs;
            self.agenda.enqueue |= pending.scheduled_tis && now >= self.clocks.enqueue;
            self.agenda.callbacks |= pending.executor_callbacks;
            self.agenda.deadlines |= pending.deadlines;
            self.agenda.connection_tests |= pending.connection_tests;
            self.agenda.create_runs |= pending.asset_events || self.is_due(now);
        }
        if now >= later(self.clocks.deep_poll, self.options.deep_poll) {
            // What the last poll saw is fresh enough where polls come more often.
            if self.clocks.running_runs || self.options.poll > self.options.deep_poll {
                self.look_at_running_runs().await?;
            } else {
                self.seen.forget_all();
            }
            self.clocks.deep_poll = now;
        }
        if now >= later(self.clocks.reexamine, self.options.reexamine) {
            self.seen.forget_all();
            self.clocks.reexamine = now;
            self.agenda.commands |= self.events.is_some();
            self.agenda.triggers |= self.events.is_some();
        }
        Ok(())
    }

    fn is_due(&self, now: DateTime<Utc>) -> bool {
        self.options.create_runs && self.clocks.next_due.is_some_and(|due| due <= now)
    }

    /// Finds running runs that others wrote to, or whose Dag has got a new version.
    async fn look_at_running_runs(&mut self) -> Result<(), StoreError> {
        let running = watch::running_runs(&self.db).await?;
        // Those of another scheduler, and what people did, are seen here only.
        let mut gone_on = self.looking_back.running(&running);
        let changed: BTreeSet<i64> = self.seen.changed(&running).into_iter().collect();
        gone_on.extend(running.iter().filter(|run| changed.contains(&run.run)).map(|run| run.dag_id.clone()));
        changed.iter().for_each(|run| self.agenda.look_at(*run));
        gone_on.iter().for_each(|dag_id| self.look_back(dag_id, None));
        Ok(())
    }
}

/// How often a new run is looked for while tasks come and go.
const GLANCE: Duration = Duration::from_millis(50);

/// For how long after the last word of the executor that is done.
const LIVELY: Duration = Duration::from_secs(30);

/// By how much the clock may be set back without anybody's notice: nothing rests much longer for it.
const SLIGHT: TimeDelta = TimeDelta::milliseconds(200);

/// A moment later by so much.
pub(super) fn later(time: DateTime<Utc>, by: Duration) -> DateTime<Utc> {
    let by = TimeDelta::from_std(by).unwrap_or(TimeDelta::MAX);
    time.checked_add_signed(by).unwrap_or(DateTime::<Utc>::MAX_UTC)
}
