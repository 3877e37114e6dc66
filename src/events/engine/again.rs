//! What people ask of the engine: judge a parked event again, replay a stretch of the log.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use slipstream_core::event::{Action, Answers, EvalError, Event, Position, Question};
use slipstream_core::ids::RunId;

use super::Engine;
use super::ask::NoPython;
use super::batch::Care;
use super::catalog::Armed;
use super::effects::{Counts, Effects};
use super::memory::{self, Answer, Memory};
use crate::store::events::{self as log, Filter};
use crate::store::triggers::dead_letters::{self, DeadLetter, Status};
use crate::store::triggers::decisions::{self, Decision};
use crate::store::triggers::progress::Key;
use crate::store::triggers::registry::TriggerRow;
use crate::store::triggers::{cursor, firings};
use crate::store::{Db, StoreError};

/// Where a replayed trigger would fire, or has fired.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refired {
    /// The event.
    pub position: Position,
    /// Why.
    pub reason: String,
    /// Whether it had fired there before, so that nothing was done.
    pub before: Before,
}

/// Whether a trigger had fired at an event before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Before {
    /// It had.
    Fired,
    /// It had not.
    Not,
}

/// Events that are replayed in one transaction.
const PORTION: i64 = 500;

impl Engine {
    /// The database.
    pub fn db(&self) -> &Db {
        &self.db
    }

    /// Makes the runs that wait.
    ///
    /// # Errors
    /// As any statement.
    pub async fn resume(&mut self, now: DateTime<Utc>) -> Result<(), StoreError> {
        self.catalog.refresh(&self.db).await?;
        self.resume_waiting(now).await
    }

    /// Puts a parked event to its trigger again, as if no later one had come. `false`: it is no longer parked, or the
    /// trigger, the event or the run is gone.
    ///
    /// # Errors
    /// As any statement; then nothing was done. [`StoreError::Invalid`] when Python would have to be asked and cannot be.
    pub async fn judge_again(&mut self, letter: &DeadLetter, now: DateTime<Utc>) -> Result<bool, StoreError> {
        let mut asked = Vec::new();
        let mut answers = Ok(Answers::new());
        loop {
            match self.judge_asked(letter, &asked, &answers, now).await? {
                Judged::Done(done) => return Ok(done),
                // Outside of the transaction; asked again if the trigger remembers something else by then.
                Judged::Ask(questions, event) => {
                    answers = self.asker.ask(&questions, &event).await.map_err(invalid)?;
                    asked = questions;
                }
            }
        }
    }

    async fn judge_asked(
        &mut self,
        letter: &DeadLetter,
        asked: &[Question],
        answers: &Result<Answers, EvalError>,
        now: DateTime<Utc>,
    ) -> Result<Judged, StoreError> {
        let tx = self.db.begin().await?;
        cursor::wait_for(&tx, cursor::ENGINE, log::head(&tx).await?).await?;
        self.catalog.refresh(&tx).await?;
        let Some(event) = log::get(&tx, letter.position).await? else { return Ok(Judged::Done(false)) };
        let mut memory = Memory::default();
        let run = if letter.run_id.is_empty() {
            None
        } else {
            let dags = self.catalog.row(letter.trigger).map(|row| row.dag_id.clone()).into_iter().collect();
            let runs = self.adopt(&tx, &dags, &mut memory, now).await?;
            let Some(run) = runs.into_iter().find(|run| run.run_id == RunId::from(letter.run_id.as_str()))
            else {
                return Ok(Judged::Done(false));
            };
            Some(run)
        };
        let armed = match &run {
            Some(run) => self.catalog.of_run(run).and_then(|set| set.armed.get(&letter.trigger)),
            None => self.catalog.dag_trigger(letter.trigger),
        };
        let Some(armed) = armed.cloned() else { return Ok(Judged::Done(false)) };
        if !dead_letters::settle(&tx, letter, Status::Retried).await? {
            return Ok(Judged::Done(false));
        }
        let run = run.as_deref();
        let spec = memory::bind(&armed, run);
        let correlation = spec.correlation(&event).unwrap_or_default();
        let key = Key { trigger: letter.trigger, run_id: letter.run_id.clone(), correlation };
        memory.load(&tx, [&key]).await?;
        let questions = memory.questions_again(&key, &armed.hash, &spec, &event);
        if let Ok(questions) = &questions
            && questions != asked
        {
            tx.rollback().await?;
            return Ok(Judged::Ask(questions.clone(), Box::new(event)));
        }
        let mut effects = Effects::new(&tx, &self.bag, &self.options, &self.catalog, Care::Apart, now);
        let answer = questions
            .and_then(|_| answers.clone())
            .and_then(|answers| memory.again(&key, &armed.hash, &spec, (&event, &answers), now));
        let (verdict, reason) = match answer {
            Ok(Answer::Nothing) => ("ignored", "no term of it expects the event".to_owned()),
            Ok(Answer::Decided { verdict, reason }) => (verdict, reason),
            Ok(Answer::Fired { events, reason }) => {
                if effects.fire(&armed, &key, run, letter.position, events).await? == Counts::No {
                    memory.uncount(&key);
                }
                ("fired", reason)
            }
            Err(error) => {
                let error = error.to_string();
                dead_letters::park(&tx, letter.trigger, &letter.run_id, letter.position, &error, now).await?;
                ("parked", error)
            }
        };
        let hints = effects.finish().await?;
        self.append_ticks(&tx, &mut memory, now).await?;
        memory.save(&tx).await?;
        let (position, trigger, run_id) = (letter.position, letter.trigger, letter.run_id.clone());
        let decision = Decision { position, trigger, run_id, verdict: verdict.to_owned(), reason };
        decisions::save(&tx, &[decision]).await?;
        tx.commit().await?;
        self.tell(hints);
        Ok(Judged::Done(verdict != "parked"))
    }

