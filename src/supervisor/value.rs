//! Between MessagePack as the Task SDK writes it, JSON as the database holds it, and our own types.
//!
//! The SDK writes an aware time as the timestamp extension (type -1), a UUID or a path as text and a duration as an ISO
//! 8601 text (msgspec's defaults); it reads times in either form.

use chrono::{DateTime, TimeDelta, Utc};
use rmpv::Value;
use serde_json::Value as Json;
use uuid::Uuid;

/// A message that does not have the form that the Task SDK gives it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadMessage {
    /// A field is not what it should be.
    #[error("{kind}: field `{field}` {why}")]
    Field {
        /// The message's type.
        kind: String,
        /// The field.
        field: String,
        /// What is wrong with it.
        why: String,
    },
    /// A value holds a number that JSON has no form for: the words of Python's `json`.
    #[error("Out of range float values are not JSON compliant")]
    NotFinite,
}

/// Why a value has no JSON form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoJson {
    /// It holds a number that is not finite.
    NotFinite,
    /// It holds something else, which this describes.
    Holds(String),
}

impl NoJson {
    fn holds(what: impl Into<String>) -> Self {
        Self::Holds(what.into())
    }
}

/// The type of MessagePack's timestamp extension.
const TIMESTAMP: i8 = -1;

/// A time as the timestamp extension, in the shortest of its three forms.
pub fn from_time(time: DateTime<Utc>) -> Value {
    let seconds = time.timestamp();
    let nanos = time.timestamp_subsec_nanos();
    let data = match u64::try_from(seconds) {
        Ok(seconds) if seconds >> 34 == 0 => match u32::try_from(seconds) {
            Ok(seconds) if nanos == 0 => seconds.to_be_bytes().to_vec(),
            _ => ((u64::from(nanos) << 34) | seconds).to_be_bytes().to_vec(),
        },
        _ => [nanos.to_be_bytes().as_slice(), seconds.to_be_bytes().as_slice()].concat(),
    };
    Value::Ext(TIMESTAMP, data)
}

/// A time from a timestamp extension or from text with an offset.
pub fn to_time(value: &Value) -> Option<DateTime<Utc>> {
    match value {
        Value::Ext(TIMESTAMP, data) => timestamp(data),
        Value::String(text) => {
            let text = text.as_str()?;
            DateTime::parse_from_rfc3339(text).ok().map(|time| time.with_timezone(&Utc))
        }
        _ => None,
    }
}

fn timestamp(data: &[u8]) -> Option<DateTime<Utc>> {
    if let Ok(bytes) = <[u8; 4]>::try_from(data) {
        return DateTime::from_timestamp(i64::from(u32::from_be_bytes(bytes)), 0);
    }
    if let Ok(bytes) = <[u8; 8]>::try_from(data) {
        let packed = u64::from_be_bytes(bytes);
        let seconds = i64::try_from(packed & ((1 << 34) - 1)).ok()?;
        return DateTime::from_timestamp(seconds, u32::try_from(packed >> 34).ok()?);
    }
    let nanos = u32::from_be_bytes(*data.first_chunk::<4>()?);
    let seconds = i64::from_be_bytes(<[u8; 8]>::try_from(data.get(4..)?).ok()?);
    DateTime::from_timestamp(seconds, nanos)
}

/// A time as pydantic writes it into JSON.
pub fn time_text(time: DateTime<Utc>) -> String {
    let fraction = if time.timestamp_subsec_micros() == 0 { "" } else { "%.6f" };
    time.format(&format!("%Y-%m-%dT%H:%M:%S{fraction}Z")).to_string()
}

/// A duration from ISO 8601 text (`P1DT2H3.5S`, `-PT1M`) or from a number of seconds.
pub fn to_duration(value: &Value) -> Option<TimeDelta> {
    match value {
        Value::String(text) => iso_duration(text.as_str()?),
        _ => seconds(value.as_f64()?),
    }
}

fn seconds(seconds: f64) -> Option<TimeDelta> {
    let micros = (seconds * 1e6).round();
    // Beyond this many microseconds a double cannot hold them exactly, and no such duration is meant.
    (micros.abs() < 9.0e15).then(|| TimeDelta::microseconds(micros as i64))
}

fn iso_duration(text: &str) -> Option<TimeDelta> {
    let (sign, rest) = match text.strip_prefix('-') {
        Some(rest) => (-1.0, rest),
        None => (1.0, text.strip_prefix('+').unwrap_or(text)),
    };
    let (days, time) = match rest.strip_prefix('P')?.split_once('T') {
        Some((days, time)) => (days, time),
        None => (rest.strip_prefix('P')?, ""),
    };
    let total = iso_parts(days, &[('W', 604_800.0), ('D', 86_400.0)])?
        + iso_parts(time, &[('H', 3600.0), ('M', 60.0), ('S', 1.0)])?;
    seconds(sign * total)
}

