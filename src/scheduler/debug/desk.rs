//! Where a running scheduler is asked about itself: a Unix socket in a folder of its user's, and SIGUSR2.
//!
//! Who may open the folder may ask: the user that the scheduler runs as, and root. The answer says nothing that they could not
//! read by themselves. A loop that hangs does not keep the answer from being given: then it says in which step it hangs.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::Utc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot};

use super::Progress;
use super::state::{Answer, EngineState, LoopState, PoolState, State};
use crate::runtime::{Shutdown, process};
use crate::store::duties::metrics;
use crate::store::triggers::cursor;
use crate::store::{Db, StoreError, events};

/// How long the loop, and the database, may take to answer.
const LIMIT: Duration = Duration::from_secs(3);
/// How long a scheduler may take to answer whoever asks.
const ANSWER: Duration = Duration::from_secs(15);

/// A question to the loop.
pub(in crate::scheduler) type Question = oneshot::Sender<LoopState>;

/// Asks one scheduler of this process. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Desk {
    db: Db,
    progress: Progress,
    questions: mpsc::UnboundedSender<Question>,
}

impl Desk {
    pub(in crate::scheduler) fn new(
        db: Db,
        progress: Progress,
        questions: mpsc::UnboundedSender<Question>,
    ) -> Self {
        Self { db, progress, questions }
    }

    /// The scheduler's state at this moment.
    pub async fn state(&self) -> State {
        let (question, answer) = oneshot::channel();
        let asked = self.questions.send(question).is_ok();
        let known = async {
            if asked { tokio::time::timeout(LIMIT, answer).await.ok().and_then(Result::ok) } else { None }
        };
        let (scheduler, events, pools) =
            tokio::join!(known, in_time(engine(&self.db)), in_time(pools(&self.db)));
        State {
            version: env!("CARGO_PKG_VERSION"),
            pid: std::process::id(),
            at: Utc::now(),
            step: self.progress.step(),
            scheduler,
            events,
            pools,
            connections: self.db.connections(),
            memory: process::memory(),
            children: process::children(),
        }
    }

    /// Answers on this socket, and to SIGUSR2 in the log, until it is asked to stop. A socket that cannot be made is logged.
    pub async fn serve(self, socket: PathBuf, shutdown: Shutdown) {
        let listener = match listen(&socket) {
            Ok(listener) => Some(listener),
            Err(error) => {
                tracing::warn!(socket = %socket.display(), %error, "`slipstream debug dump` cannot reach this scheduler");
                None
            }
        };
        let mut dump = signal(SignalKind::user_defined2()).ok();
        loop {
            tokio::select! {
                stream = accepted(listener.as_ref()) => { tokio::spawn(answer(self.clone(), stream)); }
                () = asked(dump.as_mut()) => {
                    let state = self.state().await;
                    let state = serde_json::to_string(&state).unwrap_or_default();
                    tracing::info!(state, "SIGUSR2 (12) received, printing debug");
                }
                () = shutdown.asked() => break,
            }
        }
        if listener.is_some() {
            let _ = std::fs::remove_file(&socket);
        }
    }
}

fn listen(socket: &Path) -> io::Result<UnixListener> {
    // A process with our number that is gone may have left it.
    let _ = std::fs::remove_file(socket);
    UnixListener::bind(socket)
}

async fn accepted(listener: Option<&UnixListener>) -> UnixStream {
    if let Some(listener) = listener {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => return stream,
                // Out of descriptors, say: not at once again.
                Err(_) => tokio::time::sleep(Duration::from_secs(1)).await,
            }
        }
    }
    std::future::pending().await
}

async fn asked(signal: Option<&mut Signal>) {
    if let Some(signal) = signal
        && signal.recv().await.is_some()
    {
        return;
    }
    std::future::pending().await
}

async fn answer(desk: Desk, mut stream: UnixStream) {
    let state = serde_json::json!({"text": "", "state": null});
    let found = desk.state().await;
    let mut reply = state;
    reply["text"] = found.to_string().into();
    reply["state"] = serde_json::to_value(&found).unwrap_or_default();
    // Who asked may be gone.
    let _ = stream.write_all(reply.to_string().as_bytes()).await;
    let _ = stream.shutdown().await;
}

/// What a scheduler said about itself.
#[derive(Clone, Debug, PartialEq, serde::Deserialize)]
pub struct Dump {
    /// For people.
    pub text: String,
    /// For programs: a [`State`].
    pub state: serde_json::Value,
}

/// Asks the scheduler behind a socket.
///
/// # Errors
/// When nobody listens there, or the answer takes more than 15 seconds.
pub async fn ask(socket: &Path) -> io::Result<Dump> {
    let talk = async {
        let mut stream = UnixStream::connect(socket).await?;
        let mut said = Vec::new();
        stream.read_to_end(&mut said).await?;
        serde_json::from_slice(&said).map_err(io::Error::other)
    };
    match tokio::time::timeout(ANSWER, talk).await {
        Ok(answer) => answer,
        Err(_) => {
            Err(io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {} s", ANSWER.as_secs())))
        }
    }
}

async fn in_time<T>(work: impl Future<Output = Result<T, StoreError>>) -> Answer<T> {
    match tokio::time::timeout(LIMIT, work).await {
        Ok(Ok(found)) => Answer::Is(found),
        Ok(Err(error)) => Answer::Unknown { error: error.to_string() },
        Err(_) => Answer::Unknown {
            error: format!("the metadata database does not answer within {} s", LIMIT.as_secs()),
        },
    }
}

async fn engine(db: &Db) -> Result<EngineState, StoreError> {
    let head = events::head(db).await?.0;
    let position = cursor::get(db, cursor::ENGINE).await?.map_or(0, |position| position.0);
    Ok(EngineState { position, head })
}

async fn pools(db: &Db) -> Result<BTreeMap<String, PoolState>, StoreError> {
    let state = |pool: metrics::PoolUse| PoolState {
        total: pool.total,
        running: pool.running,
        queued: pool.queued,
        scheduled: pool.scheduled,
        deferred: pool.deferred,
        open: pool.open,
    };
    Ok(metrics::pools(db).await?.into_iter().map(|(name, pool)| (name, state(pool))).collect())
}
