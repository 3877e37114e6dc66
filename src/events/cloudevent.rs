//! CloudEvents 1.0 in JSON, and what this log adds to them.
//!
//! | extension attribute | meaning |
//! | --- | --- |
//! | `namespace` | the namespace; `default` without it |
//! | `sender` | who sends |
//! | `scope` | `all`, or `run` for the triggers on tasks of one run only, which `dagid` and `runid` name |
//! | `position` | the place in the log; only in what is read |
//!
//! The key is the attribute `subject`, or `type` where there is none.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value, json};
use slipstream_core::event::{DEFAULT_NAMESPACE, Event, Scope};
use uuid::Uuid;

use crate::store::events::NewEvent;

/// Attribute of ours that marks data as Base64: `data_base64` in JSON.
pub(super) const ENCODING: &str = "dataencoding";

/// Why something is no CloudEvent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CloudEventError {
    /// It is no JSON object.
    #[error("an event must be a JSON object")]
    NotAnObject,
    /// A required attribute is not there.
    #[error("attribute `{0}` is missing")]
    Missing(&'static str),
    /// An attribute has a wrong type or value.
    #[error("attribute `{name}` {why}")]
    Wrong {
        /// Which.
        name: String,
        /// What is wrong with it.
        why: &'static str,
    },
}

fn wrong(name: &str, why: &'static str) -> CloudEventError {
    CloudEventError::Wrong { name: name.to_owned(), why }
}

/// What holds for events that do not say otherwise.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Defaults {
    /// Namespace.
    pub namespace: Option<String>,
    /// Sender.
    pub sender: Option<String>,
    /// Scope, Dag and run, as the attributes of the same names.
    pub scope: Option<String>,
    /// See `scope`.
    pub dag_id: Option<String>,
    /// See `scope`.
    pub run_id: Option<String>,
    /// Source of an event without one; `None`: it must have one, and an id.
    pub source: Option<String>,
}

/// Reads one event.
///
/// # Errors
/// [`CloudEventError`], which names the attribute.
pub fn read(value: Value, defaults: &Defaults, now: DateTime<Utc>) -> Result<NewEvent, CloudEventError> {
    let Value::Object(map) = value else { return Err(CloudEventError::NotAnObject) };
    let mut attributes = Attributes { map };
    match attributes.text("specversion")?.as_deref() {
        Some("1.0") => (),
        None if defaults.source.is_some() => (),
        None => return Err(CloudEventError::Missing("specversion")),
        Some(_) => return Err(wrong("specversion", "must be \"1.0\"")),
    }
    let event_type = attributes.text("type")?.ok_or(CloudEventError::Missing("type"))?;
    let source = attributes.text("source")?.or_else(|| defaults.source.clone());
    let source = source.ok_or(CloudEventError::Missing("source"))?;
    let id = match attributes.text("id")? {
        Some(id) => id,
        None if defaults.source.is_some() => Uuid::now_v7().to_string(),
        None => return Err(CloudEventError::Missing("id")),
    };
    let namespace = attributes.text("namespace")?.or_else(|| defaults.namespace.clone());
    let sender = attributes.text("sender")?.or_else(|| defaults.sender.clone());
    let key = attributes.text("subject")?.unwrap_or_else(|| event_type.clone());
    let time = attributes.time()?.unwrap_or(now);
    let scope = attributes.scope(defaults)?;
    let data = attributes.data()?;
    Ok(NewEvent {
        namespace: namespace.unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned()),
        key,
        event_type,
        source,
        id,
        sender,
        time,
        scope,
        data,
        extensions: attributes.rest()?,
    })
}

/// What is left of an event while it is taken apart.
struct Attributes {
    map: Map<String, Value>,
}

