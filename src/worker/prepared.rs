//! Which Dag files are kept parsed: a process that has parsed a file serves the file's next tasks.

use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::executor::{BundleInfo, ExecuteTask};

/// A second task of a file within this time makes the file worth it: more of the same run come.
const AT_ONCE: Duration = Duration::from_secs(5);
/// Three tasks of a file make it worth it, if each comes within this time after the one before. Two do not: a preparation costs
/// what five tasks and more save by it, and keeps others up meanwhile.
const SOON: Duration = Duration::from_secs(120);
/// A process that served no task for this long ends.
const IDLE: Duration = Duration::from_secs(300);
/// For how long a file that is unfit is not tried again.
const UNFIT: Duration = Duration::from_secs(600);
/// For how long, where it may be otherwise soon.
const NOT_NOW: Duration = Duration::from_secs(3);
/// A parse that served fewer tasks than this was not worth it.
const WORTH_IT: u32 = 4;
/// For so long a process is not given up for another file's.
const REST: Duration = Duration::from_secs(30);

/// A Dag file at a version of its bundle.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct DagFile {
    bundle: BundleInfo,
    path: String,
}

impl DagFile {
    /// Where a task is defined.
    pub(super) fn of(task: &ExecuteTask) -> Self {
        Self { bundle: task.bundle_info.clone(), path: task.dag_rel_path.clone() }
    }

    /// As the process that parses it is told.
    pub(super) fn to_json(&self) -> serde_json::Value {
        serde_json::json!({"bundle_info": self.bundle, "dag_rel_path": self.path})
    }
}

impl std::fmt::Display for DagFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.bundle.name, self.path)
    }
}

/// How a task is to be started.
#[derive(Debug)]
pub(super) enum Advice<P> {
    /// From this process, which has parsed its file.
    From(P),
    /// Without.
    Plain,
    /// Without, and the file is to be prepared meanwhile.
    Prepare,
    /// This tells when the file is prepared, or is not going to be.
    Wait(Rc<Notify>),
}

#[derive(Debug)]
enum State<P> {
    Seen { at: Instant, tasks: Tasks },
    Preparing { done: Rc<Notify>, plain: usize },
    Ready { process: P, number: u64, used: Instant, served: u32 },
    Unfit { until: Instant },
}

/// How many tasks of a file have been seen shortly one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tasks {
    One,
    Two,
}

/// What is known of Dag files; `P` is a process that has parsed one.
#[derive(Debug)]
pub(super) struct PreparedFiles<P> {
    most: usize,
    /// How many tasks can make use of the machine at once.
    cores: usize,
    files: HashMap<DagFile, State<P>>,
    tidy_at: usize,
    number: u64,
}

impl<P: Clone> PreparedFiles<P> {
    /// Keeps at most `most` files parsed.
    pub(super) fn new(most: usize, cores: usize) -> Self {
        Self { most, cores, files: HashMap::new(), tidy_at: 64, number: 0 }
    }

    /// A task of `file` is to be started.
    pub(super) fn advise(&mut self, file: &DagFile, now: Instant) -> Advice<P> {
        if self.most == 0 {
            return Advice::Plain;
        }
        let room = self.has_room(now);
        let next = match self.files.get_mut(file) {
            Some(State::Ready { process, used, served, .. }) => {
                *used = now;
                *served += 1;
                return Advice::From(process.clone());
            }
            Some(State::Preparing { done, plain }) => {
                // As many as the machine has cores for are not kept waiting; more would only keep those up.
                *plain += 1;
                return if *plain > self.cores { Advice::Wait(done.clone()) } else { Advice::Plain };
            }
            Some(State::Unfit { until }) if now < *until => return Advice::Plain,
            Some(State::Seen { at, tasks })
                if room && (now - *at < AT_ONCE || (*tasks == Tasks::Two && now - *at < SOON)) =>
            {
                State::Preparing { done: Rc::default(), plain: 2 }
            }
            Some(State::Seen { at, .. }) if now - *at < SOON => State::Seen { at: now, tasks: Tasks::Two },
            Some(State::Seen { .. } | State::Unfit { .. }) | None => {
                State::Seen { at: now, tasks: Tasks::One }
            }
        };
        let advice = if matches!(next, State::Seen { .. }) { Advice::Plain } else { Advice::Prepare };
        self.tidy(now);
        self.files.insert(file.clone(), next);
        advice
    }

