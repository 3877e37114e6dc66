//! Runs that have just been started, which a pause of their Dag no longer holds back from their first tasks.
//!
//! A run is started in one transaction, its first tasks are scheduled in the next and queued in a third. A user who pauses the
//! Dag in these milliseconds would find a run that runs with nothing under way, and it would stay so until the Dag goes on. For
//! such a run the pause counts from after its first tasks, as if it had come a moment later.

use std::collections::BTreeSet;

/// Each run is in here for one examination and one queueing of task instances.
#[derive(Debug, Default)]
pub(super) struct Launched {
    /// Started, and not examined yet (`dag_run.id`).
    started: BTreeSet<i64>,
    /// Examined: its first tasks may be ready.
    examined: BTreeSet<i64>,
}

impl Launched {
    /// A run was started.
    pub(super) fn start(&mut self, run: i64) {
        self.started.insert(run);
    }

    /// Those of these runs that may be examined though their Dag is paused.
    pub(super) fn among(&self, runs: &BTreeSet<i64>) -> BTreeSet<i64> {
        self.started.intersection(runs).copied().collect()
    }

    /// A run was examined.
    pub(super) fn examined(&mut self, run: i64) {
        if self.started.remove(&run) {
            self.examined.insert(run);
        }
    }

    /// Forgets runs that are not to be examined any more.
    pub(super) fn keep(&mut self, wanted: impl Fn(i64) -> bool) {
        self.started.retain(|run| wanted(*run));
    }

    /// Takes the runs whose task instances may be queued though their Dag is paused.
    pub(super) fn take_examined(&mut self) -> BTreeSet<i64> {
        std::mem::take(&mut self.examined)
    }

    /// Another scheduler was in the critical section: they are queued in the next round.
    pub(super) fn put_back(&mut self, runs: BTreeSet<i64>) {
        self.examined.extend(runs);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_here_for_one_examination_and_one_queueing() {
        let mut launched = Launched::default();
        launched.start(1);
        launched.start(2);
        assert_eq!(launched.among(&BTreeSet::from([1, 7])), BTreeSet::from([1]));
        launched.examined(1);
        launched.examined(7);
        assert_eq!(launched.among(&BTreeSet::from([1, 7])), BTreeSet::new());
        assert_eq!(launched.take_examined(), BTreeSet::from([1]));
        assert_eq!(launched.take_examined(), BTreeSet::new());
        launched.keep(|run| run != 2);
        assert_eq!(launched.among(&BTreeSet::from([2])), BTreeSet::new());
    }
}
