//! Lines of a task's log.

use std::fs::File;
use std::io::Write;
use std::str::FromStr;
use std::sync::LazyLock;

use chrono::{SecondsFormat, Utc};
use indexmap::IndexMap;
use regex::Regex;
use serde::Serialize;
use serde_json::Value;

use crate::supervisor::masker::Masker;

/// What begins like the base64 of `{"` is very likely a token (`redact_jwt`).
static JWT: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"eyJ[.A-Za-z0-9_-]*").ok());

/// How much is gathered before it is written although more is at hand.
const BATCH: usize = 256 * 1024;

/// Levels of Python's `logging`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// 10
    Debug,
    /// 20
    Info,
    /// 30
    Warning,
    /// 40
    Error,
    /// 50
    Critical,
}

impl Level {
    /// The name in a log line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
            Self::Critical => "critical",
        }
    }
}

/// A text that is no level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownLevel;

impl FromStr for Level {
    type Err = UnknownLevel;

    fn from_str(text: &str) -> Result<Self, UnknownLevel> {
        match text.to_ascii_lowercase().as_str() {
            "debug" | "notset" => Ok(Self::Debug),
            "info" => Ok(Self::Info),
            "warn" | "warning" => Ok(Self::Warning),
            "error" | "exception" => Ok(Self::Error),
            "critical" | "fatal" => Ok(Self::Critical),
            _ => Err(UnknownLevel),
        }
    }
}

#[derive(Serialize)]
struct Line<'a> {
    timestamp: &'a str,
    level: &'a str,
    event: Value,
    #[serde(flatten)]
    rest: &'a IndexMap<String, Value>,
}

/// One task's log. Lines are gathered until [`TaskLog::flush`]; a reader sees whole lines only.
#[derive(Debug)]
pub struct TaskLog {
    logger: &'static str,
    file: File,
    level: Level,
    masker: Masker,
    pending: Vec<u8>,
    broken: bool,
}

impl TaskLog {
    /// Writes to `file`. `logger` is the name of lines that have none; `level` is `[logging] logging_level`: it holds for the task's output and for our own lines;
    /// the task filters its log records itself.
    pub fn new(logger: &'static str, file: File, level: Level, masker: Masker) -> Self {
        Self { logger, file, level, masker, pending: Vec::new(), broken: false }
    }

    /// The secrets of this task.
    pub fn masker(&mut self) -> &mut Masker {
        &mut self.masker
    }

    /// A record from the task's log channel: a JSON object, re-emitted with its fields in Airflow's order. What is not
    /// one is kept as text.
    pub fn record(&mut self, line: &[u8]) {
        let Ok(mut fields) = serde_json::from_slice::<IndexMap<String, Value>>(line) else {
            let text = String::from_utf8_lossy(line).trim_end().to_owned();
            return self.write(Level::Info, text, &IndexMap::from([logger(self.logger)]));
        };
        let timestamp = match fields.shift_remove("timestamp") {
            Some(Value::String(time)) if !time.is_empty() => time,
            _ => now(),
        };
        if let Some(error) = fields.shift_remove("exception").filter(|error| !error.is_null()) {
            fields.insert("error_detail".to_owned(), error);
        }
        let level = match fields.shift_remove("level") {
            Some(Value::String(name)) => name.parse().unwrap_or(Level::Info),
            _ => Level::Info,
        };
        let event = match fields.shift_remove("event") {
            None | Some(Value::Null) => Value::String(String::new()),
            Some(event) => event,
        };
        if !fields.contains_key("logger") {
            let (key, value) = logger(self.logger);
            fields.insert(key, value);
        }
        self.emit(&timestamp, level, event, &fields);
    }

    /// A line of the task's output: `logger` is `task.stdout` or `task.stderr`.
    pub fn output(&mut self, level: Level, name: &str, line: &[u8]) {
        if level >= self.level {
            let text = String::from_utf8_lossy(line.trim_ascii_end()).into_owned();
            self.write(level, text, &IndexMap::from([logger(name)]));
        }
    }

    /// A line of our own.
    pub fn note(&mut self, level: Level, event: &str, fields: &[(&str, Value)]) {
        if level >= self.level {
            let fields = fields.iter().map(|(key, value)| ((*key).to_owned(), value.clone()));
            let fields = fields.chain([logger(self.logger)]).collect();
            self.write(level, event.to_owned(), &fields);
        }
        self.flush();
    }

