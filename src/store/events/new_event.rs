//! An event that is to be appended.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use slipstream_core::event::{DEFAULT_NAMESPACE, Event, Position, Scope};
use uuid::Uuid;

/// An [`Event`] that has no position yet.
#[derive(Clone, Debug, PartialEq)]
pub struct NewEvent {
    /// Extension attribute `namespace`.
    pub namespace: String,
    /// Attribute `subject`, or the type when there is none.
    pub key: String,
    /// Attribute `type`.
    pub event_type: String,
    /// Attribute `source`; together with `id` it names the event.
    pub source: String,
    /// Attribute `id`.
    pub id: String,
    /// Extension attribute `sender`.
    pub sender: Option<String>,
    /// When it happened, on the sender's clock.
    pub time: DateTime<Utc>,
    /// Whose triggers on tasks see it.
    pub scope: Scope,
    /// What it tells.
    pub data: Value,
    /// The other attributes.
    pub extensions: Map<String, Value>,
}

/// Why an event cannot be stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    /// An attribute that must have a value has none.
    #[error("attribute `{0}` is empty")]
    Empty(&'static str),
    /// An attribute is too long to be indexed.
    #[error("attribute `{attribute}` has {bytes} bytes; at most {limit} are allowed")]
    TooLong {
        /// Which.
        attribute: &'static str,
        /// Its length.
        bytes: usize,
        /// The longest that is allowed.
        limit: usize,
    },
    /// An attribute has a control character in it.
    #[error("attribute `{0}` contains a control character")]
    ControlCharacter(&'static str),
    /// PostgreSQL can keep no zero character, and whatever follows from the event would fail there.
    #[error(
        "the data contains the character U+0000 (`\\u0000` in JSON), which databases do not keep: leave it out, or send the \
         data as Base64"
    )]
    ZeroCharacter,
    /// Data and extension attributes are too large together.
    #[error(
        "the event has {bytes} bytes of data; [slipstream] event_max_bytes allows {limit}: store large data elsewhere and send a reference"
    )]
    TooLarge {
        /// Their size as JSON.
        bytes: usize,
        /// The largest that is allowed.
        limit: usize,
    },
}

impl NewEvent {
    /// An event of a type in the default namespace, with a new id, its type as key and no data.
    pub fn new(source: &str, event_type: &str, now: DateTime<Utc>) -> Self {
        Self {
            namespace: DEFAULT_NAMESPACE.to_owned(),
            key: event_type.to_owned(),
            event_type: event_type.to_owned(),
            source: source.to_owned(),
            id: Uuid::now_v7().to_string(),
            sender: None,
            time: now,
            scope: Scope::All,
            data: Value::Null,
            extensions: Map::new(),
        }
    }

    /// The event at its place in the log.
    pub fn at(self, position: Position) -> Event {
        Event {
            position,
            namespace: self.namespace,
            key: self.key,
            event_type: self.event_type,
            source: self.source,
            id: self.id,
            sender: self.sender,
            time: self.time,
            scope: self.scope,
            data: self.data,
            extensions: self.extensions,
        }
    }

    /// Whether it can be stored and indexed.
    ///
    /// # Errors
    /// [`EventError`]: an attribute is empty, too long or not printable.
    pub fn check(&self) -> Result<(), EventError> {
        attribute("namespace", &self.namespace, 250)?;
        attribute("subject", &self.key, 1500)?;
        attribute("type", &self.event_type, 500)?;
        attribute("source", &self.source, 1500)?;
        attribute("id", &self.id, 500)?;
        if let Some(sender) = &self.sender {
            attribute("sender", sender, 500)?;
        }
        if let Scope::Run { dag_id, run_id } = &self.scope {
            attribute("dagid", dag_id.as_str(), 250)?;
            attribute("runid", run_id.as_str(), 250)?;
        }
        Ok(())
    }

    /// Whether it can be stored and its data has at most `limit` bytes.
    ///
    /// # Errors
    /// [`EventError`].
    pub fn check_with_size(&self, limit: usize) -> Result<(), EventError> {
        self.check()?;
        if has_zero(&self.data) || self.extensions.values().any(has_zero) {
            return Err(EventError::ZeroCharacter);
        }
        let bytes = json_length(&self.data)
            + self.extensions.iter().map(|(name, value)| name.len() + json_length(value)).sum::<usize>();
        if bytes > limit { Err(EventError::TooLarge { bytes, limit }) } else { Ok(()) }
    }
}

/// Whether a text in a value, or a name, has a zero character in it.
fn has_zero(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(has_zero),
        Value::Object(map) => map.iter().any(|(name, value)| name.contains('\0') || has_zero(value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Length of a value as JSON, without making the text.
fn json_length(value: &Value) -> usize {
    struct Counter(usize);
    impl std::io::Write for Counter {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut counter = Counter(0);
    match serde_json::to_writer(&mut counter, value) {
        Ok(()) => counter.0,
        Err(_) => usize::MAX,
    }
}

fn attribute(attribute: &'static str, value: &str, limit: usize) -> Result<(), EventError> {
    if value.is_empty() {
        return Err(EventError::Empty(attribute));
    }
    if value.len() > limit {
        return Err(EventError::TooLong { attribute, bytes: value.len(), limit });
    }
    if value.chars().any(char::is_control) {
        return Err(EventError::ControlCharacter(attribute));
    }
    Ok(())
}