impl Attributes {
    fn text(&mut self, name: &str) -> Result<Option<String>, CloudEventError> {
        match self.map.shift_remove(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) if text.is_empty() => Err(wrong(name, "is empty")),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(wrong(name, "must be a text")),
        }
    }

    fn time(&mut self) -> Result<Option<DateTime<Utc>>, CloudEventError> {
        let Some(text) = self.text("time")? else { return Ok(None) };
        let time = DateTime::parse_from_rfc3339(&text)
            .map_err(|_| wrong("time", "must be a time as in RFC 3339, e.g. 2026-01-31T12:00:00Z"))?;
        Ok(Some(time.with_timezone(&Utc)))
    }

    fn scope(&mut self, defaults: &Defaults) -> Result<Scope, CloudEventError> {
        let scope = self.text("scope")?.or_else(|| defaults.scope.clone());
        let dag_id = self.text("dagid")?.or_else(|| defaults.dag_id.clone());
        let run_id = self.text("runid")?.or_else(|| defaults.run_id.clone());
        let run = match (dag_id, run_id) {
            (Some(dag_id), Some(run_id)) => Some((dag_id, run_id)),
            (None, None) => None,
            (Some(_), None) => return Err(wrong("dagid", "needs `runid` with it")),
            (None, Some(_)) => return Err(wrong("runid", "needs `dagid` with it")),
        };
        match (scope.as_deref(), run) {
            (None, None) => Ok(Scope::All),
            (None | Some("run"), Some((dag_id, run_id))) => {
                Ok(Scope::Run { dag_id: dag_id.into(), run_id: run_id.into() })
            }
            (Some("run"), None) => {
                Err(wrong("scope", "is \"run\", but `dagid` and `runid` do not say which"))
            }
            (Some("all"), run) => {
                // Where it comes from is still worth knowing.
                if let Some((dag_id, run_id)) = run {
                    self.map.insert("dagid".to_owned(), dag_id.into());
                    self.map.insert("runid".to_owned(), run_id.into());
                }
                Ok(Scope::All)
            }
            (Some(_), _) => Err(wrong("scope", "must be \"run\" or \"all\"")),
        }
    }

    fn data(&mut self) -> Result<Value, CloudEventError> {
        let plain = self.map.shift_remove("data");
        let Some(encoded) = self.text("data_base64")? else { return Ok(plain.unwrap_or(Value::Null)) };
        if plain.is_some() {
            return Err(wrong("data_base64", "and `data` exclude each other"));
        }
        if BASE64_STANDARD.decode(&encoded).is_err() {
            return Err(wrong("data_base64", "is not Base64"));
        }
        self.map.insert(ENCODING.to_owned(), "base64".into());
        Ok(encoded.into())
    }

    /// The other attributes. `position` is ours to give: an event that was read can be sent on as it is.
    fn rest(mut self) -> Result<Map<String, Value>, CloudEventError> {
        self.map.shift_remove("position");
        for (name, value) in &self.map {
            if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
            {
                return Err(wrong(name, "is not a name of an attribute: only a-z and 0-9 are allowed"));
            }
            if value.is_object() || value.is_array() || value.is_f64() {
                return Err(wrong(
                    name,
                    "must be a text, a whole number or a truth value; put the rest into `data`",
                ));
            }
        }
        self.map.retain(|_, value| !value.is_null());
        Ok(self.map)
    }
}

/// An event as CloudEvents' JSON.
pub fn write(event: &Event) -> Value {
    let mut map = Map::new();
    let mut put = |name: &str, value: Value| map.insert(name.to_owned(), value);
    put("specversion", "1.0".into());
    put("id", event.id.clone().into());
    put("source", event.source.clone().into());
    put("type", event.event_type.clone().into());
    put("subject", event.key.clone().into());
    put("time", event.time.to_rfc3339_opts(SecondsFormat::Micros, true).into());
    put("namespace", event.namespace.clone().into());
    if let Some(sender) = &event.sender {
        put("sender", sender.clone().into());
    }
    match &event.scope {
        Scope::All => (),
        Scope::Run { dag_id, run_id } => {
            put("scope", "run".into());
            put("dagid", dag_id.as_str().into());
            put("runid", run_id.as_str().into());
        }
    }
    put("position", json!(event.position));
    for (name, value) in event.extensions.iter().filter(|(name, _)| *name != ENCODING) {
        put(name, value.clone());
    }
    if event.extensions.get(ENCODING).is_some_and(|encoding| encoding == "base64") {
        put("data_base64", event.data.clone());
    } else if !event.data.is_null() {
        put("data", event.data.clone());
    }
    Value::Object(map)
}

#[cfg(test)]
mod tests {
    use super::*;
    use slipstream_core::event::Position;