    /// Whether one more file may be parsed: those that are at work are not driven out by others.
    fn has_room(&self, now: Instant) -> bool {
        let mut kept = self.files.values().filter(|state| match state {
            State::Preparing { .. } => true,
            State::Ready { used, .. } => now < *used + REST,
            State::Seen { .. } | State::Unfit { .. } => false,
        });
        kept.nth(self.most - 1).is_none()
    }

    /// `file` is prepared. The least recently used file beyond the limit goes. Returns what names this process.
    pub(super) fn ready(&mut self, file: &DagFile, process: P, now: Instant) -> u64 {
        self.number += 1;
        self.set(file, State::Ready { process, number: self.number, used: now, served: 0 });
        let used = |(file, state): (&DagFile, &State<P>)| match state {
            State::Ready { used, number, .. } => Some((*used, *number, file.clone())),
            _ => None,
        };
        let all: Vec<_> = self.files.iter().filter_map(used).collect();
        if all.len() > self.most
            && let Some((_, _, oldest)) = all.into_iter().min_by_key(|(used, number, _)| (*used, *number))
        {
            self.lost(&oldest, now);
        }
        self.number
    }

    /// `file` cannot be prepared, at least not now.
    pub(super) fn unfit(&mut self, file: &DagFile, again: bool, now: Instant) {
        self.set(file, State::Unfit { until: now + if again { NOT_NOW } else { UNFIT } });
    }

    /// The process that had parsed `file` is of no use any more.
    pub(super) fn lost(&mut self, file: &DagFile, now: Instant) {
        // Several tasks may find that out at the same time.
        if let Some(State::Ready { served, .. }) = self.files.get(file) {
            let next = if *served < WORTH_IT {
                State::Unfit { until: now + UNFIT }
            } else {
                State::Seen { at: now, tasks: Tasks::Two }
            };
            self.set(file, next);
        }
    }

    /// Lets the process of this number go if it served no task for long; otherwise returns when to ask again. `None`: it is gone.
    pub(super) fn rest(&mut self, file: &DagFile, number: u64, now: Instant) -> Option<Instant> {
        let Some(State::Ready { used, number: current, .. }) = self.files.get(file) else { return None };
        if *current != number {
            return None;
        }
        let end = *used + IDLE;
        if end <= now {
            self.lost(file, now);
            return None;
        }
        Some(end)
    }

    fn set(&mut self, file: &DagFile, state: State<P>) {
        if let Some(State::Preparing { done, .. }) = self.files.insert(file.clone(), state) {
            done.notify_waiters();
        }
    }

    /// Forgets what says nothing any more, now and then.
    fn tidy(&mut self, now: Instant) {
        if self.files.len() < self.tidy_at {
            return;
        }
        self.files.retain(|_, state| match state {
            State::Seen { at, .. } => now - *at < SOON,
            State::Unfit { until } => now < *until,
            State::Preparing { .. } | State::Ready { .. } => true,
        });
        self.tidy_at = self.files.len() * 2 + 64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str) -> DagFile {
        DagFile {
            bundle: BundleInfo { name: "dags-folder".to_owned(), version: None },
            path: name.to_owned(),
        }
    }

    fn prepared(names: &[&str], most: usize) -> (PreparedFiles<u32>, Instant) {
        let (mut files, start) = (PreparedFiles::new(most, 2), Instant::now());
        for (number, name) in (0..).zip(names) {
            files.advise(&file(name), start);
            assert!(matches!(files.advise(&file(name), start), Advice::Prepare));
            files.ready(&file(name), number, start + Duration::from_secs(number.into()));
        }
        (files, start)
    }

