//! Webhooks: what other systems post, with a signature instead of a token.
//!
//! `[slipstream] webhooks` is a JSON object of hooks by name. A hook's events have the source `/hooks/NAME`.

use std::collections::HashMap;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit, Mac};
use serde::Deserialize;
use serde_json::Value;
use sha2::Sha256;
use slipstream_core::event::AIRFLOW_NAMESPACE;

use crate::store::events::NewEvent;

/// One hook, as it is configured.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hook {
    /// The key of the signature: HMAC with SHA-256 over the body.
    secret: String,
    /// The header with the signature.
    #[serde(default = "signature_header")]
    header: String,
    /// What stands before the signature in the header.
    #[serde(default = "signature_prefix")]
    prefix: String,
    /// How the signature is written.
    #[serde(default)]
    encoding: Encoding,
    /// The namespace of its events.
    #[serde(default)]
    namespace: Option<String>,
    /// The type of its events, or what stands before the value of `type_header`.
    #[serde(default)]
    r#type: Option<String>,
    /// The header that says what happened.
    #[serde(default)]
    type_header: Option<String>,
    /// The header with a number of the delivery: one that comes again is a duplicate.
    #[serde(default)]
    id_header: Option<String>,
    /// A JSON pointer to the key in the body, for example `/repository/full_name`.
    #[serde(default)]
    key: Option<String>,
}

impl std::fmt::Debug for Hook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hook").field("header", &self.header).finish_non_exhaustive()
    }
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Encoding {
    #[default]
    Hex,
    Base64,
}

fn signature_header() -> String {
    "x-hub-signature-256".to_owned()
}

fn signature_prefix() -> String {
    "sha256=".to_owned()
}

/// All hooks, by name.
#[derive(Clone, Debug, Default)]
pub struct Hooks(HashMap<String, Hook>);

/// Why a delivery is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HookError {
    /// There is no signature, or it is not the right one.
    #[error("the signature of the request is missing or wrong")]
    BadSignature,
    /// The body is not JSON.
    #[error("the body is not JSON")]
    NotJson,
    /// There must be a number of the delivery.
    #[error("the header with the number of the delivery is missing")]
    NoId,
}

impl std::str::FromStr for Hooks {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        // The text has secrets in it and is not shown.
        let what = "[slipstream] webhooks must be a JSON object of webhooks by name";
        let Value::Object(map) =
            serde_json::from_str::<Value>(text).map_err(|error| format!("{what}: {error}"))?
        else {
            return Err(what.to_owned());
        };
        let mut hooks = HashMap::new();
        for (name, value) in map {
            let hook: Hook = serde_json::from_value(value)
                .map_err(|error| format!("[slipstream] webhooks: `{name}`: {}", without_values(&error)))?;
            hooks.insert(name, hook);
        }
        for (name, hook) in &hooks {
            if hook.secret.is_empty() {
                return Err(format!("[slipstream] webhooks: `{name}` has an empty secret"));
            }
            if hook.namespace.as_deref() == Some(AIRFLOW_NAMESPACE) {
                return Err(format!(
                    "[slipstream] webhooks: `{name}` names the reserved namespace `{AIRFLOW_NAMESPACE}`"
                ));
            }
        }
        Ok(Self(hooks))
    }
}

/// What is wrong with a hook. What serde says about a value has the value in it, which may be a secret.
fn without_values(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let known = ["missing field", "unknown field", "duplicate field"];
    if known.iter().any(|begin| text.starts_with(begin)) {
        text
    } else {
        "it must be a JSON object whose fields are texts (`encoding` is \"hex\" or \"base64\")".to_owned()
    }
}

impl Hooks {
    /// The hook of a name.
    pub fn get(&self, name: &str) -> Option<&Hook> {
        self.0.get(name)
    }
}

