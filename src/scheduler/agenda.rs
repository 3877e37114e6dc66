//! What the loop has on its mind: which runs to look at, which steps to take, and when to wake up.
//!
//! Everything here is a hint. Losing it costs latency, never correctness: every running run is examined from time to time
//! whatever the agenda says.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use slipstream_core::ids::{DagId, RunId};

/// A dag run, named as hints name it.
pub(super) type RunKey = (DagId, RunId);

/// Runs to examine and steps to take in the next tick.
#[derive(Debug, Default)]
pub(super) struct Agenda {
    /// Runs that others told us to look at.
    named: BTreeSet<RunKey>,
    /// Runs that polls found, by `dag_run.id`.
    numbered: BTreeSet<i64>,
    /// Runs to look at when a moment has come: a retry, a sensor's next look.
    later: BTreeMap<DateTime<Utc>, BTreeSet<i64>>,
    /// Queued runs may start.
    pub(super) start_runs: bool,
    /// Runs may be due.
    pub(super) create_runs: bool,
    /// Ready task instances may go.
    pub(super) enqueue: bool,
    /// Triggers may have been added from outside.
    pub(super) triggers: bool,
    /// Commands on tasks wait.
    pub(super) commands: bool,
    /// Callbacks wait for an executor.
    pub(super) callbacks: bool,
    /// A deadline has passed.
    pub(super) deadlines: bool,
    /// Somebody wants a connection tested.
    pub(super) connection_tests: bool,
}

impl Agenda {
    /// Look at this run.
    pub(super) fn look_at(&mut self, run: i64) {
        self.numbered.insert(run);
    }

    /// Look at this run.
    pub(super) fn look_at_named(&mut self, dag_id: DagId, run_id: RunId) {
        self.named.insert((dag_id, run_id));
    }

    /// Look at this run when `at` has come.
    pub(super) fn look_later(&mut self, at: DateTime<Utc>, run: i64) {
        self.later.entry(at).or_default().insert(run);
    }

    /// Moves runs whose moment has come to those to look at.
    pub(super) fn ripen(&mut self, now: DateTime<Utc>) {
        while let Some(first) = self.later.first_entry() {
            if *first.key() > now {
                break;
            }
            let mut ripe = first.remove();
            self.numbered.append(&mut ripe);
        }
    }

    /// Takes at most `most` runs to examine now; the others stay.
    pub(super) fn take(&mut self, most: usize) -> (BTreeSet<i64>, BTreeSet<RunKey>) {
        let named = split(&mut self.named, most);
        let numbered = split(&mut self.numbered, most.saturating_sub(named.len()));
        (numbered, named)
    }

    /// Puts back what was taken and could not be examined.
    pub(super) fn put_back(&mut self, runs: &BTreeSet<i64>, keys: &BTreeSet<RunKey>) {
        self.numbered.extend(runs);
        self.named.extend(keys.iter().cloned());
    }

    /// Whether a run waits to be examined, or a step to be taken.
    pub(super) fn has_work(&self) -> bool {
        self.has_runs()
            || self.start_runs
            || self.create_runs
            || self.enqueue
            || self.commands
            || self.triggers
            || self.callbacks
            || self.deadlines
            || self.connection_tests
    }

    /// Whether a run waits to be examined.
    pub(super) fn has_runs(&self) -> bool {
        !self.named.is_empty() || !self.numbered.is_empty()
    }

    /// The runs to examine that are known by `dag_run.id`.
    pub(super) fn numbered(&self) -> &BTreeSet<i64> {
        &self.numbered
    }

    /// How many runs wait to be examined.
    pub(super) fn runs(&self) -> usize {
        self.named.len() + self.numbered.len()
    }

    /// The moments at which runs are to be looked at, the earliest first.
    pub(super) fn moments(&self) -> impl Iterator<Item = (DateTime<Utc>, &BTreeSet<i64>)> {
        self.later.iter().map(|(at, runs)| (*at, runs))
    }

    /// The steps to be taken, by name.
    pub(super) fn steps(&self) -> Vec<&'static str> {
        let steps = [
            (self.create_runs, "create runs"),
            (self.triggers, "learn triggers"),
            (self.commands, "find commands"),
            (self.start_runs, "start runs"),
            (self.has_runs(), "examine runs"),
            (self.enqueue, "queue task instances"),
            (self.deadlines, "deadlines"),
            (self.callbacks, "callbacks"),
            (self.connection_tests, "connection tests"),
        ];
        steps.into_iter().filter_map(|(wanted, name)| wanted.then_some(name)).collect()
    }

    /// When the next run wants to be looked at.
    pub(super) fn next(&self) -> Option<DateTime<Utc>> {
        self.later.keys().next().copied()
    }
}

/// Takes the first `most` entries out of a set.
fn split<T: Ord + Clone>(set: &mut BTreeSet<T>, most: usize) -> BTreeSet<T> {
    match set.iter().nth(most).cloned() {
        Some(pivot) => {
            let rest = set.split_off(&pivot);
            std::mem::replace(set, rest)
        }
        None => std::mem::take(set),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_taken_in_portions() {
        let mut agenda = Agenda::default();
        (0..5).for_each(|run| agenda.look_at(run));
        agenda.look_at_named("dag".into(), "run".into());
        let (numbered, named) = agenda.take(3);
        assert_eq!((numbered.len(), named.len()), (2, 1));
        assert!(agenda.has_runs());
        assert_eq!(agenda.take(10).0.len(), 3);
        assert!(!agenda.has_work());
    }

    #[test]
    fn a_run_ripens_when_its_moment_has_come() {
        let at = |second: u32| format!("2026-01-01T00:00:{second:02}Z").parse().unwrap();
        let mut agenda = Agenda::default();
        agenda.look_later(at(5), 7);
        agenda.ripen(at(4));
        assert!(!agenda.has_runs());
        assert_eq!(agenda.next(), Some(at(5)));
        agenda.ripen(at(5));
        assert_eq!(agenda.take(9).0, BTreeSet::from([7]));
    }
}
