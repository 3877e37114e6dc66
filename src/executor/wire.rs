//! What a [`super::LocalExecutor`] and its worker say to each other: one JSON object per line.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncWrite, AsyncWriteExt};
use uuid::Uuid;

use super::event::{Attached, ExecutorEvent};
use super::workload::{Workload, WorkloadKey};

/// Raised when the two sides would no longer understand each other.
pub const PROTOCOL: u32 = 1;

/// To the worker.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum ToWorker {
    /// The first line.
    Hello {
        /// [`PROTOCOL`].
        protocol: u32,
    },
    /// Run these. What the worker holds already is not run twice.
    Queue {
        /// The work.
        workloads: Vec<Workload>,
    },
    /// Take it out of the queue, or end its process.
    Kill {
        /// What.
        key: WorkloadKey,
    },
    /// The event with this number has arrived.
    Got {
        /// The number.
        seq: u64,
    },
}

/// From the worker.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "snake_case")]
pub enum FromWorker {
    /// The answer to `Hello`.
    Welcome {
        /// A number of this worker process: another one means that the worker was restarted.
        worker: Uuid,
        /// Its process.
        pid: u32,
        /// What it holds that no other scheduler connected to it has handed over.
        held: Attached,
    },
    /// The workloads of a `Queue` are in the worker's hands.
    Queued {
        /// Which.
        keys: Vec<WorkloadKey>,
    },
    /// News.
    Event {
        /// Events with a number are repeated until [`ToWorker::Got`] names it.
        seq: Option<u64>,
        /// The news.
        event: ExecutorEvent,
    },
}

/// Writes one message.
///
/// # Errors
/// When the other side is gone.
pub async fn write<T: Serialize>(to: &mut (impl AsyncWrite + Unpin), message: &T) -> std::io::Result<()> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    to.write_all(&line).await
}

/// Reads one message; `None` when the other side is gone.
///
/// # Errors
/// When the connection fails or the line is no message.
pub async fn read<T: DeserializeOwned>(from: &mut (impl AsyncBufRead + Unpin)) -> std::io::Result<Option<T>> {
    let mut line = Vec::new();
    if from.read_until(b'\n', &mut line).await? == 0 {
        return Ok(None);
    }
    Ok(Some(serde_json::from_slice(&line)?))
}