impl Hook {
    /// The event of a delivery; `header` gives the value of a header.
    ///
    /// # Errors
    /// [`HookError`].
    pub fn event<'h>(
        &self,
        name: &str,
        body: &[u8],
        header: impl Fn(&str) -> Option<&'h str>,
        now: DateTime<Utc>,
    ) -> Result<NewEvent, HookError> {
        self.verify(body, header(&self.header)).ok_or(HookError::BadSignature)?;
        let data: Value = serde_json::from_slice(body).map_err(|_| HookError::NotJson)?;
        let prefix = self.r#type.as_deref().unwrap_or(name);
        let happened = self.type_header.as_deref().and_then(&header);
        let event_type = happened.map_or_else(|| prefix.to_owned(), |what| format!("{prefix}.{what}"));
        let mut event = NewEvent::new(&format!("/hooks/{name}"), &event_type, now);
        if let Some(id_header) = &self.id_header {
            event.id = header(id_header).ok_or(HookError::NoId)?.to_owned();
        }
        match self.key.as_deref().and_then(|pointer| data.pointer(pointer)) {
            // A delivery without its key is not lost: it keeps its type as the key.
            None | Some(Value::Null) => {}
            Some(Value::String(key)) if key.is_empty() => {}
            Some(Value::String(key)) => event.key.clone_from(key),
            Some(key) => event.key = key.to_string(),
        }
        if let Some(namespace) = &self.namespace {
            event.namespace.clone_from(namespace);
        }
        event.data = data;
        Ok(event)
    }

    /// Compares in constant time.
    fn verify(&self, body: &[u8], signature: Option<&str>) -> Option<()> {
        let text = signature?.strip_prefix(&self.prefix)?;
        let signature = match self.encoding {
            Encoding::Hex => hex::decode(text).ok()?,
            Encoding::Base64 => BASE64_STANDARD.decode(text).ok()?,
        };
        let mut mac = Hmac::<Sha256>::new_from_slice(self.secret.as_bytes()).ok()?;
        mac.update(body);
        mac.verify_slice(&signature).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> DateTime<Utc> {
        "2026-01-01T00:00:00Z".parse().unwrap()
    }

    /// GitHub's example: secret, body and signature of its documentation.
    const SECRET: &str = "It's a Secret to Everybody";
    const BODY: &str = "Hello, World!";
    const SIGNATURE: &str = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";

    #[test]
    fn a_signature_as_github_makes_it_is_accepted_and_no_other() {
        let text = serde_json::json!({"github": {"secret": SECRET}}).to_string();
        let hooks: Hooks = text.parse().unwrap();
        let hook = hooks.get("github").unwrap();
        assert!(hook.verify(BODY.as_bytes(), Some(SIGNATURE)).is_some());
        assert!(hook.verify(b"Hello, World?", Some(SIGNATURE)).is_none());
        for wrong in [None, Some(""), Some("sha256="), Some("sha256=00"), Some(&SIGNATURE[7..])] {
            assert!(hook.verify(BODY.as_bytes(), wrong).is_none(), "{wrong:?}");
        }
        assert!(hooks.get("other").is_none());
        assert!(!format!("{hooks:?}").contains("Secret"));
    }

    #[test]
    fn a_delivery_becomes_an_event() {
        let hook = r#"{"ci": {"secret": "s", "header": "x-sign", "prefix": "", "encoding": "base64",
            "namespace": "build", "type": "ci", "type_header": "x-event", "id_header": "x-id", "key": "/repo/name"}}"#;
        let hooks: Hooks = hook.parse().unwrap();
        let hook = hooks.get("ci").unwrap();
        let body = br#"{"repo": {"name": "a/b"}}"#;
        let mut mac = Hmac::<Sha256>::new_from_slice(b"s").unwrap();
        mac.update(body);
        let signature = BASE64_STANDARD.encode(mac.finalize().into_bytes());
        let headers = [("x-sign", signature.as_str()), ("x-event", "push"), ("x-id", "7")];
        let header = |name: &str| headers.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
        let event = hook.event("ci", body, header, now()).unwrap();
        assert_eq!(
            (event.source.as_str(), event.id.as_str(), event.event_type.as_str()),
            ("/hooks/ci", "7", "ci.push")
        );
        assert_eq!((event.key.as_str(), event.namespace.as_str()), ("a/b", "build"));
        assert_eq!(event.data["repo"]["name"], "a/b");
        let none = |_: &str| None;
        assert_eq!(hook.event("ci", body, none, now()), Err(HookError::BadSignature));
        let without_id = |name: &str| header(name).filter(|_| name != "x-id");
        assert_eq!(hook.event("ci", body, without_id, now()), Err(HookError::NoId));
    }

    #[test]
    fn a_delivery_without_its_key_has_its_type_as_the_key() {
        let hooks: Hooks = r#"{"ci": {"secret": "s", "prefix": "", "key": "/repo"}}"#.parse().unwrap();
        let hook = hooks.get("ci").unwrap();
        for (body, key) in [
            (r#"{"repo": "a"}"#, "a"),
            (r#"{"repo": ""}"#, "ci"),
            (r#"{"repo": null}"#, "ci"),
            ("{}", "ci"),
            (r#"{"repo": 7}"#, "7"),
        ] {
            let mut mac = Hmac::<Sha256>::new_from_slice(b"s").unwrap();
            mac.update(body.as_bytes());
            let signature = hex::encode(mac.finalize().into_bytes());
            let event = hook.event("ci", body.as_bytes(), |_| Some(&signature), now()).unwrap();
            assert_eq!(event.key, key, "{body}");
        }
    }

    #[test]
    fn a_wrong_configuration_is_refused_without_showing_secrets() {
        for (text, why) in [
            ("[]", "must be a JSON object"),
            (r#"{"x": {}}"#, "`x`: missing field `secret`"),
            (r#"{"x": "hidden"}"#, "`x`: it must be a JSON object"),
            (r#"{"x": {"secret": "hidden", "encoding": "hidden"}}"#, "`x`: it must be a JSON object whose"),
            (r#"{"x": {"secret": ""}}"#, "`x` has an empty secret"),
            (r#"{"x": {"secret": "hidden", "namespace": "airflow"}}"#, "reserved namespace"),
            (r#"{"x": {"secret": "hidden", "colour": 1}}"#, "`x`: unknown field `colour`"),
        ] {
            let error = text.parse::<Hooks>().unwrap_err();
            assert!(error.contains(why) && !error.contains("hidden"), "{error}");
        }
    }
}
