//! Reading the fields of a source. Values are never part of an error: they may be secrets.

use serde_json::{Map, Value};

/// The fields of one source; each is taken out when it is read, so that what is left was misspelt.
pub(super) struct Fields {
    /// What is read, for errors.
    place: String,
    map: Map<String, Value>,
}

impl Fields {
    /// The fields of a source.
    pub(super) fn of(name: &str, value: Value) -> Result<Self, String> {
        let place = format!("[slipstream] sources: `{name}`");
        match value {
            Value::Object(map) => Ok(Self { place, map }),
            _ => Err(format!("{place} must be a JSON object of fields")),
        }
    }

    /// An error about a field.
    pub(super) fn wrong(&self, field: &str, why: &str) -> String {
        format!("{}: field `{field}` {why}", self.place)
    }

    /// A text that is not empty.
    pub(super) fn text(&mut self, field: &str) -> Result<Option<String>, String> {
        match self.map.shift_remove(field) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) if text.is_empty() => Err(self.wrong(field, "is empty")),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(self.wrong(field, "must be a text")),
        }
    }

    /// A text that must be there.
    pub(super) fn required(&mut self, field: &str) -> Result<String, String> {
        self.text(field)?.ok_or_else(|| self.wrong(field, "is missing"))
    }

    /// A list of texts, or one text with commas.
    pub(super) fn list(&mut self, field: &str) -> Result<Vec<String>, String> {
        let not_texts = "must be a list of texts, or a text with commas";
        let items: Vec<String> = match self.map.shift_remove(field) {
            None | Some(Value::Null) => return Ok(Vec::new()),
            Some(Value::String(text)) => text.split(',').map(|item| item.trim().to_owned()).collect(),
            Some(Value::Array(items)) => items
                .into_iter()
                .map(|item| item.as_str().map(str::to_owned).ok_or_else(|| self.wrong(field, not_texts)))
                .collect::<Result<_, _>>()?,
            Some(_) => return Err(self.wrong(field, not_texts)),
        };
        match items.iter().any(String::is_empty) {
            true => Err(self.wrong(field, "has an empty item")),
            false => Ok(items),
        }
    }

    /// A list that must not be empty.
    pub(super) fn required_list(&mut self, field: &str) -> Result<Vec<String>, String> {
        let items = self.list(field)?;
        if items.is_empty() { Err(self.wrong(field, "is missing")) } else { Ok(items) }
    }

    /// One of a few words.
    pub(super) fn word<T: Copy>(&mut self, field: &str, words: &[(&str, T)]) -> Result<Option<T>, String> {
        let Some(text) = self.text(field)? else { return Ok(None) };
        let found = words.iter().find(|(word, _)| *word == text);
        found.map(|(_, value)| Some(*value)).ok_or_else(|| {
            let all: Vec<_> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
            self.wrong(field, &format!("must be {}", all.join(" or ")))
        })
    }

    /// A truth value; false without it.
    pub(super) fn flag(&mut self, field: &str) -> Result<bool, String> {
        match self.map.shift_remove(field) {
            None | Some(Value::Null) => Ok(false),
            Some(Value::Bool(flag)) => Ok(flag),
            Some(_) => Err(self.wrong(field, "must be true or false")),
        }
    }

    /// Options of a client library: texts, numbers and truth values by name.
    pub(super) fn options(&mut self, field: &str) -> Result<Vec<(String, String)>, String> {
        let map = match self.map.shift_remove(field) {
            None | Some(Value::Null) => return Ok(Vec::new()),
            Some(Value::Object(map)) => map,
            Some(_) => return Err(self.wrong(field, "must be a JSON object of options by name")),
        };
        map.into_iter()
            .map(|(name, value)| match value {
                Value::String(text) => Ok((name, text)),
                Value::Number(_) | Value::Bool(_) => Ok((name, value.to_string())),
                _ => Err(self.wrong(field, &format!("has `{name}`, which must be a text or a number"))),
            })
            .collect()
    }

    /// Nothing may be left.
    pub(super) fn end(self) -> Result<(), String> {
        match self.map.keys().next() {
            Some(field) => Err(self.wrong(field, "is not known; see docs/events.md, Sources")),
            None => Ok(()),
        }
    }
}
