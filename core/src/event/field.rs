//! A value inside an event, named by a path such as `data.shard`.

use std::borrow::Cow;

use serde_json::Value;

use super::{Event, SpecError};

/// The path to a value: `key`, `type`, `namespace`, `source`, `id`, `sender`, `time`, `data…` or `extensions…`, the
/// last two with the names inside them after dots. A name may be a list's index.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Field {
    path: String,
}

impl Field {
    /// Reads a path.
    ///
    /// # Errors
    /// [`SpecError::Field`] for a path that begins with no attribute of an event, or has an empty name in it.
    pub fn new(path: &str) -> Result<Self, SpecError> {
        let mut names = path.split('.');
        let root = names.next().unwrap_or_default();
        let plain = ["key", "type", "namespace", "source", "id", "sender", "time"].contains(&root);
        let deep = ["data", "extensions"].contains(&root);
        let inner = names.clone().count();
        if !(plain && inner == 0 || deep && names.all(|name| !name.is_empty())) {
            return Err(SpecError::Field(path.to_owned()));
        }
        Ok(Self { path: path.to_owned() })
    }

    /// The path as it was written.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The value, `None` when the event has none there.
    pub fn value<'a>(&self, event: &'a Event) -> Option<Cow<'a, Value>> {
        let text = |text: &str| Some(Cow::Owned(Value::from(text)));
        let mut names = self.path.split('.');
        let mut value = match names.next()? {
            "key" => return text(&event.key),
            "type" => return text(&event.event_type),
            "namespace" => return text(&event.namespace),
            "source" => return text(&event.source),
            "id" => return text(&event.id),
            "sender" => return text(event.sender.as_deref()?),
            "time" => return text(&event.time.to_rfc3339()),
            "data" => &event.data,
            _ => match names.next() {
                Some(name) => event.extensions.get(name)?,
                None => return Some(Cow::Owned(Value::Object(event.extensions.clone()))),
            },
        };
        for name in names {
            value = match value {
                Value::Object(map) => map.get(name)?,
                Value::Array(items) => items.get(name.parse::<usize>().ok()?)?,
                _ => return None,
            };
        }
        Some(Cow::Borrowed(value))
    }

    /// The value as a text: a string as it is, a number or truth value as JSON writes it, nothing else.
    pub fn text(&self, event: &Event) -> Option<String> {
        match &*self.value(event)? {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            Value::Bool(flag) => Some(flag.to_string()),
            _ => None,
        }
    }

    /// The value as a number.
    pub fn number(&self, event: &Event) -> Option<f64> {
        self.value(event)?.as_f64()
    }
}

impl std::fmt::Display for Field {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.path)
    }
}
