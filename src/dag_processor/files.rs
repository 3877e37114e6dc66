//! The Dag files that are known, and what became of each.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use chrono::{DateTime, Utc};

use super::memory::{Memory, Stamps};
use super::watch::Stamp;

/// A Dag file: its bundle, and its path within it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct FileKey {
    /// The bundle's name.
    pub(super) bundle: String,
    /// The path relative to the bundle.
    pub(super) path: String,
}

impl fmt::Display for FileKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.bundle, self.path)
    }
}

/// What became of a file (`DagFileStat`).
#[derive(Clone, Debug, Default)]
pub(super) struct FileState {
    /// Where it is.
    pub(super) location: PathBuf,
    /// When it was last parsed, or found to be as it was.
    pub(super) last_finish: Option<DateTime<Utc>>,
    /// How often.
    pub(super) run_count: u32,
    /// How many Dags are in it.
    pub(super) dags: usize,
    /// How many import errors it has; a parse that did not end well counts as one.
    pub(super) import_errors: usize,
    /// How long the last parse took, in seconds.
    pub(super) last_duration: Option<f64>,
    /// What is needed to not execute it again.
    pub(super) memory: Option<Memory>,
    /// Its own stamp when it was last executed, then those of the files that its result depends on.
    pub(super) watched: Option<(Option<Stamp>, Stamps)>,
}

/// All known files.
#[derive(Debug, Default)]
pub(super) struct Files {
    states: BTreeMap<FileKey, FileState>,
}

impl Files {
    /// Replaces what is known of a bundle; returns the files that are new and those that are gone.
    pub(super) fn replace(
        &mut self,
        bundle: &str,
        root: &std::path::Path,
        paths: &[String],
    ) -> (Vec<FileKey>, Vec<FileKey>) {
        let present: std::collections::BTreeSet<FileKey> =
            paths.iter().map(|path| FileKey { bundle: bundle.to_owned(), path: path.clone() }).collect();
        let gone: Vec<FileKey> = self
            .states
            .keys()
            .filter(|file| file.bundle == bundle && !present.contains(*file))
            .cloned()
            .collect();
        for file in &gone {
            self.states.remove(file);
        }
        let mut new = Vec::new();
        for file in present {
            let location = root.join(&file.path);
            let state = self.states.entry(file.clone()).or_insert_with(|| {
                new.push(file);
                FileState::default()
            });
            state.location = location;
        }
        (new, gone)
    }

    /// One file.
    pub(super) fn get(&self, file: &FileKey) -> Option<&FileState> {
        self.states.get(file)
    }

    /// One file, to change what is known of it.
    pub(super) fn get_mut(&mut self, file: &FileKey) -> Option<&mut FileState> {
        self.states.get_mut(file)
    }

    /// All files, by bundle and path.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&FileKey, &FileState)> {
        self.states.iter()
    }
}
