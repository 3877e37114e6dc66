//! A measurement that waits: what it is about is not certain before a transaction has been committed.

use std::time::Duration;

use super::{Value, send};

/// A measurement, with its tags, that was not sent yet.
#[derive(Clone, Debug, PartialEq)]
pub struct Held {
    name: &'static str,
    value: Value,
    tags: Vec<(&'static str, String)>,
}

impl Held {
    /// Adds to a counter.
    pub fn count(name: &'static str, by: usize, tags: &[(&'static str, &str)]) -> Self {
        Self::new(name, Value::Count(i64::try_from(by).unwrap_or(i64::MAX)), tags)
    }

    /// Says how long something took.
    pub fn timing(name: &'static str, took: Duration, tags: &[(&'static str, &str)]) -> Self {
        Self::new(name, Value::Timing(took), tags)
    }

    fn new(name: &'static str, value: Value, tags: &[(&'static str, &str)]) -> Self {
        Self { name, value, tags: tags.iter().map(|(tag, text)| (*tag, (*text).to_owned())).collect() }
    }

    /// Sends it.
    pub fn send(&self) {
        let tags: Vec<_> = self.tags.iter().map(|(tag, text)| (*tag, text.as_str())).collect();
        send(self.name, self.value, &tags);
    }
}
