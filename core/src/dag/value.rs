//! Reading single values of the serialized form.

use std::cell::RefCell;
use std::collections::HashSet;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

/// The payload of a typed value `{"__type": …, "__var": …}`; any other value as it is.
pub(super) fn unwrap(value: &Value) -> &Value {
    match value {
        Value::Object(map) if map.contains_key("__type") => map.get("__var").unwrap_or(value),
        _ => value,
    }
}

/// The type of a typed value.
pub(super) fn type_of(value: &Value) -> Option<&str> {
    value.as_object()?.get("__type")?.as_str()
}

/// A number, also when it was written as a float.
pub(super) fn integer(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_f64().map(|float| float as i64))
}

/// Python's truth of a plain value.
pub(super) fn truth(value: &Value) -> bool {
    match unwrap(value) {
        Value::Null => false,
        Value::Bool(flag) => *flag,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(map) => !map.is_empty(),
    }
}

/// A text; `None` for null and anything else.
pub(super) fn text(value: &Value) -> Option<Arc<str>> {
    unwrap(value).as_str().map(Into::into)
}

/// Texts that many tasks of a Dag share (pools, queues, owners, classes), each of them once.
#[derive(Default)]
pub(super) struct Texts(RefCell<HashSet<Arc<str>>>);

impl Texts {
    /// The text, in the memory that everyone who asked for it shares.
    pub(super) fn shared(&self, text: &str) -> Arc<str> {
        let mut known = self.0.borrow_mut();
        if let Some(shared) = known.get(text) {
            return shared.clone();
        }
        let shared: Arc<str> = text.into();
        known.insert(shared.clone());
        shared
    }
}

/// Seconds as a duration of whole microseconds; `None` for what is no number or too large.
pub(super) fn duration(value: &Value) -> Option<TimeDelta> {
    let micros = (unwrap(value).as_f64()? * 1e6).round_ties_even();
    (micros.abs() < i64::MAX as f64).then(|| TimeDelta::microseconds(micros as i64))
}

/// Seconds since the epoch, or a date as text.
pub(super) fn date(value: &Value) -> Option<DateTime<Utc>> {
    match unwrap(value) {
        Value::String(text) => DateTime::parse_from_rfc3339(text).ok().map(|date| date.with_timezone(&Utc)),
        Value::Number(number) => {
            let micros = (number.as_f64()? * 1e6).round_ties_even();
            DateTime::from_timestamp_micros(micros as i64)
        }
        _ => None,
    }
}
