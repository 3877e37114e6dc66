//! One portion of the log put to the triggers, in one transaction.
//!
//! The transaction holds the engine's cursor, so that of several schedulers one evaluates at a time. What triggers
//! remember, what they did, its effects and the cursor are written together: a process that dies before the commit has
//! done nothing, and the next one begins at the same event.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use slipstream_core::event::{Event, Position, Reach, Scope, TriggerSpec};
use slipstream_core::ids::{DagId, RunId};

use super::Engine;
use super::catalog::{Armed, Catalog, Pace};
use super::effects::{Counts, Effects, Hints};
use super::memory::{self, Answer, Memory};
use crate::store::events::{self as log, Filter};
use crate::store::triggers::active_runs::{self, ActiveRun, Clocks};
use crate::store::triggers::decisions::{self, Decision};
use crate::store::triggers::registry::Status;
use crate::store::triggers::{TriggerId, cursor, dags, dead_letters, progress};
use crate::store::{StoreError, Tx};

/// Most events that are evaluated in one transaction.
pub(super) const MOST: i64 = 500;

/// What a transaction did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Evaluated {
    /// How many events it took; `None`: another scheduler has the cursor.
    pub(super) events: Option<usize>,
    /// Up to where the log has been evaluated.
    pub(super) position: Position,
    /// What the scheduler should look at.
    pub(super) hints: Hints,
}

/// How carefully a transaction goes: whether one effect that the database refuses is undone alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Care {
    /// Everything or nothing.
    Together,
    /// Each effect behind a savepoint: slower, for events at which [`Care::Together`] failed.
    Apart,
}

/// One question: what does this trigger make of this event?
pub(super) struct Question<'a> {
    pub(super) event: &'a Event,
    pub(super) armed: Armed,
    /// Its spec, tied to its Dag and run.
    pub(super) spec: Arc<TriggerSpec>,
    pub(super) key: progress::Key,
    pub(super) run: Option<Arc<ActiveRun>>,
}

impl Question<'_> {
    /// What is to be recorded about it.
    pub(super) fn decision(&self, verdict: &str, reason: String) -> Decision {
        Decision {
            position: self.event.position,
            trigger: self.armed.row.id,
            run_id: self.key.run_id.clone(),
            verdict: verdict.to_owned(),
            reason,
        }
    }
}

impl Engine {
    /// Evaluates the next events. When the database refuses what follows from them, each effect is written by itself; when
    /// that does not help, one event at a time; and an event at which even that fails is parked for every trigger that it
    /// concerns. Nothing holds up what comes after it.
    ///
    /// # Errors
    /// As any statement; then nothing was done.
    pub(super) async fn evaluate(&mut self, now: DateTime<Utc>) -> Result<Evaluated, StoreError> {
        let mut why = None;
        for (most, care) in [(MOST, Care::Together), (MOST, Care::Apart), (1, Care::Apart)] {
            match self.evaluate_some(most, care, None, now).await {
                Err(error) if !error.is_transient() => {
                    tracing::warn!(%error, most, ?care, "events could not be evaluated; it is tried more carefully");
                    why = Some(error.to_string());
                }
                other => return other,
            }
        }
        self.evaluate_some(1, Care::Apart, why.as_deref(), now).await
    }

    pub(super) async fn evaluate_some(
        &mut self,
        most: i64,
        care: Care,
        poison: Option<&str>,
        now: DateTime<Utc>,
    ) -> Result<Evaluated, StoreError> {
        let tx = self.db.begin().await?;
        let Some(position) = cursor::lock(&tx, cursor::ENGINE).await? else {
            tx.rollback().await?;
            return Ok(Evaluated::default());
        };
        self.catalog.refresh(&tx).await?;
        let events = log::read(&tx, position, most, &Filter::default()).await?;
        if events.is_empty() {
            tx.rollback().await?;
            return Ok(Evaluated { events: Some(0), position, hints: Hints::default() });
        }
        let (last, hints) = match poison {
            None => self.put(&tx, &events, care, now).await?,
            Some(why) => (self.park(&tx, &events, why, now).await?, Hints::default()),
        };
        cursor::advance(&tx, cursor::ENGINE, last).await?;
        tx.commit().await?;
        Ok(Evaluated { events: Some(events.len()), position: last, hints })
    }

