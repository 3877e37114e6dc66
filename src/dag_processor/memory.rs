//! What is remembered of a parse, to know when the file has to be executed again.

use std::path::PathBuf;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;

use super::watch::Stamp;

/// What a child said that its result depends on: the last line on its log socket.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
pub(super) struct Report {
    /// Files that were read or imported and folders that were listed.
    pub(super) paths: Vec<PathBuf>,
    /// Whether it talked to a server or started a program.
    pub(super) outward: bool,
    /// Whether its source was read and names no clock, random number or environment.
    #[serde(default)]
    pub(super) steady: bool,
}

/// Whether the result of a parse is a function of files alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Inputs {
    /// Files alone.
    Files,
    /// Also Variables, Connections, servers, programs, or it is not known: the file is executed at every interval.
    Anything,
}

/// Whether a result holds without an execution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holds {
    /// It does.
    Yes,
    /// It does if Airflow has written it, which this process has not seen.
    IfWritten,
    /// The file has to be executed.
    No,
}

/// What the last parse of a file left behind.
#[derive(Clone, Debug)]
pub(super) struct Memory {
    /// The Dags in the file.
    pub(super) dag_ids: Vec<String>,
    /// A hash of the result.
    pub(super) hash: [u8; 16],
    /// When the result was last another one.
    pub(super) changed_at: DateTime<Utc>,
    /// When the file was executed.
    pub(super) executed_at: DateTime<Utc>,
    /// What the result depends on.
    pub(super) inputs: Inputs,
    /// When the next execution need not come soon: at which part of the longest time it does, from 0 to 1.
    pub(super) turn: Option<f64>,
}

/// Files with the stamps that they had when they were read.
pub(super) type Stamps = Arc<[(PathBuf, Option<Stamp>)]>;

impl Memory {
    /// Whether the file need not be executed at `now` although it is due, given that no file changed.
    ///
    /// A result that changed a short while ago may not be in the database yet: Airflow writes a serialised Dag at most
    /// every `min_update`. And a file that looks at the clock has another result each time. So a file is executed as often as
    /// in Airflow until a later result was the same, except that one whose source shows nothing of the kind is executed
    /// the second time only when its turn comes (many files that were found together do not come together again).
    pub(super) fn holds(&self, now: DateTime<Utc>, min_update: TimeDelta, max_age: TimeDelta) -> Holds {
        let age = now - self.executed_at;
        if self.inputs != Inputs::Files || age >= max_age {
            return Holds::No;
        }
        if self.executed_at - self.changed_at > min_update {
            return Holds::Yes;
        }
        let turn = self.turn.map(|turn| max_age.as_seconds_f64() * turn);
        if turn.is_some_and(|turn| age.as_seconds_f64() < turn) { Holds::IfWritten } else { Holds::No }
    }

    /// Whether the result is in the database, where this Dag's newest serialised form was written at `written`.
    ///
    /// One written since the execution began is this result or a later one. One written more than `min_update` before did
    /// not keep Airflow from writing, so it is the same.
    pub(super) fn is_written(&self, written: Option<DateTime<Utc>>, min_update: TimeDelta) -> bool {
        written.is_some_and(|written| written >= self.executed_at || self.executed_at - written > min_update)
    }
}

/// The turn of a file: the same in each process, and spread evenly over all files.
pub(super) fn turn(file: &impl std::hash::Hash) -> f64 {
    use std::hash::{DefaultHasher, Hasher};
    let mut hasher = DefaultHasher::new();
    file.hash(&mut hasher);
    (hasher.finish() >> 32) as f64 / f64::from(u32::MAX)
}

/// Stamps of what a result depends on. A file that was touched after the parse began is not trusted: no stamp will match.
pub(super) fn stamps(paths: &[PathBuf], started: DateTime<Utc>) -> Stamps {
    // File systems stamp with the time of the last clock tick, a little in the past.
    let began = i128::from(started.timestamp_nanos_opt().unwrap_or(i64::MAX)) - 20_000_000;
    let stamp = |path: &PathBuf| match Stamp::of(path) {
        Some(stamp) if stamp.modified() >= began => None,
        stamp => stamp,
    };
    paths.iter().map(|path| (path.clone(), stamp(path))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory(changed: &str, executed: &str) -> Memory {
        Memory {
            dag_ids: vec![],
            hash: [0; 16],
            changed_at: changed.parse().unwrap(),
            executed_at: executed.parse().unwrap(),
            inputs: Inputs::Files,
            turn: None,
        }
    }

    #[test]
    fn a_result_holds_once_it_stayed_the_same_and_until_it_is_old() {
        let (least, most) = (TimeDelta::seconds(30), TimeDelta::seconds(600));
        let at = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
        let fresh = memory("2026-01-01T00:00:00Z", "2026-01-01T00:00:30Z");
        assert_eq!(fresh.holds(at("2026-01-01T00:01:00Z"), least, most), Holds::No);
        let settled = memory("2026-01-01T00:00:00Z", "2026-01-01T00:00:31Z");
        assert_eq!(settled.holds(at("2026-01-01T00:01:01Z"), least, most), Holds::Yes);
        assert_eq!(settled.holds(at("2026-01-01T00:10:31Z"), least, most), Holds::No);
        let reader = Memory { inputs: Inputs::Anything, ..settled };
        assert_eq!(reader.holds(at("2026-01-01T00:01:01Z"), least, most), Holds::No);
    }

    #[test]
    fn a_file_that_shows_no_clock_is_executed_again_at_its_turn_if_its_result_is_in_the_database() {
        let (least, most) = (TimeDelta::seconds(30), TimeDelta::seconds(600));
        let at = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
        let steady = Memory { turn: Some(0.5), ..memory("2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z") };
        assert_eq!(steady.holds(at("2026-01-01T00:04:59Z"), least, most), Holds::IfWritten);
        assert_eq!(steady.holds(at("2026-01-01T00:05:00Z"), least, most), Holds::No);
        assert!(steady.is_written(Some(at("2026-01-01T00:00:01Z")), least), "by this execution");
        assert!(
            steady.is_written(Some(at("2025-12-31T23:59:29Z")), least),
            "nothing kept Airflow from writing"
        );
        assert!(!steady.is_written(Some(at("2025-12-31T23:59:31Z")), least), "too soon after the last time");
        assert!(!steady.is_written(None, least));
    }

    #[test]
    fn turns_are_spread_evenly() {
        let early = (0..1000).filter(|number| turn(number) < 0.5).count();
        assert!((400..600).contains(&early), "{early}");
    }

    #[test]
    fn a_file_that_was_edited_during_the_parse_is_not_trusted() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.py");
        std::fs::write(&path, "").unwrap();
        let (written, second) = (Utc::now(), TimeDelta::seconds(1));
        let unchanged = |stamps: Stamps| stamps.iter().all(|(path, stamp)| Stamp::of(path) == *stamp);
        assert!(!unchanged(stamps(std::slice::from_ref(&path), written - second)));
        assert!(unchanged(stamps(&[path], written + second)));
    }
}
