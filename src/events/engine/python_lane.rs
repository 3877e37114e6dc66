//! Triggers that ask a Python function are evaluated here, each by itself, behind the engine's cursor: however long a
//! function takes, the engine and all other triggers go on.
//!
//! A turn reads the next events for one trigger and asks Python without any lock. Then one transaction, which holds the
//! engine's cursor, makes sure that everything is as it was when Python was asked (the trigger's own cursor, what it
//! remembers, the registry), and writes what it remembers now, its decisions and firings with their effects, and its cursor.
//! If anything has changed, nothing is written and Python is asked again.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use slipstream_core::event::{Event, Position};
use tokio::sync::watch;
use tokio::time::Instant;

use super::Engine;
use super::ask::NoPython;
use super::batch::{Care, Question, deduplicated, questions};
use super::catalog::Pace;
use super::effects::{Counts, Effects};
use super::memory::{Answer, Memory};
use crate::runtime::Shutdown;
use crate::store::events::{self as log, Filter};
use crate::store::triggers::active_runs::{self, ActiveRun};
use crate::store::triggers::decisions::{self, Decision};
use crate::store::triggers::progress::{self, Key, Saved};
use crate::store::triggers::{TriggerId, cursor, dags, dead_letters, registry};
use crate::store::{StoreError, Tx};

/// Most events that are read for one turn.
const MOST: i64 = 200;
/// How long one trigger may ask before what it has is written and others have their turn.
const TURN: Duration = Duration::from_millis(500);
/// How soon to look again when nothing was to be done.
const LOOK: Duration = Duration::from_millis(50);
/// How often cursors of triggers that are gone are removed.
const TIDY: Duration = Duration::from_secs(10);

/// The evaluation of the triggers that ask Python.
#[derive(Debug)]
pub struct PythonLane {
    engine: Engine,
    wanted: watch::Receiver<bool>,
    tidied: Option<Instant>,
}

/// What came of a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// The trigger is as far as the engine.
    Idle,
    /// It has got further.
    Moved,
    /// Something changed while Python was asked: nothing was written.
    Again,
}

/// Why a turn failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum TurnError {
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is nobody to ask.
    #[error(transparent)]
    NoPython(#[from] NoPython),
}

/// What a trigger said to one question.
enum Said {
    Decided(Decision),
    Fired { decision: Decision, events: Vec<Position> },
    Failed(Decision),
}

/// What the trigger said in one turn.
struct Judged<'a> {
    said: Vec<(&'a Question<'a>, Said)>,
    /// What is to be recorded besides.
    ignored: Vec<Decision>,
    /// Whose memory it is about.
    keys: BTreeSet<Key>,
    memory: Memory,
    /// What it remembered before.
    before: HashMap<Key, Saved>,
    /// Up to where it has been evaluated.
    last: Position,
}

impl PythonLane {
    pub(super) fn new(engine: Engine, wanted: watch::Receiver<bool>) -> Self {
        Self { engine, wanted, tidied: None }
    }

    /// Goes on until it is told to stop. While no trigger asks Python it sleeps.
    pub async fn run(mut self, shutdown: Shutdown) {
        let mut pause = Duration::from_millis(200);
        while !shutdown.is_asked() {
            if !*self.wanted.borrow_and_update() {
                tokio::select! { changed = self.wanted.changed() => if changed.is_err() { return }, () = shutdown.asked() => return }
                continue;
            }
            let worked =
                tokio::select! { worked = self.round(Utc::now()) => worked, () = shutdown.asked() => return };
            let wait = match worked {
                Ok(Turn::Idle) => LOOK,
                Ok(Turn::Moved | Turn::Again) => Duration::ZERO,
                Err(error) => {
                    tracing::error!(%error, "triggers that ask Python cannot be evaluated, it is tried again in {} ms", pause.as_millis());
                    pause
                }
            };
            pause = if wait == pause {
                (pause * 2).min(Duration::from_secs(30))
            } else {
                Duration::from_millis(200)
            };
            tokio::select! { () = tokio::time::sleep(wait) => {}, () = shutdown.asked() => return }
        }
    }

