//! Large runs rest for a moment after a look at them that found nothing to do.
//!
//! A look reads all task instances of a run. Of hundreds that run side by side each tells of its end, and to look each time
//! costs more than all else about them; so the ends of a few milliseconds are looked at together. A look that led to something is
//! followed by the next one at once, so that chains within a large run lose nothing.

use std::collections::HashMap;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::agenda::RunKey;
use super::look_around::later;

/// Runs with fewer task instances do not rest: to look at them costs next to nothing.
const SMALL: usize = 100;
/// How long a run rests for each of its task instances, the first time; then twice as long each time in a row.
const PER_TI: Duration = Duration::from_micros(100);
/// How long a run rests at most.
const LONGEST: Duration = Duration::from_millis(50);

/// Which runs rest, until when.
#[derive(Debug, Default)]
pub(super) struct Resting(HashMap<RunKey, Rest>);

#[derive(Clone, Copy, Debug)]
struct Rest {
    /// `dag_run.id`.
    run: i64,
    time: Duration,
    until: DateTime<Utc>,
}

/// A rest that is so long over does not count for the next one.
const IN_A_ROW: Duration = Duration::from_millis(200);

impl Resting {
    /// A look at a run with so many task instances found nothing to do.
    pub(super) fn rest(&mut self, key: RunKey, run: i64, tis: usize, now: DateTime<Utc>) {
        if tis < SMALL {
            return;
        }
        let first = PER_TI.saturating_mul(u32::try_from(tis).unwrap_or(u32::MAX));
        // Of runs that another scheduler ends we hear no more.
        self.0.retain(|_, rest| later(rest.until, IN_A_ROW) > now);
        let time = self.0.get(&key).map_or(first, |rest| rest.time * 2).min(LONGEST);
        self.0.insert(key, Rest { run, time, until: later(now, time) });
    }

    /// A look at a run changed something, or the run has ended.
    pub(super) fn wake(&mut self, key: &RunKey) {
        self.0.remove(key);
    }

    /// The run's `dag_run.id` and until when it rests, if it does.
    pub(super) fn until(&self, key: &RunKey, now: DateTime<Utc>) -> Option<(i64, DateTime<Utc>)> {
        self.0.get(key).filter(|rest| rest.until > now).map(|rest| (rest.run, rest.until))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(run: &str) -> RunKey {
        ("d".into(), run.into())
    }

    #[test]
    fn a_large_run_rests_for_a_moment_and_a_small_one_does_not() {
        let now = Utc::now();
        let mut resting = Resting::default();
        resting.rest(key("small"), 1, 99, now);
        resting.rest(key("large"), 2, 100, now);
        resting.rest(key("huge"), 3, 1_000_000, now);
        assert_eq!(resting.until(&key("small"), now), None);
        assert_eq!(resting.until(&key("large"), now), Some((2, later(now, Duration::from_millis(10)))));
        let after = later(now, Duration::from_millis(10));
        assert_eq!(resting.until(&key("large"), after), None);
        resting.rest(key("large"), 2, 100, after);
        assert_eq!(resting.until(&key("large"), after), Some((2, later(after, Duration::from_millis(20)))));
        assert_eq!(resting.until(&key("huge"), now), Some((3, later(now, LONGEST))));
        resting.wake(&key("huge"));
        assert_eq!(resting.until(&key("huge"), now), None);
        let much_later = later(now, Duration::from_secs(1));
        resting.rest(key("large"), 2, 100, much_later);
        assert_eq!(
            resting.until(&key("large"), much_later),
            Some((2, later(much_later, Duration::from_millis(10))))
        );
    }
}