/// The seconds in `1D`, `2H3M` and the like.
fn iso_parts(mut text: &str, units: &[(char, f64)]) -> Option<f64> {
    let mut total = 0.0;
    while !text.is_empty() {
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let unit = text[end..].chars().next()?;
        let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
        total += text[..end].parse::<f64>().ok()? * factor;
        text = &text[end + unit.len_utf8()..];
    }
    Some(total)
}

/// Whose JSON it is to be: they differ in what JSON has no form for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Style {
    /// Python's `json`: numbers that are not finite, keys that are not text, and bytes are errors.
    Python,
    /// A model of Airflow's API client (pydantic): numbers that are not finite are `null`, keys and bytes become text.
    Pydantic,
}

/// JSON of a message's value. Times become text, as pydantic makes them.
///
/// # Errors
/// Why it has no JSON form: bytes, keys that are not text, numbers that are not finite.
pub fn to_json(value: &Value) -> Result<Json, NoJson> {
    json_of(value, Style::Python)
}

fn json_of(value: &Value, style: Style) -> Result<Json, NoJson> {
    let float = |number: f64| match (serde_json::Number::from_f64(number), style) {
        (Some(number), _) => Ok(Json::Number(number)),
        (None, Style::Pydantic) => Ok(Json::Null),
        (None, Style::Python) => Err(NoJson::NotFinite),
    };
    let text = |text: Option<&str>| {
        text.map(str::to_owned).ok_or_else(|| NoJson::holds("holds text that is not UTF-8"))
    };
    Ok(match value {
        Value::Nil => Json::Null,
        Value::Boolean(value) => Json::Bool(*value),
        Value::Integer(number) => match (number.as_i64(), number.as_u64()) {
            (Some(number), _) => Json::from(number),
            (None, Some(number)) => Json::from(number),
            (None, None) => return Err(NoJson::holds("holds a number that is out of range")),
        },
        Value::F32(number) => float(f64::from(*number))?,
        Value::F64(number) => float(*number)?,
        Value::String(string) => Json::from(text(string.as_str())?),
        Value::Array(items) => {
            Json::Array(items.iter().map(|item| json_of(item, style)).collect::<Result<_, _>>()?)
        }
        Value::Map(members) => {
            let mut object = serde_json::Map::with_capacity(members.len());
            for (key, value) in members {
                let key = match (key.as_str(), style) {
                    (Some(key), _) => key.to_owned(),
                    (None, Style::Pydantic) => key_text(key)?,
                    (None, Style::Python) => {
                        return Err(NoJson::Holds(format!("holds the key `{key}`, which is not text")));
                    }
                };
                object.insert(key, json_of(value, style)?);
            }
            Json::Object(object)
        }
        Value::Ext(..) => match to_time(value) {
            Some(time) => Json::from(time_text(time)),
            None => return Err(NoJson::holds("holds an unknown extension type")),
        },
        Value::Binary(bytes) if style == Style::Pydantic => {
            Json::from(text(std::str::from_utf8(bytes).ok())?)
        }
        Value::Binary(_) => return Err(NoJson::holds("holds bytes, which JSON cannot")),
    })
}

/// A key as pydantic writes it.
fn key_text(key: &Value) -> Result<String, NoJson> {
    Ok(match key {
        Value::Nil => "None".to_owned(),
        Value::Array(items) => items.iter().map(key_text).collect::<Result<Vec<_>, _>>()?.join(","),
        _ => match json_of(key, Style::Pydantic)? {
            Json::String(text) => text,
            Json::Null => "NaN".to_owned(),
            plain => plain.to_string(),
        },
    })
}

/// A message's value from JSON.
pub fn from_json(json: &Json) -> Value {
    match json {
        Json::Null => Value::Nil,
        Json::Bool(value) => Value::Boolean(*value),
        Json::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(number), _, _) => Value::from(number),
            (_, Some(number), _) => Value::from(number),
            (_, _, number) => Value::from(number.unwrap_or(f64::NAN)),
        },
        Json::String(text) => Value::from(text.as_str()),
        Json::Array(items) => Value::Array(items.iter().map(from_json).collect()),
        Json::Object(members) => Value::Map(
            members.iter().map(|(key, value)| (Value::from(key.as_str()), from_json(value))).collect(),
        ),
    }
}

/// What can stand in a message that we write.
pub trait IntoWire {
    /// Its MessagePack form.
    fn into_wire(self) -> Value;
}

macro_rules! into_wire {
    ($($type:ty => |$v:ident| $conv:expr),+ $(,)?) => {
        $(impl IntoWire for $type {
            fn into_wire(self) -> Value {
                let $v = self;
                $conv
            }
        })+
    };
}

