//! How long the rounds of the loop took lately.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use serde::Serialize;

/// How far back is looked.
const WINDOW: Duration = Duration::from_secs(300);
/// Most rounds that are remembered; a busy loop takes more of them than anybody wants to add up.
const MOST: usize = 20_000;

/// The rounds of the last minutes.
#[derive(Debug, Default)]
pub(in crate::scheduler) struct Rounds {
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
    /// The last one.
    pub last: f64,
}

impl Rounds {
    /// Notes a round that has just ended.
    pub(in crate::scheduler) fn add(&mut self, took: Duration, now: Instant) {
        if self.ended.len() >= MOST {
            self.ended.pop_front();
        }
        self.ended.push_back((now, took));
    }

    /// Adds up those of the window.
    pub(in crate::scheduler) fn times(&mut self, now: Instant) -> RoundTimes {
        while self.ended.front().is_some_and(|(at, _)| now.saturating_duration_since(*at) > WINDOW) {
            self.ended.pop_front();
        }
        let mut all: Vec<Duration> = self.ended.iter().map(|(_, took)| *took).collect();
        let last = all.last().copied().unwrap_or_default();
        all.sort_unstable();
        let at = |hundredths: usize| {
            let index = (all.len() * hundredths).div_ceil(100).saturating_sub(1);
            all.get(index).copied().unwrap_or_default()
        };
        RoundTimes {
            window: WINDOW.as_secs(),
            count: all.len(),
            p50: millis(at(50)),
            p99: millis(at(99)),
            max: millis(at(100)),
            last: millis(last),
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
    fn half_of_the_rounds_took_no_longer_than_p50_and_old_ones_are_forgotten() {
        let start = Instant::now();
        let mut rounds = Rounds::default();
        assert_eq!(rounds.times(start).count, 0);
        rounds.add(Duration::from_secs(9), start);
        let later = start + WINDOW + Duration::from_secs(1);
        for millis in 1..=100 {
            rounds.add(Duration::from_millis(millis), later);
        }
        let times = rounds.times(later);
        assert_eq!(
            (times.count, times.p50, times.p99, times.max, times.last),
            (100, 50.0, 99.0, 100.0, 100.0)
        );
    }
}