    /// Puts events to every trigger that they concern; returns the last that was. A run that an event makes sees the events
    /// after it, and one that it ends does not: those are left for the next transaction, which finds the runs as they are.
    async fn put(
        &mut self,
        tx: &Tx,
        events: &[Event],
        care: Care,
        now: DateTime<Utc>,
    ) -> Result<(Position, Hints), StoreError> {
        let mut memory = Memory::default();
        let runs = self.runs_concerned(tx, events, &mut memory, now).await?;
        let catalog = &self.catalog;
        let mut written = Vec::new();
        let questions = questions(catalog, &runs, events, Pace::Native, &mut written);
        let dags = dags::flags(tx, questions.iter().map(|question| &question.armed.row.dag_id)).await?;
        memory.load(tx, questions.iter().map(|question| &question.key)).await?;
        let mut effects = Effects::new(tx, &self.bag, &self.options, catalog, care, now);
        effects.know(events);
        let mut last = events.last().map(|event| event.position).unwrap_or_default();
        for question in &questions {
            if question.event.position > last {
                break;
            }
            let about = |verdict: &str, reason: String| question.decision(verdict, reason);
            if question.run.is_none()
                && let Some(why) =
                    dags.get(&question.armed.row.dag_id).map_or(Some("it is gone"), |dag| dag.why_not())
            {
                written.push(about("ignored", format!("the Dag gets no runs: {why}")));
                continue;
            }
            let answer =
                memory.step(&question.key, &question.armed.hash, &question.spec, question.event, now);
            match answer {
                Ok(Answer::Nothing) => {}
                Ok(Answer::Decided { verdict, reason }) => written.push(about(verdict, reason)),
                Ok(Answer::Fired { events: fired, reason }) => {
                    written.push(about("fired", reason));
                    let run = question.run.as_deref();
                    let position = question.event.position;
                    if effects.fire(&question.armed, &question.key, run, position, fired).await? == Counts::No
                    {
                        memory.uncount(&question.key);
                    }
                    let dag_id = &question.armed.row.dag_id;
                    if run.is_none() && catalog.may_concern(dag_id, after(events, question.event.position)) {
                        last = question.event.position;
                    }
                }
                Err(error) => {
                    let error = error.to_string();
                    tracing::error!(
                        trigger = %question.armed.row.name, position = %question.event.position, run_id = question.key.run_id,
                        "the trigger cannot judge the event, which is parked: {error}"
                    );
                    let (trigger, run) = (question.armed.row.id, &question.key.run_id);
                    dead_letters::park(tx, trigger, run, question.event.position, &error, now).await?;
                    written.push(about("parked", error));
                }
            }
        }
        let hints = effects.finish().await?;
        self.append_ticks(tx, &mut memory, now).await?;
        memory.save(tx).await?;
        written.retain(|decision| decision.position <= last);
        decisions::save(tx, &deduplicated(written)).await?;
        Ok((last, hints))
    }

    /// Parks events for every trigger that they concern; returns the last.
    async fn park(
        &mut self,
        tx: &Tx,
        events: &[Event],
        why: &str,
        now: DateTime<Utc>,
    ) -> Result<Position, StoreError> {
        let mut memory = Memory::default();
        let runs = self.runs_concerned(tx, events, &mut memory, now).await?;
        // The clocks of runs that are met here for the first time.
        self.append_ticks(tx, &mut memory, now).await?;
        memory.save(tx).await?;
        for question in questions(&self.catalog, &runs, events, Pace::Native, &mut Vec::new()) {
            let (trigger, run_id) = (question.armed.row.id, &question.key.run_id);
            tracing::error!(trigger = %question.armed.row.name, position = %question.event.position, run_id, "the event is parked: {why}");
            dead_letters::park(tx, trigger, run_id, question.event.position, why, now).await?;
        }
        Ok(events.last().map(|event| event.position).unwrap_or_default())
    }

    /// The active runs in which tasks' triggers may see one of these events.
    async fn runs_concerned(
        &mut self,
        tx: &Tx,
        events: &[Event],
        memory: &mut Memory,
        now: DateTime<Utc>,
    ) -> Result<Vec<Arc<ActiveRun>>, StoreError> {
        let dags: BTreeSet<DagId> = self
            .catalog
            .task_dags()
            .iter()
            .filter(|dag_id| self.catalog.may_concern(dag_id, events))
            .cloned()
            .collect();
        self.adopt(tx, &dags, memory, now).await
    }

