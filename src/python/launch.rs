//! Starts a Python host process and waits until it is ready.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;
use tokio::process::{Child, Command};

use super::error::PythonError;
use super::interpreter::Interpreter;
use super::{sources, wire};
use crate::runtime::socket_pair;

/// How long a host process may take to import Airflow.
const START_LIMIT: Duration = Duration::from_secs(180);

/// What a host process says when it is ready.
#[derive(Clone, Debug, Deserialize)]
pub struct Hello {
    /// Version of Python.
    pub python: String,
    /// Version of Airflow.
    pub airflow: String,
    /// `sys.prefix`.
    pub prefix: String,
    /// How many threads it has (only of processes that others are forked from).
    #[serde(default)]
    pub(super) threads: u32,
    /// The import that started a thread (likewise).
    #[serde(default)]
    pub(super) culprit: Option<String>,
    /// What else it says of itself (executor hosts only).
    #[serde(default)]
    pub(super) facts: Value,
}

/// What a host process says first.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) struct FirstWords {
    ready: Option<Hello>,
    failed: Option<String>,
    airflow: Option<String>,
    why: Option<String>,
}

/// A running host process that was started by itself. Dropped, it is killed.
#[derive(Debug)]
pub(super) struct Launched {
    /// The process.
    pub(super) child: Child,
    /// Its socket.
    pub(super) socket: UnixStream,
    /// What it said when it was ready.
    pub(super) hello: Hello,
}

/// How long a process that has closed its socket may take to end.
const END_LIMIT: Duration = Duration::from_secs(5);

/// Why an attempt led to no process.
enum Failed {
    /// Something ended it from outside with SIGKILL: for want of memory, or with all that looked idle.
    Killed(PythonError),
    /// Another time it would be the same.
    Otherwise(PythonError),
}

impl From<PythonError> for Failed {
    fn from(error: PythonError) -> Self {
        Self::Otherwise(error)
    }
}

/// Starts the host in `role` (a module of the package with a `main`). One that is killed before it is ready says nothing about
/// Python, and is started once more.
pub(super) async fn launch(
    interpreter: &Interpreter,
    role: &str,
    settings: Value,
) -> Result<Launched, PythonError> {
    match attempt(interpreter, role, &settings).await {
        Ok(process) => Ok(process),
        Err(Failed::Otherwise(error)) => Err(error),
        Err(Failed::Killed(_)) => {
            tracing::warn!(role, "the Python host was killed before it was ready, and is started once more");
            attempt(interpreter, role, &settings).await.map_err(|failed| match failed {
                Failed::Killed(error) | Failed::Otherwise(error) => error,
            })
        }
    }
}

async fn attempt(interpreter: &Interpreter, role: &str, settings: &Value) -> Result<Launched, Failed> {
    let (mut socket, theirs) = socket_pair().map_err(PythonError::from)?;
    let mut child = Command::new(interpreter.path())
        .arg("-c")
        .arg(sources::BOOTSTRAP)
        .envs(interpreter.env())
        .stdin(Stdio::from(theirs))
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| PythonError::Start {
            interpreter: interpreter.path().to_owned(),
            why: error.to_string(),
        })?;
    let talk = async {
        let modules = |modules: &[(&str, &str)]| -> serde_json::Map<String, Value> {
            modules.iter().map(|(name, source)| ((*name).to_owned(), json!(source))).collect()
        };
        let (own, public) = (modules(sources::MODULES), modules(sources::PUBLIC));
        let start = json!({
            "role": role, "settings": settings, "argv": argv(role), "sources": own, "public": public,
        });
        let start = start.to_string();
        socket.write_u32(u32::try_from(start.len()).unwrap_or(u32::MAX)).await?;
        socket.write_all(start.as_bytes()).await?;
        wire::read::<FirstWords>(&mut socket).await
    };
    match within_limit(interpreter, talk).await {
        Ok(words) => Ok(Launched { child, socket, hello: words.hello(interpreter)? }),
        Err(error) => {
            let end = tokio::time::timeout(END_LIMIT, child.wait()).await;
            let killed = matches!(end, Ok(Ok(status)) if status.signal() == Some(Signal::SIGKILL as i32));
            Err(if killed { Failed::Killed(error) } else { Failed::Otherwise(error) })
        }
    }
}

/// What a process in `role` has as the arguments of the `airflow` command; what is forked from an ancestor has those of that.
pub(super) fn argv(role: &str) -> [&'static str; 1] {
    [if role == "ancestor" { "dag-processor" } else { "scheduler" }]
}

/// Waits for what a process says that starts.
pub(super) async fn within_limit<T>(
    interpreter: &Interpreter,
    talk: impl Future<Output = io::Result<T>>,
) -> Result<T, PythonError> {
    let why = match tokio::time::timeout(START_LIMIT, talk).await {
        Ok(Ok(words)) => return Ok(words),
        Ok(Err(error)) => format!("it ended before it was ready ({error}); see its output above"),
        Err(_) => format!("it was not ready after {START_LIMIT:?}"),
    };
    Err(PythonError::Start { interpreter: interpreter.path().to_owned(), why })
}

impl FirstWords {
    /// That it is ready.
    ///
    /// # Errors
    /// Why it is not.
    pub(super) fn hello(self, interpreter: &Interpreter) -> Result<Hello, PythonError> {
        let interpreter = interpreter.path().to_owned();
        match self {
            Self { ready: Some(hello), .. } => Ok(hello),
            Self { failed: Some(kind), .. } if kind == "no_airflow" => {
                Err(PythonError::NoAirflow(interpreter))
            }
            Self { airflow: Some(found), .. } => Err(PythonError::UnsupportedAirflow { interpreter, found }),
            words => {
                let why = words.why.unwrap_or_else(|| "it gave no reason".to_owned());
                Err(PythonError::Start { interpreter, why })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    /// An interpreter that notes its starts, and ends each of them in the way that a line of shell says.
    fn ending(home: &Path, end: &str) -> Interpreter {
        let path = home.join("python");
        let script = format!("#!/bin/sh\necho >> {}\n{end}\n", home.join("starts").display());
        // Written by another process: a fork of a test beside this one would keep the file open, and so from being run.
        let write = "printf %s \"$1\" > \"$0\" && chmod +x \"$0\"";
        let written = std::process::Command::new("sh").args(["-c", write]).arg(&path).arg(script).status();
        assert!(written.unwrap().success());
        Interpreter::at(path)
    }

    async fn starts(end: &str) -> usize {
        let home = tempfile::tempdir().unwrap();
        let failed = launch(&ending(home.path(), end), "service", json!({})).await;
        assert!(matches!(failed, Err(PythonError::Start { .. })), "{failed:?}");
        fs::read_to_string(home.path().join("starts")).unwrap().lines().count()
    }

    #[tokio::test]
    async fn a_host_that_is_killed_before_it_is_ready_is_started_once_more() {
        assert_eq!(starts("kill -9 $$").await, 2);
    }

    #[tokio::test]
    async fn a_host_that_ends_by_itself_is_not_started_again() {
        assert_eq!(starts("exit 1").await, 1);
    }
}
