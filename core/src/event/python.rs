//! A Python function as the filter of last resort. It is not called here: what is to be asked is told ([`questions`]), and
//! what it answered comes back with the event ([`super::Input::Asked`]).

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::read::Part;
use super::{EvalError, Event, Progress, SpecError, TriggerSpec};

/// How long an answer may take unless the trigger says otherwise, and at most; seconds.
const USUAL_LIMIT: f64 = 5.0;
const LONGEST_LIMIT: f64 = 60.0;

/// A function that is called with an event and what it remembers, and says whether the event counts.
#[derive(Clone, Debug, PartialEq)]
pub struct Predicate {
    /// Its name; with its module when it has no source.
    pub function: String,
    /// Its text, when it comes with the Dag file; else it is imported.
    pub source: Option<String>,
    /// How long one answer may take, in seconds.
    pub limit: f64,
}

/// What is to be asked about an event.
#[derive(Clone, Debug, PartialEq)]
pub struct Question {
    /// The part of the condition that asks.
    pub part: u16,
    /// Whom.
    pub predicate: Arc<Predicate>,
    /// What it remembers; null in the beginning.
    pub state: Value,
}

/// Whether an event counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passes {
    /// As if there were no predicate.
    Yes,
    /// As if a filter had declined it.
    No,
}

/// What a predicate answered.
#[derive(Clone, Debug, PartialEq)]
pub struct Reply {
    /// Whether the event counts.
    pub passes: Passes,
    /// What it remembers from now on.
    pub state: Value,
}

/// The answers about one event, by the part that asked.
pub type Answers = BTreeMap<u16, Reply>;

impl Predicate {
    /// Reads the inside of `{"python": {..}}`, but for its `of`.
    pub(super) fn read(part: &Part<'_>) -> Result<Self, SpecError> {
        let function = part.text("function")?.ok_or_else(|| part.wrong("function", "it is missing"))?;
        let source = part.text("source")?.map(str::to_owned);
        let names: Vec<&str> = function.split('.').collect();
        let is_name = |name: &&str| {
            name.chars().all(|char| char.is_alphanumeric() || char == '_')
                && name.chars().next().is_some_and(|first| !first.is_numeric())
        };
        let fits = if source.is_some() { names.len() == 1 } else { names.len() > 1 };
        if !fits || !names.iter().all(is_name) {
            return Err(part.wrong("function", "it is not `module.function`, or with `source` just a name"));
        }
        let limit = part.number("limit")?.unwrap_or(USUAL_LIMIT);
        if !(limit > 0.0 && limit <= LONGEST_LIMIT) {
            let message = format!("it is not a time in seconds of more than 0 and at most {LONGEST_LIMIT}");
            return Err(part.wrong("limit", &message));
        }
        Ok(Self { function: function.to_owned(), source, limit })
    }
}

/// What has to be asked before the event can be put to the trigger; nothing when it was judged before.
///
/// # Errors
/// As [`super::step`].
pub fn questions(spec: &TriggerSpec, progress: &Progress, event: &Event) -> Result<Vec<Question>, EvalError> {
    if !spec.asks_python() || super::is_over(spec, progress) || event.position <= progress.position {
        return Ok(Vec::new());
    }
    super::step::asked(spec, progress, event)
}
