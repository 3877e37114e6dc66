//! Moves what a task writes into its log, with bounded memory.

use std::cell::RefCell;
use std::rc::Rc;

use tokio::io::{AsyncRead, AsyncReadExt};

use super::line::{Level, TaskLog};

/// Read at once.
const CHUNK: usize = 64 * 1024;
/// A line that is longer is cut: a task that writes without line ends must not fill the memory.
const LONGEST_LINE: usize = 8 * 1024 * 1024;

/// Which of the task's streams it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    /// fd 1.
    Stdout,
    /// fd 2.
    Stderr,
    /// Structured records.
    Logs,
}

/// Writes everything that comes from `stream` to `log`, until its end.
pub async fn pump(mut stream: impl AsyncRead + Unpin, channel: Channel, log: Rc<RefCell<TaskLog>>) {
    let mut buffer: Vec<u8> = Vec::with_capacity(CHUNK);
    // Bytes at the beginning that are known to hold no line end.
    let mut seen = 0;
    loop {
        buffer.reserve(CHUNK);
        let more = matches!(stream.read_buf(&mut buffer).await, Ok(n) if n > 0);
        let mut log = log.borrow_mut();
        let mut start = 0;
        while let Some(at) = buffer[seen..].iter().position(|byte| *byte == b'\n') {
            write(&mut log, channel, &buffer[start..seen + at]);
            seen += at + 1;
            start = seen;
        }
        buffer.drain(..start);
        if buffer.len() > LONGEST_LINE || (!more && !buffer.is_empty()) {
            write(&mut log, channel, &buffer);
            buffer = Vec::with_capacity(CHUNK);
        }
        seen = buffer.len();
        log.flush();
        if !more {
            return;
        }
    }
}

fn write(log: &mut TaskLog, channel: Channel, line: &[u8]) {
    match channel {
        Channel::Stdout => log.output(Level::Info, "task.stdout", line),
        Channel::Stderr => log.output(Level::Error, "task.stderr", line),
        Channel::Logs => log.record(line),
    }
}
