//! When which periodic duty is due.
//!
//! As Airflow's `utils/event_scheduler.py`: a duty first fires after one interval and is armed again when it has run, so
//! that a slow one never piles up.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

/// What the scheduler does from time to time (`_run_scheduler_loop` of `airflow/jobs/scheduler_job_runner.py`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Duty {
    /// Fail peers without a heartbeat; adopt or reset their task instances.
    Orphans,
    /// End the wait for triggers that did not fire in time.
    TriggerTimeouts,
    /// End the wait for people who did not answer in time.
    AwaitingInputTimeouts,
    /// Mark backfills whose runs have all ended.
    Backfills,
    /// Report the use of pools.
    PoolMetrics,
    /// Report task instances by state, Dag and task.
    TiMetrics,
    /// Report running runs.
    RunMetrics,
    /// Find running task instances without a heartbeat.
    HeartbeatTimeouts,
    /// Finish runs of paused Dags whose last task has ended.
    PausedDags,
    /// Find task instances that their executor never started.
    StuckInQueued,
    /// Activate and orphan assets.
    AssetOrphanage,
    /// Delete triggers that nothing waits for.
    UnreferencedTriggers,
    /// Fail connection tests that take too long.
    ConnectionTests,
}

impl Duty {
    /// Its name in the state that `slipstream debug dump` shows.
    pub fn name(self) -> &'static str {
        match self {
            Self::Orphans => "duty: orphans",
            Self::TriggerTimeouts => "duty: trigger timeouts",
            Self::AwaitingInputTimeouts => "duty: timeouts of people's answers",
            Self::Backfills => "duty: backfills",
            Self::PoolMetrics => "duty: metrics of pools",
            Self::TiMetrics => "duty: metrics of task instances",
            Self::RunMetrics => "duty: metrics of runs",
            Self::HeartbeatTimeouts => "duty: heartbeat timeouts",
            Self::PausedDags => "duty: runs of paused Dags",
            Self::StuckInQueued => "duty: stuck in queued",
            Self::AssetOrphanage => "duty: assets that nothing refers to",
            Self::UnreferencedTriggers => "duty: triggers that nothing waits for",
            Self::ConnectionTests => "duty: connection tests",
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Armed {
    duty: Duty,
    every: TimeDelta,
    next: DateTime<Utc>,
}

/// All duties with their next time.
#[derive(Clone, Debug)]
pub struct Timers {
    armed: Vec<Armed>,
}

impl Timers {
    /// Arms each duty; none is due before one interval has passed.
    pub fn new(duties: impl IntoIterator<Item = (Duty, Duration)>, now: DateTime<Utc>) -> Self {
        let arm = |(duty, every): (Duty, Duration)| {
            let every = TimeDelta::from_std(every).unwrap_or(TimeDelta::MAX);
            Armed { duty, every, next: later(now, every) }
        };
        Self { armed: duties.into_iter().map(arm).collect() }
    }

    /// The duty that is due the longest, if any.
    pub fn due(&self, now: DateTime<Utc>) -> Option<Duty> {
        self.armed
            .iter()
            .filter(|armed| armed.next <= now)
            .min_by_key(|armed| armed.next)
            .map(|armed| armed.duty)
    }

    /// Arms a duty again after it has run.
    pub fn done(&mut self, duty: Duty, now: DateTime<Utc>) {
        for armed in self.armed.iter_mut().filter(|armed| armed.duty == duty) {
            armed.next = later(now, armed.every);
        }
    }

    /// Makes a duty due at `at`, if it is not due earlier.
    pub fn hasten(&mut self, duty: Duty, at: DateTime<Utc>) {
        for armed in self.armed.iter_mut().filter(|armed| armed.duty == duty) {
            armed.next = armed.next.min(at);
        }
    }

    /// The clock was set back to `now`: no duty waits for longer than its interval.
    pub fn set_back(&mut self, now: DateTime<Utc>) {
        for armed in &mut self.armed {
            armed.next = armed.next.min(later(now, armed.every));
        }
    }

    /// When each duty is due.
    pub fn moments(&self) -> impl Iterator<Item = (Duty, DateTime<Utc>)> {
        self.armed.iter().map(|armed| (armed.duty, armed.next))
    }

    /// When the next duty is due.
    pub fn next(&self) -> Option<DateTime<Utc>> {
        self.armed.iter().map(|armed| armed.next).min()
    }
}

fn later(now: DateTime<Utc>, by: TimeDelta) -> DateTime<Utc> {
    now.checked_add_signed(by).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: u32) -> DateTime<Utc> {
        format!("2026-01-01T00:{:02}:{:02}Z", second / 60, second % 60).parse().unwrap()
    }

    #[test]
    fn a_duty_first_fires_after_one_interval_and_again_one_interval_after_it_ran() {
        let mut timers = Timers::new([(Duty::Backfills, Duration::from_secs(30))], at(0));
        assert_eq!(timers.due(at(29)), None);
        assert_eq!(timers.due(at(30)), Some(Duty::Backfills));
        timers.done(Duty::Backfills, at(45));
        assert_eq!(timers.due(at(74)), None);
        assert_eq!(timers.next(), Some(at(75)));
    }

    #[test]
    fn a_clock_that_is_set_back_lets_no_duty_wait_longer_than_its_interval() {
        let every = [(Duty::Backfills, Duration::from_secs(30)), (Duty::Orphans, Duration::from_secs(10))];
        let mut timers = Timers::new(every, at(600));
        timers.set_back(at(0));
        assert_eq!(timers.due(at(9)), None);
        assert_eq!(timers.due(at(10)), Some(Duty::Orphans));
        timers.done(Duty::Orphans, at(11));
        assert_eq!(timers.due(at(30)), Some(Duty::Orphans));
        timers.done(Duty::Orphans, at(30));
        assert_eq!(timers.due(at(30)), Some(Duty::Backfills));
    }

    #[test]
    fn the_duty_that_waits_longest_comes_first() {
        let every = [(Duty::Backfills, Duration::from_secs(30)), (Duty::Orphans, Duration::from_secs(10))];
        assert_eq!(Timers::new(every, at(0)).due(at(60)), Some(Duty::Orphans));
    }
}
