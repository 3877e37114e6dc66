//! One term of a condition: which single events it expects.

use serde_json::Value;

use super::filter::Filter;
use super::read::{Part, wrong};
use super::tick::Rhythm;
use super::{
    AIRFLOW_NAMESPACE, ASSET_TYPE, DAG_RUN_TYPE, DEFAULT_NAMESPACE, EvalError, Event, Field, Pattern, Reach,
    Scope, SpecError, TASK_INSTANCE_TYPE, TICK_TYPE,
};
use crate::ids::{DagId, RunId};
use crate::state::{RunState, TaskState};

/// Which single events a term expects.
#[derive(Debug)]
pub(super) struct Term {
    pub(super) namespace: Pattern,
    key: Key,
    /// One of them has to accept the type.
    types: Vec<Pattern>,
    source: Pattern,
    sender: Pattern,
    map_index: Option<i64>,
    filter: Option<Filter>,
    /// What the condition's state is kept apart by.
    pub(super) by: Option<Field>,
    /// Whether a match stays after a firing.
    pub(super) life: Life,
    /// What an event does to the memory that only the filter declines.
    pub(super) declined: Declined,
    pub(super) rhythm: Option<Rhythm>,
}

/// How long a match lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    /// Until the firing that it takes part in.
    Once,
    /// For every further firing, too.
    Repeated,
}

/// What becomes of an earlier match when the filter declines a later event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Declined {
    /// It stays.
    Keeps,
    /// It is forgotten: only the latest event counts.
    Forgets,
}

/// The key of the events, which may depend on the trigger's place.
#[derive(Debug)]
enum Key {
    Pattern(Pattern),
    /// A task of the Dag that the trigger is in.
    OwnTask(String),
    /// The Dag that the trigger is in.
    OwnDag,
    /// The trigger's own ticks.
    OwnTicks,
}

/// Where a trigger stands.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) dag_id: DagId,
    pub(super) run_id: Option<RunId>,
    pub(super) trigger_id: i64,
}

/// What a term says to an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// It is another's event.
    NotMine,
    /// It lacks the field that the state is kept apart by, or belongs to another key.
    OtherKey,
    /// It is the term's by its attributes; the filter declined it.
    Declined,
    /// It matches.
    Match,
}

impl Term {
    fn new(namespace: Pattern, key: Key, types: Vec<Pattern>) -> Self {
        Self {
            namespace,
            key,
            types,
            source: Pattern::Any,
            sender: Pattern::Any,
            map_index: None,
            filter: None,
            by: None,
            life: Life::Once,
            declined: Declined::Keeps,
            rhythm: None,
        }
    }

    fn airflow(key: Key, types: Vec<Pattern>) -> Self {
        Self::new(Pattern::exact(AIRFLOW_NAMESPACE), key, types)
    }

    fn with_common(mut self, part: &Part<'_>) -> Result<Self, SpecError> {
        self.filter = part.text("where")?.map(Filter::new).transpose()?;
        if part.flag("repeated")? {
            self.life = Life::Repeated;
        }
        if part.flag("latest")? {
            self.declined = Declined::Forgets;
        }
        Ok(self)
    }

    /// Reads the inside of `{"event": {..}}`.
    pub(super) fn event(place: &str, value: &Value) -> Result<Self, SpecError> {
        let known = ["key", "type", "namespace", "source", "sender", "where", "repeated", "latest"];
        let part = Part::new(place, value, &known)?;
        let pattern = |name: &str, default: &str| pattern(&part, name, part.text(name)?.unwrap_or(default));
        let key = Key::Pattern(pattern("key", "*")?);
        let mut term = Self::new(pattern("namespace", DEFAULT_NAMESPACE)?, key, vec![pattern("type", "*")?]);
        term.source = pattern("source", "*")?;
        term.sender = pattern("sender", "*")?;
        term.with_common(&part)
    }

