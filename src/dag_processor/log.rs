//! The log of one Dag file's child: `<directory>/<date>/<bundle>/<file>.log`, one JSON object per line, as the dag
//! processor of Airflow writes it (`_get_logger_for_dag_file` in `airflow/dag_processing/manager.py`).

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};

use super::files::FileKey;
use super::options::{LogTarget, Settings};

/// An open log. Lines from several sockets of a child may be written at any time.
#[derive(Debug)]
pub(super) struct ChildLog {
    file: Mutex<Option<File>>,
    target: LogTarget,
    key: FileKey,
}

/// How much a line matters.
#[derive(Clone, Copy, Debug)]
pub(super) enum Level {
    /// A child's stdout.
    Info,
    /// A child's stderr, or our own words about its end.
    Error,
}

impl ChildLog {
    /// Opens the log of a file. A log that cannot be opened costs the log, not the parse.
    pub(super) fn open(settings: &Settings, key: &FileKey, now: DateTime<Utc>) -> Self {
        let day = settings.log_directory.join(now.format("%Y-%m-%d").to_string());
        let path = day.join(&key.bundle).join(format!("{}.log", key.path));
        let file = open(&path, settings)
            .inspect_err(
                |error| tracing::warn!(path = %path.display(), %error, "a parse log cannot be opened"),
            )
            .ok();
        link_latest(&settings.log_directory, &day);
        Self { file: Mutex::new(file), target: settings.log_to, key: key.clone() }
    }

    /// Writes a line that the child's own logging made.
    pub(super) fn json(&self, line: &[u8]) {
        match serde_json::from_slice::<Map<String, Value>>(line) {
            Ok(mut event) => {
                if let Some(error) = event.remove("exception") {
                    event.insert("error_detail".to_owned(), error);
                }
                self.write(&Value::Object(event));
            }
            Err(_) => self.text("dag_processor.logs", Level::Error, line),
        }
    }

    /// Writes a line of plain text.
    pub(super) fn text(&self, logger: &str, level: Level, line: &[u8]) {
        let level = match level {
            Level::Info => "info",
            Level::Error => "error",
        };
        let text = String::from_utf8_lossy(line);
        self.write(&json!({
            "timestamp": Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Micros, true),
            "level": level,
            "event": text.trim_end(),
            "logger": logger,
        }));
    }

    fn write(&self, event: &Value) {
        if let Some(file) = self.file.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            // A full disk costs the log, not the parse.
            let _ = file.write_all(format!("{event}\n").as_bytes());
        }
        if self.target == LogTarget::FileAndStdout {
            let mut event = event.clone();
            event["dag_file"] = json!(self.key.path);
            event["bundle_name"] = json!(self.key.bundle);
            let _ = io::stdout().lock().write_all(format!("{event}\n").as_bytes());
        }
    }
}

fn open(path: &Path, settings: &Settings) -> io::Result<File> {
    if let Some(folder) = path.parent() {
        DirBuilder::new().recursive(true).mode(settings.folder_mode).create(folder)?;
    }
    OpenOptions::new().append(true).create(true).mode(settings.file_mode).open(path)
}

/// Keeps `latest` pointing to today's folder.
fn link_latest(directory: &Path, day: &Path) {
    let (link, Some(name)) = (directory.join("latest"), day.file_name().map(PathBuf::from)) else { return };
    match std::fs::read_link(&link) {
        Ok(current) if current == name => return,
        Ok(_) => drop(std::fs::remove_file(&link)),
        Err(_) if link.exists() => return,
        Err(_) => {}
    }
    if let Err(error) = symlink(&name, &link) {
        tracing::debug!(%error, "the link to the latest parse logs cannot be made");
    }
}
