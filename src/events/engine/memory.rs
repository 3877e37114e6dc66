//! What triggers remember, while a transaction works with it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use slipstream_core::event::{
    Answers, DueTick, EvalError, Event, Input, Position, Progress, Question, TriggerSpec, Verdict, is_over,
    questions, step,
};

use super::catalog::Armed;
use crate::store::triggers::active_runs::ActiveRun;
use crate::store::triggers::progress::{self, Key, Saved};
use crate::store::{Conn, StoreError, Tx};

/// As it is stored: with the hash of the spec that it belongs to, because one condition's memory means nothing to another.
#[derive(Debug, Serialize, Deserialize)]
struct Stored {
    spec: String,
    #[serde(default)]
    state: Progress,
}

#[derive(Debug)]
struct Held {
    hash: String,
    progress: Progress,
    position: Position,
    wake_at: Option<DateTime<Utc>>,
    changed: bool,
    limit: Limit,
}

/// Whether a trigger may fire once more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Limit {
    /// It may.
    NotReached,
    /// It has fired as often as it may, and will not need what it remembers.
    Reached,
}

/// What a trigger says to an event.
#[derive(Debug)]
pub(super) enum Answer {
    /// No term names it: nothing is recorded.
    Nothing,
    /// Something to be recorded.
    Decided {
        /// `not_matched` or `matched`.
        verdict: &'static str,
        /// Why.
        reason: String,
    },
    /// It fires.
    Fired {
        /// The events that fulfilled it.
        events: Vec<Position>,
        /// Why.
        reason: String,
    },
}

/// Ticks that are due, of one trigger.
#[derive(Clone, Debug)]
pub(super) struct Ticks {
    /// Whose.
    pub(super) key: Key,
    /// Which.
    pub(super) due: Vec<DueTick>,
}

/// The memories that a transaction has loaded or made.
#[derive(Debug, Default)]
pub(super) struct Memory {
    held: HashMap<Key, Held>,
    /// Ticks to be appended to the log.
    pub(super) ticks: Vec<Ticks>,
}

/// A trigger's spec in its place.
pub(super) fn bind(armed: &Armed, run: Option<&ActiveRun>) -> Arc<TriggerSpec> {
    Arc::new(armed.spec.bound_to(&armed.row.dag_id, run.map(|run| &run.run_id), armed.row.id.0))
}

/// Whose clock it is that runs before any event.
pub(super) fn clock_key(armed: &Armed, run: Option<&ActiveRun>) -> Key {
    Key {
        trigger: armed.row.id,
        run_id: run.map(|run| run.run_id.to_string()).unwrap_or_default(),
        correlation: String::new(),
    }
}

