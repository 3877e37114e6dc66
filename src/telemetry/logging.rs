//! Logs in the form of Airflow's structured logs, as lines of text or of JSON.
//!
//! ```text
//! 2026-01-01T00:00:00.000000Z [info     ] Adopted 3 tasks [slipstream.scheduler.adopt] job_id=7
//! ```
//! Mirrors `airflow/_shared/logging/structlog.py`.

use std::fmt::{self, Write as _};
use std::fs::OpenOptions;
use std::path::Path;
use std::sync::Mutex;

use chrono::Utc;
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::config::{Config, keys::logging as keys};

/// How much is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verbosity {
    /// What `[logging] logging_level` says.
    Configured,
    /// Everything (`--verbose`).
    Debug,
}

/// Where logs go.
#[derive(Debug, Clone, Copy)]
pub enum Output<'a> {
    /// The standard output, as Airflow's processes do it.
    Stdout,
    /// The standard error: the standard output is for what the command says.
    Stderr,
    /// The end of this file.
    File(&'a Path),
}

impl<'a> Output<'a> {
    /// The file, if one is given.
    pub fn or_file(self, file: Option<&'a Path>) -> Self {
        file.map_or(self, Self::File)
    }
}

/// Starts logging. Only the first call of a process counts.
///
/// # Errors
/// When the file cannot be opened.
pub fn init(config: &Config, verbosity: Verbosity, output: Output<'_>) -> std::io::Result<()> {
    let writer = match output {
        Output::File(path) => {
            BoxMakeWriter::new(Mutex::new(OpenOptions::new().create(true).append(true).open(path)?))
        }
        Output::Stdout => BoxMakeWriter::new(std::io::stdout),
        Output::Stderr => BoxMakeWriter::new(std::io::stderr),
    };
    let form = if config.get(&keys::JSON_LOGS) { Form::Json } else { Form::Text };
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(directives(config, verbosity)))
        .with_writer(writer)
        .event_format(form)
        .finish();
    // A process that runs several roles has set it already.
    let _ = tracing::subscriber::set_global_default(subscriber);
    Ok(())
}

/// What our own code logs, from which level on; libraries log warnings only.
fn directives(config: &Config, verbosity: Verbosity) -> String {
    let ours = match verbosity {
        Verbosity::Debug => "debug",
        Verbosity::Configured => level(&config.get(&keys::LOGGING_LEVEL)),
    };
    let mut all = format!("warn,slipstream={ours},slipstream_core={ours}");
    for item in config.get(&keys::NAMESPACE_LEVELS).split([',', ' ', '\n']) {
        if let Some((name, text)) = item.trim().split_once('=')
            && name.trim().starts_with("slipstream")
        {
            let _ = write!(all, ",{}={}", name.trim().replace('.', "::"), level(text.trim()));
        }
    }
    all
}

fn level(name: &str) -> &'static str {
    match name.to_uppercase().as_str() {
        "DEBUG" | "NOTSET" => "debug",
        "WARN" | "WARNING" => "warn",
        "ERROR" | "CRITICAL" | "FATAL" => "error",
        _ => "info",
    }
}

#[derive(Debug, Clone, Copy)]
enum Form {
    Text,
    Json,
}

impl<S, N> FormatEvent<S, N> for Form
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut out: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let logger = event.metadata().target().replace("::", ".");
        let line = match self {
            Self::Text => fields.text(*event.metadata().level(), &logger),
            Self::Json => fields.json(*event.metadata().level(), &logger),
        };
        out.write_str(&line)?;
        out.write_char('\n')
    }
}

fn now() -> String {
    Utc::now().format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string()
}

fn name(level: Level) -> &'static str {
    match level {
        Level::ERROR => "error",
        Level::WARN => "warning",
        Level::INFO => "info",
        _ => "debug",
    }
}

#[derive(Default)]
struct Fields {
    message: String,
    rest: Vec<(&'static str, Value)>,
}

impl Fields {
    fn text(&self, level: Level, logger: &str) -> String {
        let mut line = format!("{} [{:<9}] {} [{logger}]", now(), name(level), self.message);
        for (key, value) in &self.rest {
            let _ = match value {
                Value::String(text) if plain(text) => write!(line, " {key}={text}"),
                Value::String(text) => write!(line, " {key}={text:?}"),
                other => write!(line, " {key}={other}"),
            };
        }
        line
    }

    fn json(self, level: Level, logger: &str) -> String {
        let mut object = Map::new();
        object.insert("timestamp".to_owned(), now().into());
        object.insert("level".to_owned(), name(level).into());
        object.insert("event".to_owned(), self.message.into());
        object.insert("logger".to_owned(), logger.into());
        object.extend(self.rest.into_iter().map(|(key, value)| (key.to_owned(), value)));
        Value::Object(object).to_string()
    }

    fn add(&mut self, field: &Field, value: Value) {
        match field.name() {
            "message" => self.message = value.as_str().map_or_else(|| value.to_string(), str::to_owned),
            name => self.rest.push((name, value)),
        }
    }
}

/// Whether a text can be read without quotes.
fn plain(text: &str) -> bool {
    !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || c.is_control() || c == '"' || c == '=')
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, value.into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field, format!("{value:?}").into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_read_as_airflows_do() {
        let fields = Fields {
            message: "Adopted tasks".to_owned(),
            rest: vec![("count", 3.into()), ("dag", "a b".into()), ("run", "r1".into())],
        };
        let line = fields.text(Level::INFO, "slipstream.scheduler");
        assert!(
            line.ends_with("Z [info     ] Adopted tasks [slipstream.scheduler] count=3 dag=\"a b\" run=r1"),
            "{line}"
        );
        let json: Value = serde_json::from_str(&fields.json(Level::WARN, "x")).unwrap();
        assert_eq!(
            (json["event"].as_str(), json["level"].as_str()),
            (Some("Adopted tasks"), Some("warning"))
        );
    }

    #[test]
    fn levels_are_those_of_the_configuration() {
        let config = Config::from_pairs(&[
            ("logging", "logging_level", "WARNING"),
            ("logging", "namespace_levels", "airflow=DEBUG, slipstream.worker=DEBUG"),
        ]);
        let all = directives(&config.unwrap(), Verbosity::Configured);
        assert_eq!(all, "warn,slipstream=warn,slipstream_core=warn,slipstream::worker=debug");
    }
}
