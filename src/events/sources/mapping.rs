//! How a message becomes an event. Always: what cannot be understood is an event that says so.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};
use slipstream_core::event::AIRFLOW_NAMESPACE;

use super::config::Kind;
use super::fields::Fields;
use super::message::Message;
use crate::events::access;
use crate::events::cloudevent::{self, Defaults};
use crate::store::events::NewEvent;

/// The type, and the key, of an event for a message that could not be understood.
pub(super) const UNREADABLE: &str = "source.unreadable";
/// How much of such a message is kept.
const KEPT: usize = 1000;

/// How a message becomes an event, as it is configured.
#[derive(Clone, Debug)]
pub(super) struct Mapping {
    /// The source's name.
    name: String,
    /// Before the names of extension attributes.
    kind: &'static str,
    /// The namespace of all its events; without one CloudEvents may say it.
    namespace: Option<String>,
    /// The type of its events, or what stands before the value of `type_header`.
    event_type: String,
    /// The header that says what happened.
    type_header: Option<String>,
    key: Key,
    format: Format,
}

#[derive(Clone, Debug)]
enum Key {
    /// Kafka's key, NATS's subject.
    Own,
    /// Kafka's topic.
    Topic,
    /// JSON pointer into the body.
    Pointer(String),
}

#[derive(Clone, Copy, Debug, Default)]
enum Format {
    /// JSON, or else text, or else bytes.
    #[default]
    Auto,
    Json,
    Text,
    Bytes,
}

impl Mapping {
    pub(super) fn read(name: &str, kind: &Kind, fields: &mut Fields) -> Result<Self, String> {
        let formats = [
            ("auto", Format::Auto),
            ("json", Format::Json),
            ("text", Format::Text),
            ("bytes", Format::Bytes),
        ];
        let kind = kind.name();
        let keys = match kind {
            "kafka" => "must be \"message\", \"topic\" or a JSON pointer such as /order/id",
            _ => "must be \"subject\" or a JSON pointer such as /order/id",
        };
        let key = match (kind, fields.text("key")?.as_deref()) {
            (_, None) | ("kafka", Some("message")) | ("nats", Some("subject")) => Key::Own,
            ("kafka", Some("topic")) => Key::Topic,
            (_, Some(pointer)) if pointer.starts_with('/') => Key::Pointer(pointer.to_owned()),
            _ => return Err(fields.wrong("key", keys)),
        };
        let mapping = Self {
            name: name.to_owned(),
            kind,
            namespace: fields.text("namespace")?,
            event_type: fields.text("type")?.unwrap_or_else(|| name.to_owned()),
            type_header: fields.text("type_header")?,
            key,
            format: fields.word("format", &formats)?.unwrap_or_default(),
        };
        if mapping.namespace.as_deref() == Some(AIRFLOW_NAMESPACE) {
            return Err(
                fields.wrong("namespace", &format!("names the reserved namespace `{AIRFLOW_NAMESPACE}`"))
            );
        }
        let probe = NewEvent::new("probe", "probe", DateTime::UNIX_EPOCH);
        let typed = NewEvent { event_type: mapping.event_type.clone(), ..probe.clone() };
        typed.check().map_err(|error| fields.wrong("type", &format!("cannot be used: {error}")))?;
        let named = NewEvent { namespace: mapping.namespace.clone().unwrap_or(probe.namespace), ..typed };
        named.check().map_err(|error| fields.wrong("namespace", &format!("cannot be used: {error}")))?;
        Ok(mapping)
    }