into_wire! {
    Value => |v| v,
    bool => |v| Value::Boolean(v),
    i32 => |v| Value::from(v),
    i64 => |v| Value::from(v),
    f64 => |v| Value::from(v),
    &str => |v| Value::from(v),
    String => |v| Value::from(v),
    &String => |v| Value::from(v.as_str()),
    Uuid => |v| Value::from(v.to_string()),
    DateTime<Utc> => |v| from_time(v),
    Json => |v| from_json(&v),
    &Json => |v| from_json(v),
}

impl<T: IntoWire> IntoWire for Option<T> {
    fn into_wire(self) -> Value {
        self.map_or(Value::Nil, T::into_wire)
    }
}

impl<T: IntoWire> IntoWire for Vec<T> {
    fn into_wire(self) -> Value {
        Value::Array(self.into_iter().map(T::into_wire).collect())
    }
}

/// A map under construction.
#[derive(Clone, Debug, Default)]
pub struct Message(Vec<(Value, Value)>);

impl Message {
    /// A message body: a map with its type.
    pub fn new(kind: &str) -> Self {
        Self::default().with("type", kind)
    }

    /// A plain map.
    pub fn map() -> Self {
        Self::default()
    }

    /// Adds a member.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl IntoWire) -> Self {
        self.0.push((Value::from(key), value.into_wire()));
        self
    }

    /// Adds all members of another map.
    #[must_use]
    pub fn with_all(mut self, other: Message) -> Self {
        self.0.extend(other.0);
        self
    }

    /// The finished map.
    pub fn done(self) -> Value {
        Value::Map(self.0)
    }
}

impl IntoWire for Message {
    fn into_wire(self) -> Value {
        self.done()
    }
}

/// The fields of a message that was received.
#[derive(Clone, Copy, Debug)]
pub struct Fields<'a> {
    kind: &'a str,
    members: &'a [(Value, Value)],
}

impl<'a> Fields<'a> {
    /// Reads a message body, which must be a map with its `type`.
    pub fn new(body: &'a Value) -> Option<Self> {
        let members = body.as_map()?;
        let kind = members.iter().find(|(key, _)| key.as_str() == Some("type"))?.1.as_str()?;
        Some(Self { kind, members })
    }

