//! Starts a Python host process and waits until it is ready.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdStream;
use std::process::Stdio;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;
use tokio::process::{Child, Command};

use super::error::PythonError;
use super::interpreter::Interpreter;
use super::{sources, wire};

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
    /// How many threads it has (zygotes only).
    #[serde(default)]
    pub(super) threads: u32,
    /// The import that started a thread (zygotes only).
    #[serde(default)]
    pub(super) culprit: Option<String>,
    /// What else it says of itself (executor hosts only).
    #[serde(default)]
    pub(super) facts: Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
struct FirstWords {
    ready: Option<Hello>,
    failed: Option<String>,
    airflow: Option<String>,
    why: Option<String>,
}

/// A running host process. Dropped, it is killed.
#[derive(Debug)]
pub(super) struct Process {
    /// The process.
    pub(super) child: Child,
    /// Its socket.
    pub(super) socket: UnixStream,
    /// What it said when it was ready.
    pub(super) hello: Hello,
}

/// Starts the host in `role` (a module of the package with a `main`).
pub(super) async fn launch(
    interpreter: &Interpreter,
    role: &str,
    settings: Value,
) -> Result<Process, PythonError> {
    let failed = |why: String| PythonError::Start { interpreter: interpreter.path().to_owned(), why };
    let (ours, theirs) = StdStream::pair()?;
    ours.set_nonblocking(true)?;
    let mut socket = UnixStream::from_std(ours)?;
    let child = Command::new(interpreter.path())
        .arg("-c")
        .arg(sources::BOOTSTRAP)
        .envs(interpreter.env())
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| failed(error.to_string()))?;
    let talk = async {
        let modules = |modules: &[(&str, &str)]| -> serde_json::Map<String, Value> {
            modules.iter().map(|(name, source)| ((*name).to_owned(), json!(source))).collect()
        };
        let argv = if role == "zygote" { "worker" } else { "scheduler" };
        let (own, public) = (modules(sources::MODULES), modules(sources::PUBLIC));
        let start =
            json!({"role": role, "settings": settings, "argv": [argv], "sources": own, "public": public});
        let start = start.to_string();
        socket.write_u32(u32::try_from(start.len()).unwrap_or(u32::MAX)).await?;
        socket.write_all(start.as_bytes()).await?;
        wire::read::<FirstWords>(&mut socket).await
    };
    let words = match tokio::time::timeout(START_LIMIT, talk).await {
        Ok(Ok(words)) => words,
        Ok(Err(error)) => {
            return Err(failed(format!("it ended before it was ready ({error}); see its output above")));
        }
        Err(_) => return Err(failed(format!("it was not ready after {START_LIMIT:?}"))),
    };
    match words {
        FirstWords { ready: Some(hello), .. } => Ok(Process { child, socket, hello }),
        FirstWords { failed: Some(kind), .. } if kind == "no_airflow" => {
            Err(PythonError::NoAirflow(interpreter.path().to_owned()))
        }
        FirstWords { airflow: Some(found), .. } => {
            Err(PythonError::UnsupportedAirflow { interpreter: interpreter.path().to_owned(), found })
        }
        words => Err(failed(words.why.unwrap_or_else(|| "it gave no reason".to_owned()))),
    }
}
