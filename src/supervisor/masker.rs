//! Hides secrets in logs and in rendered fields (`airflow/_shared/secrets_masker/secrets_masker.py`).

use std::collections::BTreeSet;

use regex::Regex;
use serde_json::Value as Json;

/// Names whose values are secrets wherever they appear; `[core] sensitive_var_conn_names` adds to them.
const SENSITIVE_NAMES: &[&str] = &[
    "access_key",
    "access_token",
    "api_key",
    "apikey",
    "auth_header",
    "authorization",
    "bearer",
    "connection_string",
    "dsn",
    "passphrase",
    "passwd",
    "password",
    "private_key",
    "proxy",
    "proxy_password",
    "proxies",
    "secret",
    "service_account",
    "service_key",
    "token",
    "keyfile_dict",
    "webhook_url",
];

/// Texts that are never hidden: they would make every log unreadable.
const COMMON: &[&str] = &["airflow"];

/// What stands for a secret.
const MASK: &str = "***";

/// How deep a value is searched for secrets by their text. By name it is searched all through.
const MAX_DEPTH: usize = 5;

/// Whether values under sensitive names are secrets (`[core] hide_sensitive_var_conn_fields`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ByName {
    /// They are.
    Hide,
    /// They are not.
    Show,
}

/// The secrets that are known, and how to recognise more.
#[derive(Clone, Debug)]
pub struct Masker {
    by_name: ByName,
    names: Vec<String>,
    /// Shorter texts are not hidden: `[logging] min_length_masked_secret`.
    min_length: usize,
    secrets: BTreeSet<String>,
    pattern: Option<Regex>,
}

impl Default for Masker {
    fn default() -> Self {
        Self::new(ByName::Hide, &[], 5)
    }
}

impl Masker {
    /// A masker without secrets. `more_names` are those of `[core] sensitive_var_conn_names`.
    pub fn new(by_name: ByName, more_names: &[String], min_length: usize) -> Self {
        let more = more_names.iter().map(|name| name.trim().to_lowercase()).filter(|name| !name.is_empty());
        let names = SENSITIVE_NAMES.iter().map(|name| (*name).to_owned()).chain(more).collect();
        Self { by_name, names, min_length, secrets: BTreeSet::new(), pattern: None }
    }

    /// Whether a value of this name is a secret.
    pub fn is_sensitive(&self, name: &str) -> bool {
        if self.by_name == ByName::Show {
            return false;
        }
        let mut plain = String::with_capacity(name.len());
        for c in name.trim().to_lowercase().chars() {
            if c.is_alphanumeric() || c == '_' {
                plain.push(c);
            } else if !plain.ends_with('\u{0}') {
                plain.push('\u{0}');
            }
        }
        let plain = plain.replace('\u{0}', "_");
        self.names.iter().any(|sensitive| plain.contains(sensitive.as_str()))
    }

    /// Learns a secret: a text, or all texts in a list or map. With a name, only if the name is sensitive; within a map,
    /// its keys are the names.
    pub fn add(&mut self, secret: &Json, name: Option<&str>) {
        match secret {
            Json::String(text) => self.add_text(text, name),
            Json::Array(items) => items.iter().for_each(|item| self.add(item, name)),
            Json::Object(members) => members.iter().for_each(|(key, value)| self.add(value, Some(key))),
            Json::Null | Json::Bool(_) | Json::Number(_) => {}
        }
    }

    /// As [`Masker::add`] for one text.
    pub fn add_text(&mut self, secret: &str, name: Option<&str>) {
        let wanted = secret.chars().count() >= self.min_length
            && !COMMON.contains(&secret.to_lowercase().as_str())
            && name.is_none_or(|name| self.is_sensitive(name));
        if wanted && !secret.is_empty() && self.secrets.insert(secret.to_owned()) {
            let alternatives: Vec<_> =
                self.secrets.iter().rev().map(|secret| regex::escape(secret)).collect();
            match Regex::new(&alternatives.join("|")) {
                Ok(pattern) => self.pattern = Some(pattern),
                Err(error) => {
                    // It must not keep others from being hidden.
                    self.secrets.remove(secret);
                    tracing::error!(%error, "a secret cannot be hidden");
                }
            }
        }
    }

    /// The text without secrets.
    pub fn redact<'a>(&self, text: &'a str) -> std::borrow::Cow<'a, str> {
        match &self.pattern {
            Some(pattern) => pattern.replace_all(text, MASK),
            None => text.into(),
        }
    }

    /// The value without secrets, by their text and by the names of what holds them.
    pub fn redact_json(&self, value: &Json, name: Option<&str>) -> Json {
        self.redact_at(value, name, 0)
    }

    fn redact_at(&self, value: &Json, name: Option<&str>, depth: usize) -> Json {
        if name.is_some_and(|name| self.is_sensitive(name)) {
            return redact_all(value, depth);
        }
        match value {
            Json::Object(members) => members
                .iter()
                .map(|(key, value)| (key.clone(), self.redact_at(value, Some(key), depth + 1)))
                .collect(),
            Json::Array(items) => items.iter().map(|item| self.redact_at(item, None, depth + 1)).collect(),
            Json::String(text) if depth <= MAX_DEPTH => Json::from(self.redact(text).into_owned()),
            other => other.clone(),
        }
    }
}

/// Hides every text.
fn redact_all(value: &Json, depth: usize) -> Json {
    match value {
        _ if depth > MAX_DEPTH => Json::from(MASK),
        Json::String(_) => Json::from(MASK),
        Json::Object(members) => {
            members.iter().map(|(key, value)| (key.clone(), redact_all(value, depth + 1))).collect()
        }
        Json::Array(items) => items.iter().map(|item| redact_all(item, depth + 1)).collect(),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_secret_is_hidden_wherever_it_appears() {
        let mut masker = Masker::default();
        masker.add_text("hunter22", None);
        assert_eq!(masker.redact("login with hunter22."), "login with ***.");
    }

    #[test]
    fn short_and_common_texts_are_not_secrets() {
        let mut masker = Masker::default();
        masker.add_text("abc", None);
        masker.add_text("Airflow", None);
        assert_eq!(masker.redact("abc Airflow"), "abc Airflow");
    }

    #[test]
    fn a_named_secret_counts_only_under_a_sensitive_name() {
        let mut masker = Masker::default();
        masker.add(&json!({"api-key": "visible-no-more", "region": "eu-central-1"}), None);
        assert_eq!(masker.redact("visible-no-more eu-central-1"), "*** eu-central-1");
    }

    #[test]
    fn rendered_fields_hide_by_name_at_any_depth() {
        let masker = Masker::default();
        let shown =
            masker.redact_json(&json!({"env": [{"DB_PASSWORD": {"a": "x", "n": 1}, "PORT": "5"}]}), None);
        assert_eq!(shown, json!({"env": [{"DB_PASSWORD": {"a": "***", "n": 1}, "PORT": "5"}]}));
    }
}