    /// Reads the inside of `{"task_state": {..}}`.
    pub(super) fn task_state(place: &str, value: &Value) -> Result<Self, SpecError> {
        let known = ["dag_id", "task_id", "states", "map_index", "where", "repeated", "latest"];
        let part = Part::new(place, value, &known)?;
        let task_id = part.text("task_id")?.ok_or_else(|| part.wrong("task_id", "it is missing"))?;
        let key = match part.text("dag_id")? {
            Some(dag_id) => Key::Pattern(Pattern::exact(format!("{dag_id}.{task_id}"))),
            None => Key::OwnTask(task_id.to_owned()),
        };
        let mut term = Self::airflow(key, types(&part, task_state_type)?);
        term.map_index = match part.get("map_index") {
            Some(index) => {
                Some(index.as_i64().ok_or_else(|| part.wrong("map_index", "it is not a whole number"))?)
            }
            None => None,
        };
        term.with_common(&part)
    }

    /// Reads the inside of `{"run_state": {..}}`.
    pub(super) fn run_state(place: &str, value: &Value) -> Result<Self, SpecError> {
        let part = Part::new(place, value, &["dag_id", "states", "where", "repeated", "latest"])?;
        let key = match part.text("dag_id")? {
            Some(dag_id) => Key::Pattern(Pattern::exact(dag_id)),
            None => Key::OwnDag,
        };
        let state = |text: &str| match text.parse::<RunState>() {
            Ok(state) => Ok(format!("{DAG_RUN_TYPE}{state}")),
            Err(_) => Err(no_state(text)),
        };
        Self::airflow(key, types(&part, state)?).with_common(&part)
    }

    /// Reads the inside of `{"asset": {..}}`.
    pub(super) fn asset(place: &str, value: &Value) -> Result<Self, SpecError> {
        let part = Part::new(place, value, &["uri", "where", "repeated", "latest"])?;
        let uri = part.text("uri")?.ok_or_else(|| part.wrong("uri", "it is missing"))?;
        Self::airflow(Key::Pattern(pattern(&part, "uri", uri)?), vec![Pattern::exact(ASSET_TYPE)])
            .with_common(&part)
    }

    /// Reads the inside of `{"tick": {..}}`.
    pub(super) fn tick(place: &str, value: &Value) -> Result<Self, SpecError> {
        let part = Part::new(place, value, &["cron", "timezone", "interval", "repeated"])?;
        let mut term = Self::airflow(Key::OwnTicks, vec![Pattern::exact(TICK_TYPE)]).with_common(&part)?;
        term.rhythm = Some(Rhythm::read(place, &part)?);
        Ok(term)
    }

    /// The pattern of the keys, for a trigger in its place.
    pub(super) fn key_in(&self, place: Option<&Place>) -> Pattern {
        match (&self.key, place) {
            (Key::Pattern(pattern), _) => pattern.clone(),
            (_, None) => Pattern::Any,
            (Key::OwnTask(task_id), Some(place)) => Pattern::exact(format!("{}.{task_id}", place.dag_id)),
            (Key::OwnDag, Some(place)) => Pattern::exact(place.dag_id.as_str()),
            (Key::OwnTicks, Some(place)) => Pattern::exact(place.trigger_id.to_string()),
        }
    }

    /// A term that names a task or run of another Dag looks into its runs.
    pub(super) fn reach(&self) -> Reach {
        let airflow = self.namespace == Pattern::exact(AIRFLOW_NAMESPACE);
        match self.key {
            Key::Pattern(_) if airflow => Reach::AnyRun,
            _ => Reach::OwnRun,
        }
    }

    /// Whether the event is the term's by its attributes. `number` is the term's place in the condition.
    pub(super) fn expects(&self, event: &Event, key: &Pattern, number: usize, place: Option<&Place>) -> bool {
        self.namespace.accepts(&event.namespace)
            && key.accepts(&event.key)
            && self.types.iter().any(|pattern| pattern.accepts(&event.event_type))
            && self.source.accepts(&event.source)
            && self.sender.accepts(event.sender.as_deref().unwrap_or_default())
            && self.reaches(event, place)
            && self.map_index.is_none_or(|index| event.data.get("map_index") == Some(&index.into()))
            && (self.rhythm.is_none() || event.data.get("term") == Some(&number.into()))
    }