    #[test]
    fn a_second_task_at_once_or_a_third_one_soon_has_a_file_prepared() {
        let (mut files, start) = (PreparedFiles::<u32>::new(8, 2), Instant::now());
        let mut advice = |name, at| files.advise(&file(name), start + at);
        assert!(matches!(advice("a", Duration::ZERO), Advice::Plain));
        assert!(matches!(advice("a", AT_ONCE / 2), Advice::Prepare));
        assert!(matches!(advice("b", Duration::ZERO), Advice::Plain));
        assert!(matches!(advice("b", SOON), Advice::Plain), "the first one is forgotten");
        assert!(matches!(advice("b", SOON + SOON / 2), Advice::Plain), "two are not worth it");
        assert!(matches!(advice("b", SOON * 2 - AT_ONCE), Advice::Prepare));
    }

    #[test]
    fn tasks_come_from_the_process_that_has_parsed_their_file() {
        let (mut files, start) = prepared(&["a"], 8);
        assert!(matches!(files.advise(&file("a"), start), Advice::From(0)));
        assert!(matches!(files.advise(&file("b"), start), Advice::Plain));
        assert!(matches!(PreparedFiles::<u32>::new(0, 2).advise(&file("a"), start), Advice::Plain));
    }

    #[tokio::test]
    async fn tasks_beyond_the_cores_wait_for_the_preparation_however_it_ends() {
        for fit in [true, false] {
            let (mut files, start) = (PreparedFiles::<u32>::new(8, 3), Instant::now());
            files.advise(&file("a"), start);
            assert!(matches!(files.advise(&file("a"), start), Advice::Prepare));
            assert!(matches!(files.advise(&file("a"), start), Advice::Plain));
            let Advice::Wait(done) = files.advise(&file("a"), start) else { panic!("it does not wait") };
            let waiting = done.notified();
            if fit {
                files.ready(&file("a"), 1, start);
            } else {
                files.unfit(&file("a"), false, start);
            }
            waiting.await;
        }
    }

    #[test]
    fn the_least_recently_used_file_goes_first_but_not_while_it_is_at_work() {
        let (mut files, start) = prepared(&["a", "b"], 2);
        files.advise(&file("c"), start);
        assert!(matches!(files.advise(&file("c"), start), Advice::Plain), "no room");
        let later = start + REST * 2;
        for _ in 0..WORTH_IT {
            files.advise(&file("a"), later);
        }
        assert!(matches!(files.advise(&file("c"), later), Advice::Prepare));
        let number = files.ready(&file("c"), 9, later);
        assert!(matches!(files.advise(&file("a"), later), Advice::From(0)));
        assert!(matches!(files.advise(&file("b"), later), Advice::Plain));
        assert_eq!(files.rest(&file("c"), number, later), Some(later + IDLE));
        assert_eq!(files.rest(&file("c"), number - 1, later + IDLE), None, "another process");
        assert!(matches!(files.advise(&file("c"), later), Advice::From(9)));
        assert_eq!(files.rest(&file("c"), number, later + IDLE), None);
        assert!(matches!(files.advise(&file("c"), later + IDLE), Advice::Plain));
    }

    #[test]
    fn an_unfit_file_is_left_alone_for_a_while_and_so_is_one_that_changes_all_the_time() {
        let (mut files, start) = prepared(&["a", "b"], 8);
        files.lost(&file("a"), start);
        files.advise(&file("a"), start);
        assert!(matches!(files.advise(&file("a"), start), Advice::Plain));
        for _ in 0..WORTH_IT {
            files.advise(&file("b"), start);
        }
        files.lost(&file("b"), start);
        files.lost(&file("b"), start);
        assert!(matches!(files.advise(&file("b"), start), Advice::Prepare));
        files.unfit(&file("b"), false, start);
        assert!(matches!(files.advise(&file("b"), start + UNFIT / 2), Advice::Plain));
        files.advise(&file("b"), start + UNFIT);
        assert!(matches!(files.advise(&file("b"), start + UNFIT), Advice::Prepare));
    }
}
