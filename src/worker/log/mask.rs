//! Secrets in logs (`airflow/sdk/_shared/secrets_masker/secrets_masker.py`): values that were announced are replaced
//! wherever they stand, and every value under a sensitive name.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use regex::{Regex, RegexBuilder};
use serde_json::Value;

/// What stands in the place of a secret.
const MASK: &str = "***";

/// Names that are sensitive in every deployment (`DEFAULT_SENSITIVE_FIELDS`).
const SENSITIVE: &[&str] = &[
    "access_key",
    "access_token",
    "api_key",
    "apikey",
    "auth_header",
    "authorization",
    "bearer",
    "connection_string",
    "dsn",
    "keyfile_dict",
    "passphrase",
    "passwd",
    "password",
    "private_key",
    "proxies",
    "proxy",
    "proxy_password",
    "secret",
    "service_account",
    "service_key",
    "token",
    "webhook_url",
];

/// What begins like the base64 of `{"` is very likely a token.
static JWT: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"eyJ[.A-Za-z0-9_-]*").ok());

/// What the deployment says about masking.
#[derive(Clone, Debug)]
pub struct MaskRules {
    /// `[logging] min_length_masked_secret`: shorter values are not masked.
    pub min_length: usize,
    /// `[core] hide_sensitive_var_conn_fields`.
    pub hide_by_name: bool,
    /// `[core] sensitive_var_conn_names`, beside the names that are always sensitive.
    pub names: Vec<String>,
}

impl Default for MaskRules {
    fn default() -> Self {
        Self { min_length: 5, hide_by_name: true, names: Vec::new() }
    }
}

impl MaskRules {
    fn is_sensitive(&self, name: &str) -> bool {
        if !self.hide_by_name {
            return false;
        }
        let mut normal = String::with_capacity(name.len());
        for c in name.trim().chars().flat_map(char::to_lowercase) {
            if c.is_alphanumeric() || c == '_' {
                normal.push(c);
            } else if !normal.ends_with('_') {
                normal.push('_');
            }
        }
        SENSITIVE.iter().any(|word| normal.contains(word))
            || self.names.iter().any(|word| normal.contains(word))
    }
}

/// The secrets of one task.
#[derive(Debug)]
pub struct Masker {
    rules: MaskRules,
    secrets: BTreeSet<String>,
    pattern: Option<Regex>,
}

impl Masker {
    /// A masker that knows no value yet.
    pub fn new(rules: MaskRules) -> Self {
        Self { rules, secrets: BTreeSet::new(), pattern: None }
    }

    /// Learns a secret: a text, or everything in a structure. With a name, only if the name is sensitive.
    pub fn learn(&mut self, secret: &Value, name: Option<&str>) {
        let before = self.secrets.len();
        self.collect(secret, name);
        if self.secrets.len() > before {
            self.compile();
        }
    }

    fn collect(&mut self, secret: &Value, name: Option<&str>) {
        match secret {
            Value::Object(fields) => fields.iter().for_each(|(key, value)| self.collect(value, Some(key))),
            Value::Array(values) => values.iter().for_each(|value| self.collect(value, name)),
            Value::String(text) => {
                let long = text.chars().count() >= self.rules.min_length && !text.is_empty();
                let meant = name.is_none_or(|name| self.rules.is_sensitive(name));
                if long && meant && !text.eq_ignore_ascii_case("airflow") {
                    self.secrets.insert(text.clone());
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    fn compile(&mut self) {
        let mut words: Vec<&String> = self.secrets.iter().collect();
        // Longest first: a secret that begins with another one must not leave its end readable.
        words.sort_by_key(|word| std::cmp::Reverse(word.len()));
        let alternatives: Vec<String> = words.into_iter().map(|word| regex::escape(word)).collect();
        match RegexBuilder::new(&alternatives.join("|")).size_limit(1 << 28).build() {
            Ok(pattern) => self.pattern = Some(pattern),
            Err(error) => {
                tracing::error!(%error, "the task announced more secrets than can be masked in its log");
            }
        }
    }

    /// A text without the secrets in it.
    pub fn text(&self, text: String) -> String {
        match &self.pattern {
            Some(pattern) => match pattern.replace_all(&text, MASK) {
                std::borrow::Cow::Borrowed(_) => text,
                std::borrow::Cow::Owned(masked) => masked,
            },
            None => text,
        }
    }

    /// A text at the top of a log line, also without tokens in it.
    pub fn line(&self, text: String) -> String {
        let text = match JWT.as_ref() {
            Some(jwt) if text.contains("eyJ") => jwt.replace_all(&text, "eyJ***").into_owned(),
            _ => text,
        };
        self.text(text)
    }

    /// A value without the secrets in it.
    pub fn value(&self, value: Value, name: Option<&str>) -> Value {
        if name.is_some_and(|name| self.rules.is_sensitive(name)) {
            return hide(value);
        }
        match value {
            Value::Object(fields) => fields
                .into_iter()
                .map(|(key, value)| {
                    let value = self.value(value, Some(&key));
                    (key, value)
                })
                .collect(),
            Value::Array(values) => values.into_iter().map(|value| self.value(value, None)).collect(),
            Value::String(text) => Value::String(self.text(text)),
            other => other,
        }
    }
}

/// Every text replaced, the structure kept.
fn hide(value: Value) -> Value {
    match value {
        Value::String(_) => Value::String(MASK.to_owned()),
        Value::Object(fields) => fields.into_iter().map(|(key, value)| (key, hide(value))).collect(),
        Value::Array(values) => values.into_iter().map(hide).collect(),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_announced_secret_is_masked_wherever_it_stands() {
        let mut masker = Masker::new(MaskRules::default());
        masker.learn(&json!("s3cr3t"), None);
        masker.learn(&json!("s3cr3t-and-more"), None);
        assert_eq!(masker.line("x=s3cr3t-and-more y=s3cr3t".into()), "x=*** y=***");
        assert_eq!(masker.value(json!({"a": ["s3cr3t", 1]}), None), json!({"a": ["***", 1]}));
    }

    #[test]
    fn short_values_and_values_with_harmless_names_stay() {
        let mut masker = Masker::new(MaskRules::default());
        masker.learn(&json!("abc"), None);
        masker.learn(&json!({"host": "example", "password": "hunter22"}), None);
        assert_eq!(masker.line("abc example hunter22".into()), "abc example ***");
    }

    #[test]
    fn values_under_sensitive_names_are_hidden_whole() {
        let masker = Masker::new(MaskRules::default());
        let value = json!({"API Key": {"a": "b", "n": 1}, "host": "h"});
        assert_eq!(masker.value(value, None), json!({"API Key": {"a": "***", "n": 1}, "host": "h"}));
    }

    #[test]
    fn tokens_are_cut_from_lines() {
        let masker = Masker::new(MaskRules::default());
        assert_eq!(masker.line("bearer eyJhbGciOi.J9-_x!".into()), "bearer eyJ***!");
    }
}
