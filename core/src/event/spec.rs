//! A trigger as it is written: on what, and what then.

use std::sync::Arc;

use serde_json::Value;

use super::read::{Part, wrong};
use super::term::Term;
use super::{Action, Event, Pattern, Scope, SpecError};
use crate::ids::{DagId, RunId};

/// A trigger: a condition over events, and what its fulfilment does. Cheap to clone.
#[derive(Clone, Debug)]
pub struct TriggerSpec {
    /// Its name within the Dag, when it has one.
    pub name: Option<String>,
    /// What a firing does.
    pub action: Action,
    /// After how many firings it has had enough, counted per run and correlation key.
    pub at_most: Option<u32>,
    term: Arc<Term>,
    interests: Vec<Interest>,
    run: Option<(DagId, RunId)>,
}

/// Which events a trigger has to be shown: both patterns accept them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Interest {
    /// Of the event's namespace.
    pub namespace: Pattern,
    /// Of the event's key.
    pub key: Pattern,
    /// Of which runs, when the event is a run's.
    pub reach: Reach,
}

/// Whether a trigger on a task sees the events of other runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reach {
    /// Only those of its own run, and those that are no run's.
    OwnRun,
    /// Those of every run: the term names another Dag.
    AnyRun,
}

impl TriggerSpec {
    /// Reads `{"version": 1, "name"?: .., "on": condition, "do": action, "at_most"?: n}` and compiles its filters.
    ///
    /// # Errors
    /// [`SpecError`], which names the part that is wrong.
    pub fn from_json(value: &Value) -> Result<Self, SpecError> {
        let part = Part::new("trigger", value, &["version", "name", "on", "do", "at_most"])?;
        match part.get("version") {
            Some(version) if version.as_u64() == Some(1) => {}
            other => return Err(SpecError::Version(other.map_or("none".to_owned(), Value::to_string))),
        }
        let on = part.need("on")?;
        let event = on.get("event").ok_or_else(|| wrong("on", "it is no condition"))?;
        let term = Term::event("on.event", event)?;
        let interest =
            Interest { namespace: term.namespace.clone(), key: term.key.clone(), reach: Reach::OwnRun };
        Ok(Self {
            name: part.text("name")?.map(str::to_owned),
            action: Action::from_json(part.need("do")?)?,
            at_most: part.count("at_most")?,
            term: Arc::new(term),
            interests: vec![interest],
            run: None,
        })
    }

    /// The same trigger in its place: on a Dag, or on a task in one run. `trigger_id` is the key of its ticks.
    #[must_use]
    pub fn bound_to(&self, _dag_id: &DagId, run_id: Option<&RunId>, _trigger_id: i64) -> Self {
        let run = run_id.map(|run_id| (_dag_id.clone(), run_id.clone()));
        Self { run, ..self.clone() }
    }

    /// Which events it has to be shown. For an index of triggers; complete once it is bound.
    pub fn interests(&self) -> &[Interest] {
        &self.interests
    }

    /// Which of the trigger's progresses an event belongs to: the value of the field that the condition is kept apart
    /// by. `None` when it is not kept apart, or the event lacks the field.
    pub fn correlation(&self, _event: &Event) -> Option<String> {
        None
    }

    /// Whether [`super::Input::Time`] is wanted as soon as the trigger begins to watch, before any event.
    pub fn watches_time(&self) -> bool {
        false
    }

    pub(super) fn sees(&self, event: &Event) -> bool {
        match (&self.run, &event.scope) {
            (Some((dag_id, run_id)), Scope::Run { .. }) => event.scope.is_run(dag_id, run_id),
            _ => true,
        }
    }

    pub(super) fn term(&self) -> &Term {
        &self.term
    }
}
