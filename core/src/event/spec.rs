//! A trigger as it is written: on what, and what then.

use std::sync::Arc;

use serde_json::Value;

use super::describe::describe;
use super::node::Node;
use super::read::Part;
use super::read_condition::Reader;
use super::term::{Place, Term, check_fields};
use super::{Action, Event, Pattern, SpecError};
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
    json: Arc<Value>,
    condition: Arc<(Node, Vec<Term>)>,
    place: Option<Place>,
    /// One for each term.
    interests: Arc<[Interest]>,
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
            Some(other) => return Err(SpecError::Version(other.to_string())),
            None => return Err(SpecError::NoVersion),
        }
        let mut reader = Reader::default();
        let condition = reader.condition(part.need("on")?)?;
        check_fields(&reader.terms)?;
        Ok(Self {
            name: part.text("name")?.map(str::to_owned),
            action: Action::from_json(part.need("do")?)?,
            at_most: part.count("at_most")?,
            json: Arc::new(value.clone()),
            interests: interests(&reader.terms, None),
            condition: Arc::new((condition, reader.terms)),
            place: None,
        })
    }

    /// The same trigger in its place: on a Dag, or on a task in one run. `trigger_id` is the key of its ticks.
    #[must_use]
    pub fn bound_to(&self, dag_id: &DagId, run_id: Option<&RunId>, trigger_id: i64) -> Self {
        let place = Some(Place { dag_id: dag_id.clone(), run_id: run_id.cloned(), trigger_id });
        Self { interests: interests(self.terms(), place.as_ref()), place, ..self.clone() }
    }

    /// What it was read from.
    pub fn json(&self) -> &Value {
        &self.json
    }

    /// Which events it has to be shown. For an index of triggers; narrower once it is bound.
    pub fn interests(&self) -> &[Interest] {
        &self.interests
    }

    /// Which of the trigger's progresses an event belongs to: the value of the field that the condition is kept apart
    /// by. `None` when it is not kept apart, or the event lacks the field.
    pub fn correlation(&self, event: &Event) -> Option<String> {
        self.expecting(event).find_map(|number| self.terms()[number].by.as_ref()?.text(event))
    }

    /// Whether the condition is kept apart by a field, so that each value has a progress of its own.
    pub fn is_correlated(&self) -> bool {
        self.terms().iter().any(|term| term.by.is_some())
    }

    /// Whether a Python function has to be asked about events ([`super::questions`]).
    pub fn asks_python(&self) -> bool {
        let mut asks = false;
        self.condition().each(&mut |node| asks |= matches!(node.kind, super::node::Kind::Python { .. }));
        asks
    }

    /// Whether [`super::Input::Time`] is wanted as soon as the trigger begins to watch, before any event.
    pub fn watches_time(&self) -> bool {
        let ticks = self.terms().iter().any(|term| term.rhythm.is_some());
        !self.is_correlated() && (ticks || self.condition().awaits_absence())
    }

    /// The condition in words.
    pub fn describe(&self) -> String {
        describe(self.condition(), self.terms())
    }

    /// The numbers of the terms that expect an event by its attributes.
    pub(super) fn expecting(&self, event: &Event) -> impl Iterator<Item = usize> {
        let terms = self.terms().iter().zip(&*self.interests).enumerate();
        terms
            .filter(|(number, (term, interest))| {
                term.expects(event, &interest.key, *number, self.place.as_ref())
            })
            .map(|(number, _)| number)
    }

    pub(super) fn condition(&self) -> &Node {
        &self.condition.0
    }

    pub(super) fn terms(&self) -> &[Term] {
        &self.condition.1
    }
}

fn interests(terms: &[Term], place: Option<&Place>) -> Arc<[Interest]> {
    let interest = |term: &Term| Interest {
        namespace: term.namespace.clone(),
        key: term.key_in(place),
        reach: term.reach(),
    };
    terms.iter().map(interest).collect()
}
