//! What is parsed next.

use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::PathBuf;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

use super::files::{FileKey, FileState};
use super::options::SortMode;
use super::watch::Stamp;

/// One entry of the queue: a file, at a version of its bundle only when callbacks ask for one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Item {
    /// The file.
    pub(super) file: FileKey,
    /// The bundle's version.
    pub(super) version: Option<String>,
}

impl From<FileKey> for Item {
    fn from(file: FileKey) -> Self {
        Self { file, version: None }
    }
}

/// The queue, with the callbacks that wait for their file.
#[derive(Debug, Default)]
pub(super) struct Queue {
    order: VecDeque<Item>,
    present: HashSet<Item>,
    callbacks: HashMap<Item, Callbacks>,
}

/// The callbacks that wait for one file.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Callbacks {
    /// Where the file's bundle is, at the version that they ask for.
    pub(super) bundle_path: PathBuf,
    /// `CallbackRequest`s.
    pub(super) requests: Vec<Value>,
}

impl Queue {
    /// Adds to the end what is not there yet.
    pub(super) fn push_back(&mut self, item: Item) {
        if self.present.insert(item.clone()) {
            self.order.push_back(item);
        }
    }

    /// Adds to the front what is not there yet.
    pub(super) fn push_front(&mut self, item: Item) {
        if self.present.insert(item.clone()) {
            self.order.push_front(item);
        }
    }

    /// Moves to the front, or adds there.
    pub(super) fn hurry(&mut self, item: Item) {
        self.order.retain(|other| *other != item);
        self.present.insert(item.clone());
        self.order.push_front(item);
    }

    /// Adds a callback and its file at the front.
    pub(super) fn add_callback(&mut self, item: Item, bundle_path: PathBuf, request: Value) {
        let none = || Callbacks { bundle_path, requests: Vec::new() };
        self.callbacks.entry(item.clone()).or_insert_with(none).requests.push(request);
        self.push_front(item);
    }

    /// Takes the next one for which `free` holds, with its callbacks.
    pub(super) fn pop(&mut self, free: impl Fn(&Item) -> bool) -> Option<(Item, Option<Callbacks>)> {
        let at = self.order.iter().position(free)?;
        let item = self.order.remove(at)?;
        self.present.remove(&item);
        let callbacks = self.callbacks.remove(&item);
        Some((item, callbacks))
    }

    /// Forgets a file that is gone.
    pub(super) fn forget(&mut self, file: &FileKey) {
        self.order.retain(|item| item.file != *file);
        self.present.retain(|item| item.file != *file);
        self.callbacks.retain(|item, _| item.file != *file);
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// How much waits.
    pub(super) fn len(&self) -> usize {
        self.order.len()
    }
}

/// Whether a file was parsed less than `interval` ago; one that was parsed later than now, before the clock was set back, was not.
pub(super) fn is_recent(state: &FileState, now: DateTime<Utc>, interval: TimeDelta) -> bool {
    state.last_finish.is_some_and(|finish| finish <= now && now - finish < interval)
}

/// Brings files into the order of `[dag_processor] file_parsing_sort_mode`.
pub(super) fn sort(files: &mut [(FileKey, &FileState)], mode: SortMode, host: &str) {
    match mode {
        SortMode::Alphabetical => files.sort_by(|a, b| a.0.path.cmp(&b.0.path)),
        SortMode::ModifiedTime => files.sort_by_cached_key(|(_, state)| {
            std::cmp::Reverse(Stamp::of(&state.location).map(|stamp| stamp.modified()))
        }),
        SortMode::RandomSeededByHost => files.sort_by_cached_key(|(file, _)| {
            let mut hasher = DefaultHasher::new();
            (host, file).hash(&mut hasher);
            hasher.finish()
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_was_parsed_before_the_clock_was_set_back_is_parsed_again() {
        let (now, minute) = (chrono::Utc::now(), TimeDelta::minutes(1));
        let parsed = |at| FileState { last_finish: Some(at), ..FileState::default() };
        assert!(is_recent(&parsed(now - TimeDelta::seconds(59)), now, minute));
        assert!(!is_recent(&parsed(now - minute), now, minute));
        assert!(!is_recent(&parsed(now + TimeDelta::hours(1)), now, minute));
    }

    fn item(path: &str) -> Item {
        FileKey { bundle: "b".to_owned(), path: path.to_owned() }.into()
    }

    #[test]
    fn callbacks_and_requests_come_first_and_nothing_twice() {
        let mut queue = Queue::default();
        for path in ["1", "2", "1", "3"] {
            queue.push_back(item(path));
        }
        queue.hurry(item("3"));
        queue.add_callback(item("4"), PathBuf::new(), Value::Bool(true));
        queue.add_callback(item("4"), PathBuf::new(), Value::Bool(false));
        let (first, callbacks) = queue.pop(|_| true).unwrap();
        assert_eq!((first, callbacks.unwrap().requests.len()), (item("4"), 2));
        assert_eq!(queue.pop(|_| true).unwrap().0, item("3"));
        assert_eq!(queue.pop(|next| *next != item("1")).unwrap().0, item("2"));
        assert_eq!(queue.pop(|_| true).unwrap().0, item("1"));
        assert!(queue.is_empty());
    }
}
