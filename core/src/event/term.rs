//! One term of a condition: which single events it expects.

use serde_json::Value;

use super::filter::Filter;
use super::read::Part;
use super::{DEFAULT_NAMESPACE, EvalError, Event, Pattern, SpecError};

/// Which single events a term expects.
#[derive(Debug)]
pub(super) struct Term {
    pub(super) namespace: Pattern,
    pub(super) key: Pattern,
    event_type: Pattern,
    source: Pattern,
    sender: Pattern,
    filter: Option<Filter>,
}

/// What a term says to an event.
pub(super) enum Answer {
    /// It is another's event.
    NotMine,
    /// It is the term's by its attributes; the filter declined it.
    Declined,
    /// It matches.
    Match,
}

impl Term {
    /// Reads `{"event": {..}}`'s inside.
    pub(super) fn event(place: &str, value: &Value) -> Result<Self, SpecError> {
        let known = ["key", "type", "namespace", "source", "sender", "where", "repeated", "latest"];
        let part = Part::new(place, value, &known)?;
        let pattern = |name: &str, default: &str| -> Result<Pattern, SpecError> {
            Ok(part.text(name)?.unwrap_or(default).into())
        };
        Ok(Self {
            namespace: pattern("namespace", DEFAULT_NAMESPACE)?,
            key: pattern("key", "*")?,
            event_type: pattern("type", "*")?,
            source: pattern("source", "*")?,
            sender: pattern("sender", "*")?,
            filter: part.text("where")?.map(Filter::new).transpose()?,
        })
    }

    pub(super) fn answer(&self, event: &Event) -> Result<Answer, EvalError> {
        let mine = self.namespace.accepts(&event.namespace)
            && self.key.accepts(&event.key)
            && self.event_type.accepts(&event.event_type)
            && self.source.accepts(&event.source)
            && self.sender.accepts(event.sender.as_deref().unwrap_or_default());
        if !mine {
            return Ok(Answer::NotMine);
        }
        let accepted = self.filter.as_ref().map_or(Ok(true), |filter| filter.accepts(event))?;
        Ok(if accepted { Answer::Match } else { Answer::Declined })
    }

    pub(super) fn filter(&self) -> Option<&str> {
        self.filter.as_ref().map(Filter::text)
    }
}