    /// Puts the events in `from..=to` to a trigger on a Dag as if it had been there then. It begins without memory, and what
    /// it remembers of the present is not touched. Where it fired before it does not fire again; with `effect` as
    /// [`Effect::None`] it never does.
    ///
    /// # Errors
    /// As any statement; what was committed stays, and is passed over the next time.
    pub async fn replay(
        &mut self,
        row: &TriggerRow,
        from: Position,
        to: Position,
        effect: Effect,
        now: DateTime<Utc>,
    ) -> Result<Vec<Refired>, StoreError> {
        let mut memory = Memory::default();
        let mut refired = Vec::new();
        let mut after = Position(from.0 - 1);
        loop {
            let filter = Filter { until: Some(to), ..Filter::default() };
            let events = log::read(&self.db, after, PORTION, &filter).await?;
            let Some(last) = events.last() else { return Ok(refired) };
            after = last.position;
            refired.extend(self.replay_some(row, &events, &mut memory, effect, now).await?);
        }
    }

    async fn replay_some(
        &mut self,
        row: &TriggerRow,
        events: &[Event],
        memory: &mut Memory,
        effect: Effect,
        now: DateTime<Utc>,
    ) -> Result<Vec<Refired>, StoreError> {
        self.catalog.refresh(&self.db).await?;
        let armed = self.catalog.dag_trigger(row.id).cloned();
        let armed =
            armed.ok_or_else(|| StoreError::NotFound(format!("the trigger '{}' on a Dag was", row.name)))?;
        // What it remembers of the past is ours alone: everything is asked before the transaction.
        let firings = self.refire(&armed, events, memory, now).await?;
        let tx = self.db.begin().await?;
        cursor::wait_for(&tx, cursor::ENGINE, log::head(&tx).await?).await?;
        let mut effects = Effects::new(&tx, &self.bag, &self.options, &self.catalog, Care::Apart, now);
        effects.know(events);
        let mut refired = Vec::new();
        let mut written = BTreeMap::new();
        for (key, position, fired, reason) in firings {
            let before = match firings::exists(&tx, &key, position).await? {
                true => Before::Fired,
                false => Before::Not,
            };
            if before == Before::Not
                && effect == Effect::Real
                && !matches!(armed.spec.action, Action::StopRuns { .. })
            {
                let decision = Decision {
                    position,
                    trigger: row.id,
                    run_id: String::new(),
                    verdict: "fired".to_owned(),
                    reason: format!("replayed: {reason}"),
                };
                written.insert(position, decision);
                effects.fire(&armed, &key, None, position, fired).await?;
            }
            refired.push(Refired { position, reason, before });
        }
        let hints = effects.finish().await?;
        decisions::save(&tx, &written.into_values().collect::<Vec<_>>()).await?;
        if effect == Effect::None {
            tx.rollback().await?;
            return Ok(refired);
        }
        tx.commit().await?;
        self.tell(hints);
        Ok(refired)
    }

    /// Where the trigger fires at these events: for whom, with which events, and why.
    async fn refire(
        &self,
        armed: &Armed,
        events: &[Event],
        memory: &mut Memory,
        now: DateTime<Utc>,
    ) -> Result<Vec<(Key, Position, Vec<Position>, String)>, StoreError> {
        let spec = memory::bind(armed, None);
        let mut firings = Vec::new();
        for event in events {
            let correlation = spec.correlation(event).unwrap_or_default();
            let key = Key { trigger: armed.row.id, run_id: String::new(), correlation };
            let answers = match memory.questions(&key, &armed.hash, &spec, event) {
                Ok(questions) => self.asker.ask(&questions, event).await.map_err(invalid)?,
                Err(error) => Err(error),
            };
            let answer = answers
                .and_then(|answers| memory.step_asked(&key, &armed.hash, &spec, (event, &answers), now));
            match answer {
                Ok(Answer::Fired { events, reason }) => firings.push((key, event.position, events, reason)),
                Ok(_) => {}
                Err(error) => {
                    tracing::error!(trigger = %armed.row.name, position = %event.position, "the event cannot be replayed: {error}");
                }
            }
        }
        Ok(firings)
    }
}

fn invalid(error: NoPython) -> StoreError {
    StoreError::Invalid(error.to_string())
}

/// What came of judging a parked event again.
enum Judged {
    Done(bool),
    /// Python has to be asked first.
    Ask(Vec<Question>, Box<Event>),
}

/// Whether a replay does anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing: it only tells.
    None,
    /// What the trigger says.
    Real,
}