    /// One turn for each trigger.
    pub(super) async fn round(&mut self, now: DateTime<Utc>) -> Result<Turn, TurnError> {
        let engine = &mut self.engine;
        engine.catalog.refresh(&engine.db).await?;
        let task_dags = engine.catalog.task_dags().clone();
        let pinned = match task_dags.is_empty() {
            true => BTreeSet::new(),
            false => {
                let runs = active_runs::of_dags(&engine.db, &task_dags).await?;
                runs.iter().filter_map(|run| run.pinned).collect()
            }
        };
        engine.catalog.read_pinned(&engine.db, &engine.bag, pinned).await?;
        let asking = engine.catalog.asking();
        if self.tidied.is_none_or(|at| at.elapsed() >= TIDY) {
            engine.tidy(&asking).await?;
            self.tidied = Some(Instant::now());
        }
        let mut sum = Turn::Idle;
        for trigger in asking {
            let turn = engine.turn(trigger, MOST, now).await;
            let turn = match turn {
                Err(TurnError::Store(error)) if !error.is_transient() => {
                    engine.carefully(trigger, &error, now).await?
                }
                other => other?,
            };
            if turn != Turn::Idle {
                sum = turn;
            }
        }
        Ok(sum)
    }
}

impl Engine {
    /// Removes the cursors of triggers that no longer ask: their events must not be kept for them.
    async fn tidy(&self, asking: &BTreeSet<TriggerId>) -> Result<(), StoreError> {
        let tx = self.db.begin().await?;
        let locked = cursor::lock(&tx, cursor::ENGINE).await?.is_some();
        // A trigger that has come since is not known here.
        if locked && Some(registry::version(&tx).await?) == self.catalog.version() {
            cursor::keep_python(&tx, asking.iter().copied()).await?;
        }
        tx.commit().await
    }

    /// After a turn that the database refused: one event, and if that is the one, it is parked.
    async fn carefully(
        &mut self,
        trigger: TriggerId,
        error: &StoreError,
        now: DateTime<Utc>,
    ) -> Result<Turn, TurnError> {
        tracing::warn!(%error, %trigger, "what a trigger said could not be written; it is tried more carefully");
        match self.turn(trigger, 1, now).await {
            Err(TurnError::Store(error)) if !error.is_transient() => {
                let why = error.to_string();
                let Some((position, events)) = self.next_events(trigger, 1).await? else {
                    return Ok(Turn::Idle);
                };
                let runs = self.runs_of(trigger).await?;
                let asked = questions(&self.catalog, &runs, &events, Pace::Python(trigger), &mut Vec::new());
                let said = asked
                    .iter()
                    .map(|question| (question, Said::Failed(question.decision("parked", why.clone()))));
                let judged = Judged {
                    said: said.collect(),
                    ignored: Vec::new(),
                    keys: BTreeSet::new(),
                    memory: Memory::default(),
                    before: HashMap::new(),
                    last: events.last().map_or(position, |event| event.position),
                };
                Ok(self.settle(trigger, position, &events, judged, now).await?)
            }
            other => other,
        }
    }

    /// Evaluates the next events for a trigger.
    pub(super) async fn turn(
        &mut self,
        trigger: TriggerId,
        most: i64,
        now: DateTime<Utc>,
    ) -> Result<Turn, TurnError> {
        let Some((position, events)) = self.next_events(trigger, most).await? else { return Ok(Turn::Idle) };
        let runs = self.runs_of(trigger).await?;
        let mut ignored = Vec::new();
        let asked = questions(&self.catalog, &runs, &events, Pace::Python(trigger), &mut ignored);
        let mut judged = self.judge(&asked, &events, now).await?;
        ignored.retain(|decision| decision.position <= judged.last);
        judged.ignored = ignored;
        Ok(self.settle(trigger, position, &events, judged, now).await?)
    }

    /// Where the trigger is, and the events that come next, as far as the engine has been.
    async fn next_events(
        &self,
        trigger: TriggerId,
        most: i64,
    ) -> Result<Option<(Position, Vec<Event>)>, StoreError> {
        let Some(row) = self.catalog.row(trigger) else { return Ok(None) };
        let until = cursor::get(&self.db, cursor::ENGINE).await?.unwrap_or_default();
        let name = cursor::python(trigger);
        let position = match cursor::get(&self.db, &name).await? {
            Some(position) => position,
            None => {
                cursor::ensure(&self.db, &name, row.from_position).await?;
                row.from_position
            }
        };
        if position >= until {
            return Ok(None);
        }
        let events =
            log::read(&self.db, position, most, &Filter { until: Some(until), ..Filter::default() }).await?;
        Ok((!events.is_empty()).then_some((position, events)))
    }

    async fn runs_of(&self, trigger: TriggerId) -> Result<Vec<Arc<ActiveRun>>, StoreError> {
        let Some(row) = self.catalog.row(trigger).filter(|row| row.task_id.is_some()) else {
            return Ok(Vec::new());
        };
        let runs = active_runs::of_dags(&self.db, [&row.dag_id]).await?;
        // Those that the engine has not met yet begin behind these events.
        Ok(runs.into_iter().filter(|run| run.from.is_some()).map(Arc::new).collect())
    }