impl Memory {
    /// Loads what there is of these.
    ///
    /// # Errors
    /// As any statement.
    pub(super) async fn load<'a, C: Conn>(
        &mut self,
        conn: &C,
        keys: impl IntoIterator<Item = &'a Key>,
    ) -> Result<(), StoreError> {
        let mut missing: Vec<&Key> = keys.into_iter().filter(|key| !self.held.contains_key(key)).collect();
        missing.sort_unstable();
        missing.dedup();
        for (key, saved) in progress::load(conn, missing).await? {
            self.hold(key, saved);
        }
        Ok(())
    }

    /// Takes a row that was read.
    pub(super) fn hold(&mut self, key: Key, saved: Saved) {
        let stored: Option<Stored> = serde_json::from_value(saved.progress).ok();
        let (hash, progress) = stored.map(|stored| (stored.spec, stored.state)).unwrap_or_default();
        let (position, wake_at) = (saved.position, saved.wake_at);
        let held = Held { hash, progress, position, wake_at, changed: false, limit: Limit::NotReached };
        self.held.insert(key, held);
    }

    fn of(&mut self, key: &Key, hash: &str) -> &mut Held {
        let fresh = || Held {
            hash: hash.to_owned(),
            progress: Progress::default(),
            position: Position::default(),
            wake_at: None,
            changed: false,
            limit: Limit::NotReached,
        };
        let held = self.held.entry(key.clone()).or_insert_with(fresh);
        if held.hash != hash {
            *held = fresh();
        }
        held
    }

    /// What Python is to be asked before the event can be put to the trigger.
    ///
    /// # Errors
    /// When the trigger cannot judge the event, whatever the answers are.
    pub(super) fn questions(
        &mut self,
        key: &Key,
        hash: &str,
        spec: &TriggerSpec,
        event: &Event,
    ) -> Result<Vec<Question>, EvalError> {
        questions(spec, &self.of(key, hash).progress, event)
    }

    /// As [`Memory::questions`], for a trigger that has seen later events meanwhile.
    ///
    /// # Errors
    /// As [`Memory::questions`].
    pub(super) fn questions_again(
        &mut self,
        key: &Key,
        hash: &str,
        spec: &TriggerSpec,
        event: &Event,
    ) -> Result<Vec<Question>, EvalError> {
        questions(spec, &self.of(key, hash).progress.before(event.position), event)
    }

    /// Puts an event to a trigger, with what Python answered about it.
    ///
    /// # Errors
    /// When the trigger cannot judge it; it remembers nothing of it then.
    pub(super) fn step_asked(
        &mut self,
        key: &Key,
        hash: &str,
        spec: &TriggerSpec,
        (event, answers): (&Event, &Answers),
        now: DateTime<Utc>,
    ) -> Result<Answer, EvalError> {
        self.advance(key, hash, spec, Input::Asked(event, answers), event.position, now)
    }

    /// Puts an event to a trigger.
    ///
    /// # Errors
    /// When the trigger cannot judge it; it remembers nothing of it then.
    pub(super) fn step(
        &mut self,
        key: &Key,
        hash: &str,
        spec: &TriggerSpec,
        event: &Event,
        now: DateTime<Utc>,
    ) -> Result<Answer, EvalError> {
        self.advance(key, hash, spec, Input::Event(event), event.position, now)
    }

    /// Puts an event to a trigger that has seen later ones meanwhile.
    ///
    /// # Errors
    /// When the trigger cannot judge it; it remembers nothing of it then.
    pub(super) fn again(
        &mut self,
        key: &Key,
        hash: &str,
        spec: &TriggerSpec,
        (event, answers): (&Event, &Answers),
        now: DateTime<Utc>,
    ) -> Result<Answer, EvalError> {
        let held = self.of(key, hash);
        let latest = held.progress.position();
        held.progress = held.progress.before(event.position);
        let answer = self.step_asked(key, hash, spec, (event, answers), now);
        let held = self.of(key, hash);
        held.progress = held.progress.after(latest);
        held.changed = true;
        answer
    }

    /// Tells a trigger that time has passed.
    ///
    /// # Errors
    /// When the trigger cannot judge that.
    pub(super) fn time(
        &mut self,
        key: &Key,
        hash: &str,
        spec: &TriggerSpec,
        now: DateTime<Utc>,
    ) -> Result<Answer, EvalError> {
        let position = self.of(key, hash).position;
        let answer = self.advance(key, hash, spec, Input::Time, position, now);
        if answer.is_err() {
            // It must not be woken for ever.
            self.silence(key);
        }
        answer
    }

    /// When a trigger wanted to be told.
    pub(super) fn wake_at(&self, key: &Key) -> Option<DateTime<Utc>> {
        self.held.get(key)?.wake_at
    }

    /// Takes away a trigger's moment.
    pub(super) fn silence(&mut self, key: &Key) {
        if let Some(held) = self.held.get_mut(key) {
            held.wake_at = None;
            held.changed = true;
        }
    }

    /// The trigger's firing had no effect: it does not count against `at_most`.
    pub(super) fn uncount(&mut self, key: &Key) {
        if let Some(held) = self.held.get_mut(key) {
            held.progress.uncount();
            held.wake_at = held.progress.wake_at();
            held.limit = Limit::NotReached;
            held.changed = true;
        }
    }

    /// Sets the clock of a trigger that begins to watch, if it has one.
    pub(super) fn arm(&mut self, armed: &Armed, run: Option<&ActiveRun>, now: DateTime<Utc>) {
        let spec = bind(armed, run);
        if !spec.watches_time() {
            return;
        }
        let key = clock_key(armed, run);
        if self.held.get(&key).is_some_and(|held| held.hash == *armed.hash && held.wake_at.is_some()) {
            return;
        }
        if let Err(error) = self.time(&key, &armed.hash, &spec, now) {
            tracing::error!(trigger = %armed.row.name, "the trigger's clock cannot be set: {error}");
        }
    }

    fn advance(
        &mut self,
        key: &Key,
        hash: &str,
        spec: &TriggerSpec,
        input: Input<'_>,
        position: Position,
        now: DateTime<Utc>,
    ) -> Result<Answer, EvalError> {
        let held = self.of(key, hash);
        let before = held.progress.clone();
        let done = step(spec, &mut held.progress, input, now)?;
        let passed_by = !matches!(input, Input::Time) && done.verdict == Verdict::Ignored;
        if held.progress != before || (!passed_by && held.wake_at != done.wake_at) {
            held.changed = true;
            held.position = position;
            held.wake_at = done.wake_at;
        }
        if is_over(spec, &held.progress) {
            held.limit = Limit::Reached;
        }
        if !done.ticks.is_empty() {
            self.ticks.push(Ticks { key: key.clone(), due: done.ticks });
        }
        Ok(match done.verdict {
            Verdict::Ignored => Answer::Nothing,
            Verdict::NotMatched(reason) => Answer::Decided { verdict: "not_matched", reason },
            Verdict::Matched(reason) => Answer::Decided { verdict: "matched", reason },
            Verdict::Fired { events, reason } => Answer::Fired { events, reason },
        })
    }

    /// Writes what has changed.
    ///
    /// # Errors
    /// As any statement.
    pub(super) async fn save(&self, tx: &Tx) -> Result<(), StoreError> {
        let changed: BTreeMap<&Key, &Held> = self.held.iter().filter(|(_, held)| held.changed).collect();
        let rows: Vec<Saved> = changed
            .into_iter()
            .map(|(key, held)| {
                let stored = match held.limit {
                    Limit::NotReached => serde_json::json!({"spec": held.hash, "state": held.progress}),
                    Limit::Reached => {
                        serde_json::json!({"spec": held.hash, "state": held.progress.at_rest()})
                    }
                };
                let (position, wake_at) = (held.position, held.wake_at);
                Saved { key: key.clone(), progress: stored, position, wake_at }
            })
            .collect();
        progress::save(tx, &rows).await
    }
}