    /// The event of a message; `limit`: most bytes of its data.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) fn event(
        &self,
        message: &Message,
        limit: usize,
        now: DateTime<Utc>,
    ) -> Result<NewEvent, String> {
        let content = message.header("content-type").unwrap_or_default();
        let media = content.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        let is_plain = !media.starts_with("application/cloudevents")
            && cloud_attribute(message, "specversion").is_none();
        let mut event = match &*media {
            "application/cloudevents+json" => self.structured(message, now)?,
            media if media.starts_with("application/cloudevents") => {
                return Err(format!("content type `{media}` is not known; send one CloudEvent in JSON"));
            }
            _ if is_plain => self.plain(message, now)?,
            _ => self.binary(message, content, now)?,
        };
        if let Some(namespace) = &self.namespace {
            event.namespace.clone_from(namespace);
        }
        if !is_plain {
            access::from_outside(&event).map_err(|error| error.to_string())?;
        }
        event.check_with_size(limit).map_err(|error| error.to_string())?;
        Ok(event)
    }

    /// The event that says that a message could not be understood.
    pub(super) fn unreadable(&self, message: &Message, why: &str, now: DateTime<Utc>) -> NewEvent {
        let begin: String =
            String::from_utf8_lossy(&message.body[..message.body.len().min(KEPT)]).replace('\0', "\u{fffd}");
        let mut event = self.outline(message, UNREADABLE, now);
        event.namespace = self.namespace.clone().unwrap_or(event.namespace);
        event.data = json!({
            "source": self.name, "partition": message.partition, "offset": message.offset,
            "reason": why, "bytes": message.body.len(), "begin": begin,
        });
        event
    }

    /// The event that says that the database refused one.
    pub(super) fn refused(&self, event: &NewEvent, why: &str) -> NewEvent {
        let mut told = NewEvent::new(&format!("/sources/{}", self.name), UNREADABLE, event.time);
        told.namespace.clone_from(&event.namespace);
        told.data = json!({
            "source": self.name, "reason": why, "event": {"source": event.source, "id": event.id, "type": event.event_type},
        });
        told
    }

    /// An event without key and data.
    fn outline(&self, message: &Message, event_type: &str, now: DateTime<Utc>) -> NewEvent {
        let mut event =
            NewEvent::new(&format!("/sources/{}", self.name), event_type, message.time.unwrap_or(now));
        event.id = message.id();
        event.extensions = self.whereabouts(message);
        event
    }

    /// Where it was read, as extension attributes: `kafkatopic`, `kafkapartition`, `kafkaoffset`, …
    fn whereabouts(&self, message: &Message) -> Map<String, Value> {
        let mut map = Map::new();
        match self.kind {
            "kafka" => {
                let number = message.partition.rsplit('/').next().and_then(|text| text.parse::<i64>().ok());
                map.insert("kafkatopic".to_owned(), message.topic.clone().into());
                map.insert("kafkapartition".to_owned(), number.into());
                map.insert("kafkaoffset".to_owned(), message.offset.into());
            }
            _ => {
                map.insert("natssubject".to_owned(), message.topic.clone().into());
                map.insert("natssequence".to_owned(), message.offset.into());
            }
        }
        map
    }

    fn plain(&self, message: &Message, now: DateTime<Utc>) -> Result<NewEvent, String> {
        let happened = self.type_header.as_deref().and_then(|header| message.header(header));
        let event_type =
            happened.map_or_else(|| self.event_type.clone(), |what| format!("{}.{what}", self.event_type));
        let mut event = self.outline(message, &event_type, now);
        event.data = self.data(message, &mut event.extensions)?;
        if let Some(key) = self.key(message, &event.data) {
            event.key = key;
        }
        Ok(event)
    }

    fn data(&self, message: &Message, extensions: &mut Map<String, Value>) -> Result<Value, String> {
        if message.body.is_empty() {
            return Ok(Value::Null);
        }
        let json = || serde_json::from_slice::<Value>(&message.body);
        let text = || std::str::from_utf8(&message.body).map(|text| Value::String(text.to_owned()));
        let mut bytes = || {
            extensions.insert(cloudevent::ENCODING.to_owned(), "base64".into());
            Value::String(BASE64_STANDARD.encode(&message.body))
        };
        match self.format {
            Format::Json => json().map_err(|error| format!("the body is not JSON: {error}")),
            Format::Text => text().map_err(|_| "the body is not text in UTF-8".to_owned()),
            Format::Bytes => Ok(bytes()),
            Format::Auto => Ok(json().or_else(|_| text()).unwrap_or_else(|_| bytes())),
        }
    }

    fn key(&self, message: &Message, data: &Value) -> Option<String> {
        match &self.key {
            Key::Pointer(pointer) => match data.pointer(pointer)? {
                Value::Null => None,
                Value::String(text) => Some(text.clone()),
                other => Some(other.to_string()),
            },
            Key::Topic => Some(message.topic.clone()),
            Key::Own => {
                let key = message.key.as_deref().filter(|key| !key.is_empty())?;
                let printable =
                    std::str::from_utf8(key).ok().filter(|text| !text.chars().any(char::is_control));
                Some(printable.map_or_else(|| BASE64_STANDARD.encode(key), str::to_owned))
            }
        }
    }

    /// A CloudEvent in the body.
    fn structured(&self, message: &Message, now: DateTime<Utc>) -> Result<NewEvent, String> {
        let body: Value = serde_json::from_slice(&message.body)
            .map_err(|error| format!("the body is not JSON: {error}"))?;
        self.cloud_event(body, message, now)
    }

    /// A CloudEvent with its attributes in headers.
    fn binary(&self, message: &Message, content: &str, now: DateTime<Utc>) -> Result<NewEvent, String> {
        let mut map = Map::new();
        for (name, value) in &message.headers {
            let Some(name) = attribute_name(name) else { continue };
            let text = std::str::from_utf8(value)
                .map_err(|_| format!("the header of attribute `{name}` is not text in UTF-8"))?;
            // The binding for NATS encodes them as the one for HTTP does, the binding for Kafka does not.
            let text = match self.kind {
                "nats" => percent_encoding::percent_decode_str(text).decode_utf8_lossy(),
                _ => text.into(),
            };
            map.insert(name, text.into_owned().into());
        }
        if !content.is_empty() {
            map.insert("datacontenttype".to_owned(), content.into());
        }
        let mut marks = Map::new();
        let data = self.data(message, &mut marks)?;
        if !data.is_null() {
            map.insert(if marks.is_empty() { "data" } else { "data_base64" }.to_owned(), data);
        }
        self.cloud_event(Value::Object(map), message, now)
    }

    fn cloud_event(
        &self,
        mut value: Value,
        message: &Message,
        now: DateTime<Utc>,
    ) -> Result<NewEvent, String> {
        if let Value::Object(map) = &mut value
            && !map.contains_key("subject")
            && let Some(key) = self.key(message, map.get("data").unwrap_or(&Value::Null))
        {
            map.insert("subject".to_owned(), key.into());
        }
        let mut event = cloudevent::read(value, &Defaults::default(), message.time.unwrap_or(now))
            .map_err(|error| error.to_string())?;
        for (name, value) in self.whereabouts(message) {
            event.extensions.insert(name, value);
        }
        Ok(event)
    }
}

/// The name of the attribute that a header has: `ce_id` in Kafka, `ce-id` in NATS.
fn attribute_name(header: &str) -> Option<String> {
    let name = header.to_ascii_lowercase();
    name.strip_prefix("ce_").or_else(|| name.strip_prefix("ce-")).map(str::to_owned)
}

fn cloud_attribute<'m>(message: &'m Message, name: &str) -> Option<&'m [u8]> {
    let found = message.headers.iter().find(|(header, _)| attribute_name(header).as_deref() == Some(name));
    found.map(|(_, value)| value.as_slice())
}
