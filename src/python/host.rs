//! A Python process that is talked with in both directions: `_host/executor.py`.

use std::io;
use std::process::ExitStatus;

use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::process::Child;
use tokio::sync::mpsc;

use super::error::PythonError;
use super::interpreter::Interpreter;
use super::launch::{Launched, launch};
use super::wire;

/// A Python process that speaks when it has something to say. Sending never waits for it. Dropped, it is killed.
#[derive(Debug)]
pub struct HostProcess<T> {
    child: Child,
    facts: Value,
    outgoing: mpsc::UnboundedSender<Value>,
    incoming: mpsc::UnboundedReceiver<io::Result<T>>,
}

impl<T: DeserializeOwned + Send + 'static> HostProcess<T> {
    /// Starts the host in `role` (a module of the package with a `main`), and waits until it is ready.
    ///
    /// # Errors
    /// When the interpreter has no Airflow, an unsupported one, or the role cannot be played with these settings.
    pub async fn start(interpreter: &Interpreter, role: &str, settings: Value) -> Result<Self, PythonError> {
        let Launched { child, socket, hello } = launch(interpreter, role, settings).await?;
        let (mut read, mut write) = socket.into_split();
        let (outgoing, mut to_send) = mpsc::unbounded_channel::<Value>();
        let (heard, incoming) = mpsc::unbounded_channel();
        // Each has a task of its own: a message is never cut off, and a host that does not read holds nobody up.
        tokio::spawn(async move {
            while let Some(message) = to_send.recv().await {
                if wire::write(&mut write, &message, &[]).await.is_err() {
                    return;
                }
            }
        });
        tokio::spawn(async move {
            loop {
                let message = wire::read::<T>(&mut read).await;
                let last = message.is_err();
                if heard.send(message).is_err() || last {
                    return;
                }
            }
        });
        Ok(Self { child, facts: hello.facts, outgoing, incoming })
    }

    /// What it said of itself when it was ready.
    pub fn facts(&self) -> &Value {
        &self.facts
    }

    /// Its process.
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Sends a message. One for a process that is gone is lost; its end is told by [`HostProcess::next`].
    pub fn send(&self, message: Value) {
        let _ = self.outgoing.send(message);
    }

    /// The next thing that it says. Dropped before its end, it loses nothing.
    ///
    /// # Errors
    /// When it is gone, or what it said is not understood: there will be nothing more.
    pub async fn next(&mut self) -> Result<T, PythonError> {
        tokio::select! {
            biased;
            message = self.incoming.recv() => match message {
                Some(Ok(message)) => Ok(message),
                Some(Err(error)) if error.kind() == io::ErrorKind::InvalidData => Err(error.into()),
                _ => Err(PythonError::Died),
            },
            // What it has forked may hold its socket open.
            _ = self.child.wait() => match self.incoming.try_recv() {
                Ok(Ok(message)) => Ok(message),
                _ => Err(PythonError::Died),
            },
        }
    }

    /// Ends it and everything that it has started, by force.
    pub async fn kill(&mut self) -> Option<ExitStatus> {
        let group = self.child.id().and_then(|pid| i32::try_from(pid).ok()).map(nix::unistd::Pid::from_raw);
        if let Some(group) = group {
            // It leads a group of its own from its first moment in its role on.
            let _ = nix::sys::signal::killpg(group, nix::sys::signal::Signal::SIGKILL);
        }
        let _ = self.child.start_kill();
        self.child.wait().await.ok()
    }

    /// Waits until it has ended by itself.
    pub async fn ended(&mut self) -> Option<ExitStatus> {
        self.child.wait().await.ok()
    }
}
