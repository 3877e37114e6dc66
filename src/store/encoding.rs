//! The two JSON forms in which Airflow stores Python values, for the values that rows of ours can hold.
//!
//! * `ExtendedJSON` columns (`callback.data`, `context_carrier`): `airflow/serialization`, every dictionary wrapped as
//!   `{"__type": "dict", "__var": …}`.
//! * serde (`deadline_alert.*`, `trigger.kwargs`): `airflow/sdk/serde`, dictionaries plain, other classes as
//!   `{"__classname__": …, "__version__": …, "__data__": …}`.

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value, json};

/// Wraps plain JSON for an `ExtendedJSON` column. A value that has a type tag already is kept.
pub fn extended(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(extended).collect(),
        Value::Object(map) if tagged(map).is_none() => {
            let var: Map<String, Value> =
                map.iter().map(|(key, value)| (key.clone(), extended(value))).collect();
            json!({"__type": "dict", "__var": var})
        }
        other => other.clone(),
    }
}

/// Unwraps the dictionaries of an `ExtendedJSON` value. Other types keep their tag, so that [`extended`] brings back
/// what was stored.
pub fn plain(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(plain).collect(),
        Value::Object(map) => match tagged(map) {
            Some(("dict", var)) => plain(var),
            Some(_) => value.clone(),
            None => map.iter().map(|(key, value)| (key.clone(), plain(value))).collect(),
        },
        scalar => scalar.clone(),
    }
}

/// From serde's form to the plain form with `ExtendedJSON` tags.
pub fn from_serde(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(from_serde).collect(),
        Value::Object(map) => match classified(map) {
            Some(("datetime.timedelta", data)) => json!({"__type": "timedelta", "__var": data}),
            Some(("datetime.datetime" | "pendulum.datetime.DateTime", data)) => {
                json!({"__type": "datetime", "__var": data.get("timestamp").cloned().unwrap_or_default()})
            }
            Some(("builtins.tuple", data)) => json!({"__type": "tuple", "__var": from_serde(data)}),
            Some(("builtins.set" | "builtins.frozenset", data)) => {
                json!({"__type": "set", "__var": from_serde(data)})
            }
            _ => map.iter().map(|(key, value)| (key.clone(), from_serde(value))).collect(),
        },
        scalar => scalar.clone(),
    }
}

/// From the plain form with `ExtendedJSON` tags to serde's form.
pub fn to_serde(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(to_serde).collect(),
        Value::Object(map) => match tagged(map) {
            Some(("dict", var)) => to_serde(var),
            Some(("timedelta", var)) => serde_class("datetime.timedelta", 2, var.clone()),
            Some(("datetime", var)) => serde_moment("pendulum.datetime.DateTime", var),
            Some(("tuple", var)) => serde_class("builtins.tuple", 1, to_serde(var)),
            Some(("set", var)) => serde_class("builtins.set", 1, to_serde(var)),
            _ => map.iter().map(|(key, value)| (key.clone(), to_serde(value))).collect(),
        },
        scalar => scalar.clone(),
    }
}

/// A moment in the plain form with an `ExtendedJSON` tag.
pub fn datetime(time: DateTime<Utc>) -> Value {
    json!({"__type": "datetime", "__var": time.timestamp_micros() as f64 / 1e6})
}

/// A moment in serde's form.
pub fn serde_datetime(time: DateTime<Utc>) -> Value {
    serde_moment("datetime.datetime", &json!(time.timestamp_micros() as f64 / 1e6))
}

/// A moment as pydantic writes it in JSON.
pub fn pydantic_time(time: DateTime<Utc>) -> Value {
    let digits =
        if time.timestamp_subsec_micros() == 0 { SecondsFormat::Secs } else { SecondsFormat::Micros };
    Value::from(time.to_rfc3339_opts(digits, true))
}

fn serde_moment(class: &str, timestamp: &Value) -> Value {
    let zone = json!(["UTC", "pendulum.tz.timezone.Timezone", 1, true]);
    let zone = serde_class("builtins.tuple", 1, zone);
    serde_class(class, 2, json!({"timestamp": timestamp, "tz": zone}))
}

fn serde_class(name: &str, version: i64, data: Value) -> Value {
    json!({"__classname__": name, "__version__": version, "__data__": data})
}

fn tagged(map: &Map<String, Value>) -> Option<(&str, &Value)> {
    Some((map.get("__type")?.as_str()?, map.get("__var")?))
}

fn classified(map: &Map<String, Value>) -> Option<(&str, &Value)> {
    Some((map.get("__classname__")?.as_str()?, map.get("__data__")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_wrapped_is_unwrapped_again() {
        let value = json!({"a": [1, {"b": null}], "t": {"__type": "timedelta", "__var": 3.0}});
        let stored = extended(&value);
        assert_eq!(
            stored,
            json!({"__type": "dict", "__var": {
                "a": [1, {"__type": "dict", "__var": {"b": null}}], "t": {"__type": "timedelta", "__var": 3.0}}})
        );
        assert_eq!(plain(&stored), value);
    }

    #[test]
    fn a_timedelta_of_serde_becomes_one_of_extended_json_and_back() {
        let serde = json!({"t": {"__classname__": "datetime.timedelta", "__version__": 2, "__data__": 3.0}});
        let value = from_serde(&serde);
        assert_eq!(value, json!({"t": {"__type": "timedelta", "__var": 3.0}}));
        assert_eq!(to_serde(&value), serde);
    }
}
