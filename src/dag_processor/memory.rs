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
}

/// Whether the result of a parse is a function of files alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Inputs {
    /// Files alone.
    Files,
    /// Also Variables, Connections, servers, programs, or it is not known: the file is executed at every interval.
    Anything,
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
}

/// Files with the stamps that they had when they were read.
pub(super) type Stamps = Arc<[(PathBuf, Option<Stamp>)]>;

impl Memory {
    /// Whether the file need not be executed at `now` although it is due, given that no file changed.
    ///
    /// A result that changed a short while ago may not be in the database yet: Airflow writes a serialised Dag at most
    /// every `min_update`. So the file is executed as often as in Airflow until a later result was the same.
    pub(super) fn holds(&self, now: DateTime<Utc>, min_update: TimeDelta, max_age: TimeDelta) -> bool {
        self.inputs == Inputs::Files
            && self.executed_at - self.changed_at > min_update
            && now - self.executed_at < max_age
    }
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
        }
    }

    #[test]
    fn a_result_holds_once_it_stayed_the_same_and_until_it_is_old() {
        let (least, most) = (TimeDelta::seconds(30), TimeDelta::seconds(600));
        let at = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
        let fresh = memory("2026-01-01T00:00:00Z", "2026-01-01T00:00:30Z");
        assert!(!fresh.holds(at("2026-01-01T00:01:00Z"), least, most));
        let settled = memory("2026-01-01T00:00:00Z", "2026-01-01T00:00:31Z");
        assert!(settled.holds(at("2026-01-01T00:01:01Z"), least, most));
        assert!(!settled.holds(at("2026-01-01T00:10:31Z"), least, most));
        let reader = Memory { inputs: Inputs::Anything, ..settled };
        assert!(!reader.holds(at("2026-01-01T00:01:01Z"), least, most));
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
