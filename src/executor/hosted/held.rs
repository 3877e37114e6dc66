//! What an executor was given and has not let go of, and how far each piece has come.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use super::message::HostedKey;

/// How far a piece of work has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Not yet sent to the process.
    ToQueue,
    /// Sent with this request; the answer is not there.
    Queueing(u64),
    /// In the executor's own queue: nobody outside of it knows of it.
    Given,
    /// To be offered for adoption, found by the job that queued it.
    ToAdopt {
        /// That job.
        job: Option<i64>,
    },
    /// Offered with this request; the answer is not there.
    Adopting {
        /// The request.
        request: u64,
        /// As in [`Phase::ToAdopt`].
        job: Option<i64>,
    },
    /// The executor has it.
    Has,
}

/// A piece of work.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    /// `task_instance.id` or `callback.id`.
    pub(super) id: Uuid,
    /// How far it has come.
    pub(super) phase: Phase,
    /// Its place in the order in which work was given.
    number: u64,
}

/// All of it.
#[derive(Debug, Default)]
pub(super) struct Held {
    entries: HashMap<HostedKey, Entry>,
    /// How much work was ever given.
    given: u64,
    /// `slots_available` as the executor said it last.
    slots: i64,
    /// Whether the executor has started.
    pub(super) ready: bool,
    /// Task instances that it was asked to take back.
    pub(super) revoking: HashSet<Uuid>,
}

impl Held {
    pub(super) fn set(&mut self, key: HostedKey, id: Uuid, phase: Phase) {
        self.given += 1;
        self.entries.insert(key, Entry { id, phase, number: self.given });
    }

    pub(super) fn remove(&mut self, key: &HostedKey) -> Option<Entry> {
        self.entries.remove(key)
    }

    pub(super) fn get(&self, key: &HostedKey) -> Option<Entry> {
        self.entries.get(key).copied()
    }

    pub(super) fn heard_of_slots(&mut self, slots: i64) {
        self.slots = slots;
    }

    /// The executor has let go of it. Work that was handed over once more meanwhile (a task that resumes) stays.
    pub(super) fn let_go(&mut self, key: &HostedKey) {
        if self.get(key).is_some_and(|entry| entry.phase == Phase::Has) {
            self.entries.remove(key);
        }
    }

    /// Changes the phase of everything that `next` says something about; returns what was changed, in the order in which it
    /// was given: the scheduler has put it into that order.
    pub(super) fn advance(&mut self, next: impl Fn(Phase) -> Option<Phase>) -> Vec<(HostedKey, Uuid, Phase)> {
        let mut changed = Vec::new();
        for (key, entry) in &mut self.entries {
            if let Some(phase) = next(entry.phase) {
                changed.push((entry.number, (key.clone(), entry.id, entry.phase)));
                entry.phase = phase;
            }
        }
        changed.sort_unstable_by_key(|(number, _)| *number);
        changed.into_iter().map(|(_, work)| work).collect()
    }

    /// The process is gone: what it had, or may have had, is to be offered to the next one. `resend`: what was on the way is
    /// handed over again instead, which is safe where the work has a name of its own (`external_executor_id`). Returns
    /// callbacks that nobody can hear of any more.
    pub(super) fn orphan(&mut self, job: i64, resend: Resend) -> Vec<Uuid> {
        self.ready = false;
        self.slots = 0;
        self.revoking.clear();
        let mut lost = Vec::new();
        self.entries.retain(|key, entry| {
            let is_task = matches!(key, HostedKey::Task { .. });
            entry.phase = match (entry.phase, is_task) {
                (Phase::ToQueue, _) | (Phase::Queueing(_), false) => Phase::ToQueue,
                (Phase::Given, false) => Phase::ToQueue,
                (Phase::Queueing(_) | Phase::Given, true) if resend == Resend::Yes => Phase::ToQueue,
                (Phase::Adopting { job, .. } | Phase::ToAdopt { job }, _) => Phase::ToAdopt { job },
                (Phase::Queueing(_) | Phase::Given | Phase::Has, true) => Phase::ToAdopt { job: Some(job) },
                (Phase::Has, false) => {
                    lost.push(entry.id);
                    return false;
                }
            };
            true
        });
        lost
    }

    /// After a heartbeat: what is not in the executor's own queue any more has left it.
    pub(super) fn heard_of_queue(&mut self, waiting: &HashSet<HostedKey>) {
        for (key, entry) in &mut self.entries {
            if entry.phase == Phase::Given && !waiting.contains(key) {
                entry.phase = Phase::Has;
            }
        }
    }

    pub(super) fn tasks(&self) -> HashSet<Uuid> {
        let of_task = |(key, entry): (&HostedKey, &Entry)| match key {
            HostedKey::Task { .. } => Some(entry.id),
            HostedKey::Callback { .. } => None,
        };
        self.entries.iter().filter_map(of_task).collect()
    }

    pub(super) fn occupied(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn available(&self) -> usize {
        if !self.ready {
            return 0;
        }
        let counted = |phase| matches!(phase, Phase::Given | Phase::Has);
        let on_the_way = self.entries.values().filter(|entry| !counted(entry.phase)).count();
        usize::try_from(self.slots).unwrap_or(0).saturating_sub(on_the_way)
    }

    pub(super) fn is_handed_over(&self) -> bool {
        !self
            .entries
            .values()
            .any(|entry| matches!(entry.phase, Phase::ToQueue | Phase::Queueing(_) | Phase::Given))
    }
}

/// Whether work that may or may not have reached the executor is handed over again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Resend {
    /// It is.
    Yes,
    /// It is offered for adoption.
    No,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_handed_over_in_the_order_in_which_it_was_given() {
        let mut held = Held::default();
        let ids: Vec<Uuid> = (0..100).map(Uuid::from_u128).collect();
        for id in &ids {
            held.set(HostedKey::Callback { id: *id }, *id, Phase::ToQueue);
        }
        let changed = held.advance(|phase| (phase == Phase::ToQueue).then_some(Phase::Queueing(1)));
        assert_eq!(changed.into_iter().map(|(_, id, _)| id).collect::<Vec<_>>(), ids);
    }
}
