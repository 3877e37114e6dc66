//! How long the rounds of the loop took lately.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

/// How far back one can look.
pub(super) const LONGEST: Duration = Duration::from_secs(300);
/// Most rounds that are remembered; a busy loop takes more of them than anybody wants to add up.
const MOST: usize = 20_000;

/// The rounds of the last minutes.
#[derive(Debug, Default)]
pub(super) struct Rounds {
    ended: VecDeque<(Instant, Duration)>,
}

/// How long they took, in milliseconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct RoundTimes {
    /// How far back these go, at most, in seconds.
    pub window: u64,
    /// How many there were.
    pub count: usize,
    /// Half of them took no longer.
    pub p50: f64,
    /// All but a hundredth of them took no longer.
    pub p99: f64,
    /// The longest one.
    pub max: f64,
    /// The last one, also if it was before the window.
    pub last: f64,
    /// When that one ended.
    pub ended_at: Option<DateTime<Utc>>,
}

impl Rounds {
    /// Notes a round that has just ended.
    pub(super) fn add(&mut self, took: Duration, now: Instant) {
        let old = |(at, _): &(Instant, _)| now.saturating_duration_since(*at) > LONGEST;
        while self.ended.len() >= MOST || self.ended.front().is_some_and(old) {
            self.ended.pop_front();
        }
        self.ended.push_back((now, took));
    }

    /// Adds up those of the window, which is at most [`LONGEST`].
    pub(super) fn times(&self, window: Duration, now: Instant, clock: DateTime<Utc>) -> RoundTimes {
        let age = |at: Instant| now.saturating_duration_since(at);
        let newest = self.ended.iter().rev().take_while(|(at, _)| age(*at) <= window);
        let mut all: Vec<Duration> = newest.map(|(_, took)| *took).collect();
        let last = self.ended.back();
        all.sort_unstable();
        let at = |hundredths: usize| {
            let index = (all.len() * hundredths).div_ceil(100).saturating_sub(1);
            all.get(index).copied().unwrap_or_default()
        };
        RoundTimes {
            window: window.as_secs(),
            count: all.len(),
            p50: millis(at(50)),
            p99: millis(at(99)),
            max: millis(at(100)),
            last: millis(last.map(|(_, took)| *took).unwrap_or_default()),
            ended_at: last.and_then(|(at, _)| clock.checked_sub_signed(TimeDelta::from_std(age(*at)).ok()?)),
        }
    }
}

/// With the microseconds that are worth reading.
fn millis(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_the_rounds_took_no_longer_than_p50_and_old_ones_are_not_counted() {
        let start = Instant::now();
        let clock = "2026-01-01T00:10:00Z".parse().unwrap();
        let mut rounds = Rounds::default();
        assert_eq!(rounds.times(LONGEST, start, clock).count, 0);
        assert_eq!(rounds.times(LONGEST, start, clock).ended_at, None);
        rounds.add(Duration::from_secs(9), start);
        let later = start + Duration::from_secs(61);
        for millis in 1..=100 {
            rounds.add(Duration::from_millis(millis), later);
        }
        let minute = Duration::from_secs(60);
        let times = rounds.times(minute, later, clock);
        assert_eq!(
            (times.window, times.count, times.p50, times.p99, times.max, times.last),
            (60, 100, 50.0, 99.0, 100.0, 100.0)
        );
        assert_eq!(times.ended_at, Some(clock));
        assert_eq!(rounds.times(LONGEST, later, clock).max, 9000.0);
        let idle = rounds.times(minute, later + Duration::from_secs(90), clock);
        assert_eq!((idle.count, idle.max, idle.last), (0, 0.0, 100.0));
        assert_eq!(idle.ended_at, Some("2026-01-01T00:08:30Z".parse().unwrap()));
    }

    #[test]
    fn rounds_of_more_than_five_minutes_ago_are_forgotten() {
        let start = Instant::now();
        let mut rounds = Rounds::default();
        rounds.add(Duration::from_secs(9), start);
        rounds.add(Duration::from_secs(1), start + LONGEST + Duration::from_secs(1));
        assert_eq!(rounds.ended.len(), 1);
    }
}
