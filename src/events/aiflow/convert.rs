//! Events as AIFlow's client knows them.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use slipstream_core::event::{DEFAULT_NAMESPACE, Event, Position, Scope};
use uuid::Uuid;

use super::messages::{EventProto, SendEventRequest};
use crate::store::events::{Filter, Glob, Match, NewEvent};

/// AIFlow's type of an event without one.
const UNDEFINED: &str = "UNDEFINED";
const SOURCE: &str = "/aiflow";
/// AIFlow's "everything".
const ANY: &str = "*";

/// The event of a request.
pub(super) fn new_event(request: SendEventRequest, now: DateTime<Utc>) -> NewEvent {
    let id = id(&request);
    let event = request.event.unwrap_or_default();
    let mut data = Map::new();
    data.insert("value".to_owned(), event.value.into());
    if !event.context.is_empty() {
        data.insert("context".to_owned(), event.context.into());
    }
    NewEvent {
        namespace: or(event.namespace, DEFAULT_NAMESPACE),
        key: event.key,
        event_type: or(event.event_type, UNDEFINED),
        source: SOURCE.to_owned(),
        id,
        sender: Some(event.sender).filter(|sender| !sender.is_empty()),
        time: now,
        scope: Scope::All,
        data: data.into(),
        extensions: Map::new(),
    }
}

/// The client's number for the event and what is in it: the client gives the same number to different events when two
/// threads send at once, and neither may be lost.
fn id(request: &SendEventRequest) -> String {
    if !request.enable_idempotence || request.uuid.is_empty() {
        return Uuid::now_v7().to_string();
    }
    let event = request.event.clone().unwrap_or_default();
    let content =
        json!([event.key, event.value, event.event_type, event.context, event.namespace, event.sender]);
    let hash = Sha256::digest(content.to_string().as_bytes());
    format!("{}:{}", request.uuid, hex::encode(&hash[..8]))
}

fn or(text: String, default: &str) -> String {
    if text.is_empty() { default.to_owned() } else { text }
}

/// An event of the log. Data that did not come from such a client is the value as it is, or as JSON.
pub(super) fn proto(event: &Event) -> EventProto {
    let (value, context) = match &event.data {
        Value::Object(map) if event.source == SOURCE => {
            (map.get("value").map(text), map.get("context").map(text))
        }
        data => (Some(text(data)), None),
    };
    EventProto {
        key: event.key.clone(),
        value: value.unwrap_or_default(),
        event_type: event.event_type.clone(),
        context: context.unwrap_or_default(),
        namespace: event.namespace.clone(),
        version: event.position.0,
        create_time: event.time.timestamp_millis(),
        sender: event.sender.clone().unwrap_or_default(),
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// What a client asks for; an empty text or `*` is everything.
#[derive(Debug, Default)]
pub(super) struct Asked {
    pub(super) keys: Vec<String>,
    pub(super) event_type: String,
    pub(super) namespace: String,
    pub(super) sender: String,
    /// In milliseconds; 0: not said.
    pub(super) start_time: i64,
    /// The last version that is wanted; 0: not said.
    pub(super) end_version: i64,
}

impl From<Asked> for Filter {
    fn from(asked: Asked) -> Self {
        let one = |text: &str| {
            if text.is_empty() || text == ANY { Match::default() } else { Match::exact(text) }
        };
        let any_key = asked.keys.iter().any(|key| key == ANY);
        let keys = if any_key { Vec::new() } else { asked.keys };
        let since = DateTime::UNIX_EPOCH.checked_add_signed(TimeDelta::milliseconds(asked.start_time));
        Self {
            namespace: one(&asked.namespace),
            key: Match(keys.into_iter().map(Glob::Exact).collect()),
            event_type: one(&asked.event_type),
            sender: one(&asked.sender),
            since: since.filter(|_| asked.start_time > 0),
            until: Some(Position(asked.end_version)).filter(|until| until.0 > 0),
            ..Self::default()
        }
    }
}
