//! Reading JSON with a place for messages.

use chrono::TimeDelta;
use serde_json::{Map, Value};

use super::{Field, SpecError};

/// A JSON object of a trigger and where it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part<'a> {
    place: &'a str,
    map: &'a Map<String, Value>,
}

pub(super) fn wrong(place: &str, problem: impl Into<String>) -> SpecError {
    SpecError::Part { place: place.to_owned(), problem: problem.into() }
}

impl<'a> Part<'a> {
    /// An object that has no other names than `known`.
    pub(super) fn new(place: &'a str, value: &'a Value, known: &[&str]) -> Result<Self, SpecError> {
        let map = value.as_object().ok_or_else(|| wrong(place, "it is not an object"))?;
        match map.keys().find(|name| !known.contains(&name.as_str())) {
            Some(name) => {
                Err(wrong(place, format!("`{name}` is not known here, only {} are", known.join(", "))))
            }
            None => Ok(Self { place, map }),
        }
    }

    pub(super) fn wrong(&self, name: &str, problem: &str) -> SpecError {
        wrong(&format!("{}.{name}", self.place), problem)
    }

    /// What is there, `None` for null.
    pub(super) fn get(&self, name: &str) -> Option<&'a Value> {
        self.map.get(name).filter(|value| !value.is_null())
    }

    pub(super) fn need(&self, name: &str) -> Result<&'a Value, SpecError> {
        self.get(name).ok_or_else(|| self.wrong(name, "it is missing"))
    }

    pub(super) fn text(&self, name: &str) -> Result<Option<&'a str>, SpecError> {
        let text = |value: &'a Value| value.as_str().ok_or_else(|| self.wrong(name, "it is not a text"));
        self.get(name).map(text).transpose()
    }

    pub(super) fn flag(&self, name: &str) -> Result<bool, SpecError> {
        let flag = |value: &Value| value.as_bool().ok_or_else(|| self.wrong(name, "it is not true or false"));
        self.get(name).map_or(Ok(false), flag)
    }

    pub(super) fn number(&self, name: &str) -> Result<Option<f64>, SpecError> {
        let number = |value: &Value| value.as_f64().ok_or_else(|| self.wrong(name, "it is not a number"));
        self.get(name).map(number).transpose()
    }

    /// A whole number of at least 1.
    pub(super) fn count(&self, name: &str) -> Result<Option<u32>, SpecError> {
        let count = |value: &Value| {
            let number = value.as_u64().and_then(|number| u32::try_from(number).ok()).filter(|n| *n > 0);
            number.ok_or_else(|| self.wrong(name, "it is not a whole number of at least 1"))
        };
        self.get(name).map(count).transpose()
    }

    /// Seconds, more than none.
    pub(super) fn seconds(&self, name: &str) -> Result<Option<TimeDelta>, SpecError> {
        let Some(seconds) = self.number(name)? else { return Ok(None) };
        let longest = 100.0 * 366.0 * 86_400.0;
        if !(seconds > 0.0 && seconds <= longest) {
            return Err(self.wrong(name, "it is not a time in seconds of more than 0 and at most 100 years"));
        }
        Ok(Some(TimeDelta::microseconds((seconds * 1e6).round() as i64)))
    }

    pub(super) fn field(&self, name: &str) -> Result<Option<Field>, SpecError> {
        self.text(name)?.map(Field::new).transpose()
    }

    /// One of several words; the first is the default.
    pub(super) fn choice<T: Copy>(&self, name: &str, words: &[(&str, T)]) -> Result<T, SpecError> {
        let Some(text) = self.text(name)? else { return Ok(words[0].1) };
        words.iter().find(|(word, _)| *word == text).map(|(_, choice)| *choice).ok_or_else(|| {
            let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            self.wrong(name, &format!("`{text}` is none of {}", known.join(", ")))
        })
    }
}