    /// Asks Python about one event after the other, until the turn is over or a function fails.
    async fn judge<'a>(
        &self,
        asked: &'a [Question<'a>],
        events: &[Event],
        now: DateTime<Utc>,
    ) -> Result<Judged<'a>, TurnError> {
        let keys: BTreeSet<Key> = asked.iter().map(|question| question.key.clone()).collect();
        let before = progress::load(&self.db, &keys).await?;
        let mut memory = Memory::default();
        for (key, saved) in &before {
            memory.hold(key.clone(), saved.clone());
        }
        let flags = dags::flags(&self.db, asked.iter().map(|question| &question.armed.row.dag_id)).await?;
        let begun = Instant::now();
        let mut last = events.last().map(|event| event.position).unwrap_or_default();
        let mut said = Vec::new();
        for question in asked {
            let position = question.event.position;
            if position > last {
                break;
            }
            if begun.elapsed() >= TURN {
                // This event is answered to its end, in every run.
                last = position;
            }
            let dag = flags.get(&question.armed.row.dag_id);
            if question.run.is_none()
                && let Some(why) = dag.map_or(Some("it is gone"), |dag| dag.why_not())
            {
                let decision = question.decision("ignored", format!("the Dag gets no runs: {why}"));
                said.push((question, Said::Decided(decision)));
                continue;
            }
            let (key, hash, spec) = (&question.key, &*question.armed.hash, &*question.spec);
            let answers = match memory.questions(key, hash, spec, question.event) {
                Ok(questions) => self.asker.ask(&questions, question.event).await?,
                Err(error) => Err(error),
            };
            let answer = answers
                .and_then(|answers| memory.step_asked(key, hash, spec, (question.event, &answers), now));
            match answer {
                Ok(Answer::Nothing) => {}
                Ok(Answer::Decided { verdict, reason }) => {
                    said.push((question, Said::Decided(question.decision(verdict, reason))));
                }
                Ok(Answer::Fired { events, reason }) => {
                    if spec.at_most.is_some() {
                        // Whether it may fire once more depends on what comes of this.
                        last = position;
                    }
                    let decision = question.decision("fired", reason);
                    said.push((question, Said::Fired { decision, events }));
                }
                Err(error) => {
                    said.push((question, Said::Failed(question.decision("parked", error.to_string()))));
                    last = position;
                }
            }
        }
        Ok(Judged { said, ignored: Vec::new(), keys, memory, before, last })
    }

    /// Writes what a trigger said, if everything is as it was when it was asked.
    async fn settle(
        &mut self,
        trigger: TriggerId,
        position: Position,
        events: &[Event],
        judged: Judged<'_>,
        now: DateTime<Utc>,
    ) -> Result<Turn, StoreError> {
        let tx = self.db.begin().await?;
        cursor::wait_for(&tx, cursor::ENGINE, position).await?;
        if !self.is_as_it_was(&tx, trigger, position, &judged).await? {
            tx.rollback().await?;
            return Ok(Turn::Again);
        }
        let Judged { said, ignored, mut memory, last, .. } = judged;
        let mut effects = Effects::new(&tx, &self.bag, &self.options, &self.catalog, Care::Apart, now);
        effects.know(events);
        let mut written = ignored;
        for (question, said) in said {
            let (position, run) = (question.event.position, question.run.as_deref());
            let decision = match said {
                Said::Decided(decision) => decision,
                Said::Fired { decision, events } => {
                    if effects.fire(&question.armed, &question.key, run, position, events).await?
                        == Counts::No
                    {
                        memory.uncount(&question.key);
                    }
                    decision
                }
                Said::Failed(decision) => {
                    let (name, run_id) = (&question.armed.row.name, &question.key.run_id);
                    tracing::error!(trigger = %name, %position, run_id, "the event is parked: {}", decision.reason);
                    dead_letters::park(&tx, trigger, run_id, position, &decision.reason, now).await?;
                    decision
                }
            };
            written.push(decision);
        }
        let hints = effects.finish().await?;
        memory.save(&tx).await?;
        decisions::save(&tx, &deduplicated(written)).await?;
        cursor::advance(&tx, &cursor::python(trigger), last).await?;
        tx.commit().await?;
        self.tell(hints);
        Ok(Turn::Moved)
    }

    async fn is_as_it_was(
        &self,
        tx: &Tx,
        trigger: TriggerId,
        position: Position,
        judged: &Judged<'_>,
    ) -> Result<bool, StoreError> {
        let here = cursor::get(tx, &cursor::python(trigger)).await?;
        if here != Some(position) || Some(registry::version(tx).await?) != self.catalog.version() {
            return Ok(false);
        }
        Ok(progress::load(tx, &judged.keys).await? == judged.before)
    }
}