    fn now() -> DateTime<Utc> {
        "2026-01-01T00:00:00Z".parse().unwrap()
    }

    fn strict(value: Value) -> Result<NewEvent, String> {
        read(value, &Defaults::default(), now()).map_err(|error| error.to_string())
    }

    #[test]
    fn an_event_that_is_read_can_be_sent_again_as_it_is() {
        let full = json!({
            "specversion": "1.0", "id": "1", "source": "/s", "type": "t", "subject": "k",
            "time": "2026-01-31T12:00:00.000000Z", "namespace": "n", "sender": "me", "scope": "run",
            "dagid": "d", "runid": "r", "position": 7, "traceparent": "00", "count": 3, "data": {"a": 1},
        });
        let event = strict(full.clone()).unwrap();
        assert_eq!((event.key.as_str(), event.namespace.as_str()), ("k", "n"));
        assert_eq!(write(&event.at(Position(7))), full);
        let bytes = json!({
            "specversion": "1.0", "id": "1", "source": "/s", "type": "t", "subject": "t",
            "time": "2026-01-01T00:00:00.000000Z", "namespace": "default", "position": 1,
            "datacontenttype": "image/png", "data_base64": "AAEC",
        });
        assert_eq!(write(&strict(bytes.clone()).unwrap().at(Position(1))), bytes);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let cases = [
            (json!(1), "an event must be a JSON object"),
            (json!({"id": "1", "source": "s", "type": "t"}), "attribute `specversion` is missing"),
            (json!({"specversion": "0.3"}), "attribute `specversion` must be \"1.0\""),
            (json!({"specversion": "1.0", "id": "1", "type": "t"}), "attribute `source` is missing"),
            (json!({"specversion": "1.0", "source": "s", "type": "t"}), "attribute `id` is missing"),
            (json!({"specversion": "1.0", "id": "1", "source": "s"}), "attribute `type` is missing"),
            (
                json!({"specversion": "1.0", "id": 1, "source": "s", "type": "t"}),
                "attribute `id` must be a text",
            ),
            (json!({"specversion": "1.0", "id": "", "source": "s", "type": "t"}), "attribute `id` is empty"),
        ];
        for (value, why) in cases {
            assert_eq!(strict(value).unwrap_err(), why);
        }
        let more = [
            (json!({"time": "yesterday"}), "attribute `time` must be a time"),
            (json!({"scope": "run"}), "attribute `scope` is \"run\", but"),
            (json!({"scope": "some"}), "attribute `scope` must be"),
            (json!({"dagid": "d"}), "attribute `dagid` needs `runid`"),
            (json!({"runid": "r"}), "attribute `runid` needs `dagid`"),
            (json!({"Bad-Name": "d"}), "attribute `Bad-Name` is not a name"),
            (json!({"deep": {"a": 1}}), "attribute `deep` must be a text"),
            (json!({"data": 1, "data_base64": "AA=="}), "attribute `data_base64` and `data`"),
            (json!({"data_base64": "?"}), "attribute `data_base64` is not Base64"),
        ];
        for (value, why) in more {
            let mut event = json!({"specversion": "1.0", "id": "1", "source": "s", "type": "t"});
            event.as_object_mut().unwrap().extend(value.as_object().unwrap().clone());
            let error = strict(event).unwrap_err();
            assert!(error.starts_with(why), "{error}");
        }
    }

    #[test]
    fn defaults_hold_for_what_an_event_does_not_say() {
        let text = |text: &str| Some(text.to_owned());
        let defaults = Defaults {
            namespace: text("n"),
            sender: text("me"),
            scope: None,
            dag_id: text("d"),
            run_id: text("r"),
            source: text("/http"),
        };
        let event = read(json!({"type": "t"}), &defaults, now()).unwrap();
        assert_eq!((event.namespace.as_str(), event.source.as_str(), event.time), ("n", "/http", now()));
        assert_eq!(event.scope, Scope::Run { dag_id: "d".into(), run_id: "r".into() });
        let event = read(json!({"type": "t", "scope": "all", "namespace": "x"}), &defaults, now()).unwrap();
        assert_eq!((event.namespace.as_str(), event.scope), ("x", Scope::All));
        assert_eq!(event.extensions["dagid"], "d");
    }
}
