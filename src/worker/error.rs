//! Why a worker cannot run.

use std::path::PathBuf;

use crate::supervisor::answer::OptionsError;

/// An error of the worker as a whole; what goes wrong with one task is that task's matter.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// The socket cannot be made.
    #[error("the worker's socket {} cannot be made: {source}", path.display())]
    Socket {
        /// Where.
        path: PathBuf,
        /// The reason.
        source: std::io::Error,
    },
    /// The configuration of the answers to tasks is wrong.
    #[error(transparent)]
    Options(#[from] OptionsError),
    /// The system refuses something else.
    #[error("the worker cannot run: {0}")]
    Io(#[from] std::io::Error),
}