    /// The message's type.
    pub fn kind(&self) -> &'a str {
        self.kind
    }

    /// A field that may be missing or nil.
    pub fn get(&self, field: &str) -> Option<&'a Value> {
        self.members
            .iter()
            .find(|(key, _)| key.as_str() == Some(field))
            .map(|(_, value)| value)
            .filter(|value| !value.is_nil())
    }

    /// What is wrong with a field.
    pub fn bad(&self, field: &str, why: impl Into<String>) -> BadMessage {
        BadMessage::Field { kind: self.kind.to_owned(), field: field.to_owned(), why: why.into() }
    }

    fn read<T>(
        &self,
        field: &str,
        what: &str,
        read: impl Fn(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, BadMessage> {
        let Some(value) = self.get(field) else { return Ok(None) };
        read(value).map(Some).ok_or_else(|| self.bad(field, format!("is not {what}")))
    }

    fn need<T>(&self, field: &str, value: Option<T>) -> Result<T, BadMessage> {
        value.ok_or_else(|| self.bad(field, "is missing"))
    }

    /// A text, or nothing.
    pub fn text_opt(&self, field: &str) -> Result<Option<&'a str>, BadMessage> {
        self.read(field, "text", Value::as_str)
    }

    /// A text.
    pub fn text(&self, field: &str) -> Result<&'a str, BadMessage> {
        self.need(field, self.text_opt(field)?)
    }

    /// A whole number, or nothing.
    pub fn int_opt(&self, field: &str) -> Result<Option<i64>, BadMessage> {
        self.read(field, "a whole number", Value::as_i64)
    }

    /// A whole number.
    pub fn int(&self, field: &str) -> Result<i64, BadMessage> {
        self.need(field, self.int_opt(field)?)
    }

    /// A number, or nothing.
    pub fn float_opt(&self, field: &str) -> Result<Option<f64>, BadMessage> {
        self.read(field, "a number", Value::as_f64)
    }

    /// A truth value, or nothing.
    pub fn bool_opt(&self, field: &str) -> Result<Option<bool>, BadMessage> {
        self.read(field, "true or false", Value::as_bool)
    }

    /// A time, or nothing.
    pub fn time_opt(&self, field: &str) -> Result<Option<DateTime<Utc>>, BadMessage> {
        self.read(field, "a time with an offset", to_time)
    }

    /// A time.
    pub fn time(&self, field: &str) -> Result<DateTime<Utc>, BadMessage> {
        self.need(field, self.time_opt(field)?)
    }

    /// A duration, or nothing.
    pub fn duration_opt(&self, field: &str) -> Result<Option<TimeDelta>, BadMessage> {
        self.read(field, "a duration", to_duration)
    }

    /// A UUID.
    pub fn uuid(&self, field: &str) -> Result<Uuid, BadMessage> {
        let id = self.read(field, "a UUID", |value| Uuid::parse_str(value.as_str()?).ok())?;
        self.need(field, id)
    }

    /// A list of texts, or nothing.
    pub fn texts_opt(&self, field: &str) -> Result<Option<Vec<String>>, BadMessage> {
        self.list_opt(field, "a list of texts", |item| item.as_str().map(str::to_owned))
    }

    /// A list of times; empty when it is missing.
    pub fn times(&self, field: &str) -> Result<Vec<DateTime<Utc>>, BadMessage> {
        Ok(self.list_opt(field, "a list of times with an offset", to_time)?.unwrap_or_default())
    }

    /// A list, or nothing.
    pub fn list_opt<T>(
        &self,
        field: &str,
        what: &str,
        read: impl Fn(&'a Value) -> Option<T>,
    ) -> Result<Option<Vec<T>>, BadMessage> {
        self.read(field, what, |value| value.as_array()?.iter().map(&read).collect())
    }

    /// Any value as JSON; JSON `null` when it is missing.
    pub fn json(&self, field: &str) -> Result<Json, BadMessage> {
        self.json_field(field, Style::Python)
    }

    /// As [`Fields::json`], as a model of Airflow's API client is written: `null` for numbers that are not finite, text for
    /// keys of other types and for bytes.
    ///
    /// # Errors
    /// When it is too large a number, or bytes that are no text.
    pub fn json_of_model(&self, field: &str) -> Result<Json, BadMessage> {
        self.json_field(field, Style::Pydantic)
    }

    fn json_field(&self, field: &str, style: Style) -> Result<Json, BadMessage> {
        let Some(value) = self.get(field) else { return Ok(Json::Null) };
        json_of(value, style).map_err(|why| match why {
            NoJson::NotFinite => BadMessage::NotFinite,
            NoJson::Holds(what) => self.bad(field, what),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn times_take_the_shortest_form_and_read_back() {
        for (text, length) in [
            ("2026-01-02T03:04:05Z", 4),
            ("2026-01-02T03:04:05.123456Z", 8),
            ("1969-12-31T23:59:59.5Z", 12),
            ("2600-01-01T00:00:00Z", 12),
        ] {
            let value = from_time(time(text));
            assert_eq!(value.as_ext().unwrap().1.len(), length, "{text}");
            assert_eq!(to_time(&value), Some(time(text)));
        }
    }

    #[test]
    fn durations_are_read_as_msgspec_writes_them() {
        for (text, micros) in [
            ("PT90.5S", 90_500_000),
            ("P1DT1S", 86_401_000_000),
            ("-PT1M", -60_000_000),
            ("P0D", 0),
            ("PT0S", 0),
        ] {
            assert_eq!(to_duration(&Value::from(text)), Some(TimeDelta::microseconds(micros)), "{text}");
        }
        assert_eq!(to_duration(&Value::from("an hour")), None);
    }

    #[test]
    fn json_keeps_the_order_of_keys() {
        let json: Json = serde_json::from_str(r#"{"b":1,"a":[true,null,2.5,"x"]}"#).unwrap();
        assert_eq!(to_json(&from_json(&json)).unwrap().to_string(), json.to_string());
    }

    #[test]
    fn what_json_cannot_hold_is_refused_with_the_reason() {
        assert_eq!(to_json(&Value::from(f64::NAN)), Err(NoJson::NotFinite));
        let nested = Value::Array(vec![Value::from(f64::INFINITY), Value::from(1)]);
        assert_eq!(json_of(&nested, Style::Pydantic), Ok(serde_json::json!([null, 1])));
        let Err(NoJson::Holds(what)) = to_json(&Value::Map(vec![(1.into(), 2.into())])) else {
            panic!("a number is no key")
        };
        assert!(what.contains("not text"));
    }

    #[test]
    fn a_model_has_text_for_keys_and_bytes() {
        let pairs = [
            (Value::from(1), "1"),
            (Value::from(1.5), "1.5"),
            (Value::from(true), "true"),
            (Value::Nil, "None"),
            (Value::Array(vec![1.into(), 2.into()]), "1,2"),
            (Value::Binary(b"x".to_vec()), "x"),
            (from_time(time("2020-01-01T00:00:00Z")), "2020-01-01T00:00:00Z"),
        ];
        for (key, text) in pairs {
            let json = json_of(&Value::Map(vec![(key, Value::Binary(b"v".to_vec()))]), Style::Pydantic);
            assert_eq!(json, Ok(serde_json::json!({text: "v"})));
        }
        assert!(json_of(&Value::Binary(vec![0xff]), Style::Pydantic).is_err());
    }
}
