//! Where host processes come from.

use serde_json::Value;
use tokio::net::UnixStream;
use tokio::process::Child;

use super::ancestor::{Ancestor, Forked};
use super::error::PythonError;
use super::interpreter::Interpreter;
use super::launch::{Hello, Launched, launch};

/// Where host processes come from. Cheap to clone.
#[derive(Clone, Debug)]
pub enum Origin {
    /// Each is started by itself, and loads Airflow by itself.
    Interpreter(Interpreter),
    /// All are forked from one process that has Airflow loaded, and share its pages.
    Ancestor(Ancestor),
}

impl From<&Interpreter> for Origin {
    fn from(interpreter: &Interpreter) -> Self {
        Self::Interpreter(interpreter.clone())
    }
}

impl From<&Origin> for Origin {
    fn from(origin: &Origin) -> Self {
        origin.clone()
    }
}

impl Origin {
    /// One that is shared by everything that is started from it and its clones. It starts nothing yet.
    pub fn shared(interpreter: &Interpreter) -> Self {
        Self::Ancestor(Ancestor::new(interpreter))
    }

    /// The interpreter of its processes.
    pub(super) fn interpreter(&self) -> &Interpreter {
        match self {
            Self::Interpreter(interpreter) => interpreter,
            Self::Ancestor(ancestor) => ancestor.interpreter(),
        }
    }

    /// Starts a host in `role` (a module of the package with a `main`), and waits until it is ready.
    pub(super) async fn start(&self, role: &str, settings: Value) -> Result<Process, PythonError> {
        match self {
            Self::Interpreter(interpreter) => {
                let Launched { child, socket, hello } = launch(interpreter, role, settings).await?;
                Ok(Process { socket, hello, life: Life::Own(child) })
            }
            Self::Ancestor(ancestor) => ancestor.fork(role, settings).await,
        }
    }
}

/// A running host process. Dropped, it is killed.
#[derive(Debug)]
pub(super) struct Process {
    /// Its socket.
    pub(super) socket: UnixStream,
    /// What it said when it was ready.
    pub(super) hello: Hello,
    /// What it lives as long as.
    pub(super) life: Life,
}

/// What a host process lives as long as: dropped, it is killed.
#[derive(Debug)]
pub(super) enum Life {
    /// A child of this process.
    Own(#[expect(dead_code, reason = "it is kept for its drop")] Child),
    /// A child of an ancestor.
    Forked(#[expect(dead_code, reason = "it is kept for its drop")] Forked),
}

/// The imports that a process leaves out which others are forked from: a fork of a threaded process is not safe.
#[derive(Debug, Default)]
pub(super) struct Skipped(Vec<String>);

impl Skipped {
    /// Their names.
    pub(super) fn names(&self) -> &[String] {
        &self.0
    }

    /// Whether a process that left these out is single-threaded; if not, the next one leaves out one more.
    ///
    /// # Errors
    /// When that cannot help.
    pub(super) fn suffice(&mut self, interpreter: &Interpreter, hello: &Hello) -> Result<bool, PythonError> {
        if hello.threads <= 1 {
            return Ok(true);
        }
        match &hello.culprit {
            Some(culprit) if !self.0.contains(culprit) => {
                tracing::warn!(
                    import = culprit,
                    "an import starts a thread; processes are forked without it"
                );
                self.0.push(culprit.clone());
                Ok(false)
            }
            _ => {
                let why = "Airflow itself or a plugin starts a thread when it is imported, so that forking is not safe";
                Err(PythonError::Start { interpreter: interpreter.path().to_owned(), why: why.to_owned() })
            }
        }
    }
}