    fn reaches(&self, event: &Event, place: Option<&Place>) -> bool {
        let Some(Place { dag_id, run_id: Some(run_id), .. }) = place else { return true };
        if self.reach() == Reach::AnyRun {
            return true;
        }
        match (&event.scope, &self.key) {
            (Scope::Run { .. }, _) => event.scope.is_run(dag_id, run_id),
            (Scope::All, Key::OwnTask(_) | Key::OwnDag) => {
                event.data.get("run_id").and_then(Value::as_str) == Some(run_id.as_str())
            }
            (Scope::All, _) => true,
        }
    }

    /// Whether the filter accepts an event that the term expects.
    pub(super) fn accepts(&self, event: &Event) -> Result<bool, EvalError> {
        self.filter.as_ref().map_or(Ok(true), |filter| filter.accepts(event))
    }

    pub(super) fn filter(&self) -> Option<&str> {
        self.filter.as_ref().map(Filter::text)
    }
}

/// A text with a `*` at its end at most: what looks like a pattern and is none would never match.
fn pattern(part: &Part<'_>, name: &str, text: &str) -> Result<Pattern, SpecError> {
    let problem = || {
        format!(
            "in `{text}` there is a `*` before the end; only `*` alone and prefixes such as `model.*` work"
        )
    };
    match text.strip_suffix('*').unwrap_or(text).contains('*') {
        true => Err(part.wrong(name, &problem())),
        false => Ok(text.into()),
    }
}

/// `states`: at least one, each with its type of event.
fn types(
    part: &Part<'_>,
    event_type: impl Fn(&str) -> Result<String, String>,
) -> Result<Vec<Pattern>, SpecError> {
    let states = part.need("states")?.as_array().filter(|states| !states.is_empty());
    let states = states.ok_or_else(|| part.wrong("states", "it is not a list of at least one state"))?;
    let read = |state: &Value| {
        let text = state.as_str().ok_or_else(|| format!("{state} is no state"));
        text.and_then(&event_type).map(Pattern::exact).map_err(|problem| part.wrong("states", &problem))
    };
    states.iter().map(read).collect()
}

fn no_state(text: &str) -> String {
    format!("{text:?} is no state")
}

/// The type of the event that tells a state of a task instance. States are read from rows, and the two before `running`
/// leave no trace in them once they are over: who waited for them would mostly wait in vain.
fn task_state_type(text: &str) -> Result<String, String> {
    match text.parse::<TaskState>() {
        Ok(state @ (TaskState::Scheduled | TaskState::Queued)) => {
            Err(format!("`{state}` is often over before it is seen; wait for `running`"))
        }
        Ok(state) => Ok(format!("{TASK_INSTANCE_TYPE}{state}")),
        Err(_) => Err(no_state(text)),
    }
}

impl std::fmt::Display for Term {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let last = |pattern: &Pattern| {
            let text = pattern.to_string();
            text.rsplit('.').next().unwrap_or_default().to_owned()
        };
        let states = || self.types.iter().map(last).collect::<Vec<_>>().join(" or ");
        match (&self.key, &self.rhythm) {
            (_, Some(rhythm)) => write!(f, "tick {rhythm}"),
            (Key::OwnTask(task_id), _) => write!(f, "task `{task_id}` {}", states()),
            (Key::OwnDag, _) => write!(f, "run {}", states()),
            (Key::Pattern(key), _) if self.reach() == Reach::AnyRun => write!(f, "`{key}` {}", states()),
            (Key::Pattern(Pattern::Any), _) => write!(f, "event of type `{}`", self.types[0]),
            (Key::Pattern(key), _) => write!(f, "event `{key}`"),
            (Key::OwnTicks, None) => f.write_str("tick"),
        }
    }
}

/// Checks that a condition is kept apart by a field in all of its terms, or in none.
pub(super) fn check_fields(terms: &[Term]) -> Result<(), SpecError> {
    let with = terms.iter().find(|term| term.by.is_some());
    let without = terms.iter().find(|term| term.by.is_none());
    match (with, without) {
        (Some(with), Some(without)) => Err(wrong(
            "on",
            format!(
                "{with} is kept apart by a field and {without} is not: give every term its field with `by`"
            ),
        )),
        _ => Ok(()),
    }
}