    fn write(&mut self, level: Level, event: String, fields: &IndexMap<String, Value>) {
        self.emit(&now(), level, Value::String(event), fields);
    }

    fn emit(&mut self, timestamp: &str, level: Level, event: Value, fields: &IndexMap<String, Value>) {
        let masked = |name: &str, value: &Value| {
            let value = match value {
                Value::String(text) if text.contains("eyJ") => &Value::String(without_tokens(text)),
                other => other,
            };
            self.masker.redact_json(value, Some(name))
        };
        let event = masked("event", &event);
        let rest = fields.iter().map(|(key, value)| (key.clone(), masked(key, value))).collect();
        let line = Line { timestamp, level: level.as_str(), event, rest: &rest };
        // Values that came from JSON or from us can always be written as JSON.
        if serde_json::to_writer(&mut self.pending, &line).is_ok() {
            self.pending.push(b'\n');
        }
        if self.pending.len() >= BATCH {
            self.flush();
        }
    }

    /// Makes what was gathered visible to readers.
    pub fn flush(&mut self) {
        if self.pending.is_empty() {
            return;
        }
        if let Err(error) = self.file.write_all(&self.pending) {
            // A full disk must not end the task; said once.
            if !std::mem::replace(&mut self.broken, true) {
                tracing::error!(%error, "a task's log cannot be written");
            }
        }
        self.pending.clear();
    }
}

impl Drop for TaskLog {
    fn drop(&mut self) {
        self.flush();
    }
}

fn without_tokens(text: &str) -> String {
    JWT.as_ref().map_or_else(|| text.to_owned(), |jwt| jwt.replace_all(text, "eyJ***").into_owned())
}

fn logger(name: &str) -> (String, Value) {
    ("logger".to_owned(), Value::String(name.to_owned()))
}

fn now() -> String {
    Utc::now().to_rfc3339_opts(SecondsFormat::Micros, true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn written(work: impl FnOnce(&mut TaskLog)) -> Vec<String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut log = TaskLog::new("task", file.reopen().unwrap(), Level::Info, Masker::default());
        work(&mut log);
        drop(log);
        std::fs::read_to_string(file.path()).unwrap().lines().map(str::to_owned).collect()
    }

    #[test]
    fn records_keep_their_fields_and_get_airflows_order() {
        let lines = written(|log| {
            log.record(
                br#"{"logger":"my.module","event":"hi","timestamp":"2026-01-02T03:04:05.000001Z","level":"warn","exception":[{"exc_type":"E"}]}"#,
            );
        });
        assert_eq!(
            lines,
            [
                r#"{"timestamp":"2026-01-02T03:04:05.000001Z","level":"warning","event":"hi","logger":"my.module","error_detail":[{"exc_type":"E"}]}"#
            ]
        );
    }

    #[test]
    fn what_is_no_record_survives_as_text() {
        let lines = written(|log| {
            log.record(b"not json \xff\n");
            log.output(Level::Error, "task.stderr", b"bad \xfe byte  \n");
        });
        let values: Vec<Value> = lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(values[0]["event"], json!("not json \u{fffd}"));
        assert_eq!(values[1]["event"], json!("bad \u{fffd} byte"));
        assert_eq!(values[1]["logger"], json!("task.stderr"));
    }

    #[test]
    fn output_below_the_level_is_left_out_and_records_are_not() {
        let lines = written(|log| {
            log.level = Level::Warning;
            log.output(Level::Info, "task.stdout", b"out");
            log.record(br#"{"event":"debugging","level":"debug"}"#);
        });
        assert_eq!(lines.len(), 1);
        assert!(lines[0].contains("debugging"));
    }

    #[test]
    fn secrets_are_masked_in_records_and_output() {
        let lines = written(|log| {
            log.masker().add_text("hunter22", None);
            log.record(
                br#"{"event":"pw hunter22","level":"info","extra":{"password":"x","note":"hunter22"}}"#,
            );
            log.output(Level::Info, "task.stdout", b"hunter22");
        });
        assert!(!lines.concat().contains("hunter22"), "{lines:?}");
        assert!(lines[0].contains(r#""password":"***""#));
    }

    #[test]
    fn tokens_are_cut_from_lines() {
        let lines = written(|log| log.output(Level::Info, "task.stdout", b"bearer eyJhbGciOi.J9-_x!"));
        assert!(lines[0].contains(r#""event":"bearer eyJ***!""#), "{lines:?}");
    }
}