    /// The active runs of these Dags, each with the position from which on it sees events. One that is seen for the first
    /// time gets the position at which the log stood when it was made, unless an event made it, and its clocks are set.
    pub(super) async fn adopt(
        &mut self,
        tx: &Tx,
        dags: &BTreeSet<DagId>,
        memory: &mut Memory,
        now: DateTime<Utc>,
    ) -> Result<Vec<Arc<ActiveRun>>, StoreError> {
        if dags.is_empty() {
            return Ok(Vec::new());
        }
        let mut runs = active_runs::of_dags(tx, dags).await?;
        let versions = runs.iter().filter_map(|run| run.pinned).collect();
        self.catalog.read_pinned(tx, &self.bag, versions).await?;
        let mut fresh = Vec::new();
        let mut clocks = Vec::new();
        for run in runs.iter_mut().filter(|run| run.clocks == Clocks::Unset) {
            let from = match (run.from, run.created_at) {
                // The event that made it.
                (Some(from), _) => from,
                (None, Some(moment)) => active_runs::position_at(tx, moment).await?,
                // Rows without a time are older than our tables.
                (None, None) => Position::default(),
            };
            run.from = Some(from);
            run.clocks = Clocks::Set;
            fresh.push((run.dag_id.clone(), run.run_id.clone(), from));
            let armed = self.catalog.of_run(run).into_iter().flat_map(|set| set.armed.values());
            let run = Arc::new(run.clone());
            clocks.extend(
                armed
                    .filter(|armed| armed.spec.watches_time())
                    .map(|armed| (armed.clone(), Arc::clone(&run))),
            );
        }
        let keys: Vec<progress::Key> =
            clocks.iter().map(|(armed, run)| memory::clock_key(armed, Some(run))).collect();
        // What a trigger that asks Python remembers may be there before its clock.
        memory.load(tx, &keys).await?;
        for (armed, run) in &clocks {
            memory.arm(armed, Some(run), now);
        }
        active_runs::settle_clocks(tx, &fresh, now).await?;
        Ok(runs.into_iter().map(Arc::new).collect())
    }
}

/// The events after a position.
fn after(events: &[Event], position: Position) -> &[Event] {
    &events[events.partition_point(|event| event.position <= position)..]
}

/// Everything to be asked about these events, in the order of the log and, for one event, of the triggers.
pub(super) fn questions<'a>(
    catalog: &Catalog,
    runs: &[Arc<ActiveRun>],
    events: &'a [Event],
    pace: Pace,
    written: &mut Vec<Decision>,
) -> Vec<Question<'a>> {
    let mut asked = Vec::new();
    let mut bound = BTreeMap::new();
    for event in events {
        for id in catalog.find_on_dags(event, pace) {
            let Some(armed) = catalog.dag_trigger(id) else { continue };
            ask(&mut asked, &mut bound, event, armed, None);
        }
        for run in runs {
            if run.from.is_some_and(|from| event.position <= from) {
                continue;
            }
            let Some(set) = catalog.of_run(run) else { continue };
            let of_other_run = event.scope != Scope::All && !event.scope.is_run(&run.dag_id, &run.run_id);
            for (id, reach) in set.find(event, pace) {
                if of_other_run && reach == Reach::OwnRun {
                    continue;
                }
                let Some(armed) = set.armed.get(&id) else { continue };
                ask(&mut asked, &mut bound, event, armed, Some(run));
            }
        }
        too_late(catalog, runs, event, pace, written);
    }
    asked
}

/// Records that an event of a run that has ended is ignored.
fn too_late(
    catalog: &Catalog,
    runs: &[Arc<ActiveRun>],
    event: &Event,
    pace: Pace,
    written: &mut Vec<Decision>,
) {
    let Scope::Run { dag_id, run_id } = &event.scope else { return };
    if runs.iter().any(|run| run.dag_id == *dag_id && run.run_id == *run_id) {
        return;
    }
    let Some(set) = catalog.newest(dag_id) else { return };
    written.extend(set.find(event, pace).into_keys().map(|trigger| Decision {
        position: event.position,
        trigger,
        run_id: run_id.to_string(),
        verdict: "ignored".to_owned(),
        reason: "the run has ended".to_owned(),
    }));
}

type Bound = BTreeMap<(TriggerId, Option<(DagId, RunId)>), Arc<TriggerSpec>>;

fn ask<'a>(
    asked: &mut Vec<Question<'a>>,
    bound: &mut Bound,
    event: &'a Event,
    armed: &Armed,
    run: Option<&Arc<ActiveRun>>,
) {
    let row = &armed.row;
    if row.status == Status::Paused {
        return;
    }
    // A trigger of a pinned run is as old as the run, whatever became of it since.
    if event.position <= row.from_position && run.is_none_or(|run| run.pinned.is_none()) {
        return;
    }
    let key = (row.id, run.map(|run| (run.dag_id.clone(), run.run_id.clone())));
    let spec = bound.entry(key).or_insert_with(|| memory::bind(armed, run.map(AsRef::as_ref)));
    let correlation = spec.correlation(event).unwrap_or_default();
    let key = progress::Key {
        trigger: row.id,
        run_id: run.map(|run| run.run_id.to_string()).unwrap_or_default(),
        correlation,
    };
    asked.push(Question { event, armed: armed.clone(), spec: Arc::clone(spec), key, run: run.cloned() });
}

/// One decision per event, trigger and run: the last.
pub(super) fn deduplicated(decisions: Vec<Decision>) -> Vec<Decision> {
    let mut last = BTreeMap::new();
    for decision in decisions {
        last.insert((decision.position, decision.trigger, decision.run_id.clone()), decision);
    }
    last.into_values().collect()
}
