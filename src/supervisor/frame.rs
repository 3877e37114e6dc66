//! Frames of the Task SDK's protocol (`_RequestFrame` and `_ResponseFrame` in `airflow/sdk/execution_time/comms.py`).
//!
//! A frame is a length (four bytes, big-endian) and a MessagePack array: `[id, body, context_carrier?]` from the child,
//! `[id, body, error]` to it. The first frame goes to the child: id 0, the start-up details.

use std::io;

use rmpv::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// The largest frame that is read or written, in bytes. Airflow's own limit is 4 GiB; a value of this size already means
/// that data goes through messages that belongs into storage, and one task must not be able to eat the memory of all.
pub const MAX_FRAME: usize = 1 << 30;

/// How deep arrays and maps may be nested in a frame.
const MAX_DEPTH: usize = 512;

/// One frame, in either direction.
#[derive(Clone, Debug, PartialEq)]
pub struct Frame {
    /// Ties a response to its request.
    pub id: i64,
    /// The message, a map with its kind under `type`; nil for a response that only confirms.
    pub body: Value,
    /// In a response, an `ErrorResponse` or nil; in a request, the trace context or nil.
    pub error: Value,
}

impl Frame {
    /// A frame without its third member.
    pub fn new(id: i64, body: Value) -> Self {
        Self { id, body, error: Value::Nil }
    }

    /// The response to the request `id`.
    pub fn response(id: i64, body: Option<Value>, error: Option<Value>) -> Self {
        Self { id, body: body.unwrap_or(Value::Nil), error: error.unwrap_or(Value::Nil) }
    }

    /// The frame as bytes, with its length in front.
    ///
    /// # Errors
    /// [`FrameError::TooLarge`].
    pub fn encode(&self) -> Result<Vec<u8>, FrameError> {
        let mut bytes = vec![0; 4];
        let frame = Value::Array(vec![self.id.into(), self.body.clone(), self.error.clone()]);
        rmpv::encode::write_value(&mut bytes, &frame)
            .map_err(|error| FrameError::Malformed(error.to_string()))?;
        let length = bytes.len() - 4;
        match u32::try_from(length) {
            Ok(prefix) if length <= MAX_FRAME => bytes[..4].copy_from_slice(&prefix.to_be_bytes()),
            _ => return Err(FrameError::TooLarge(length)),
        }
        Ok(bytes)
    }

    /// Reads a frame from what follows its length.
    ///
    /// # Errors
    /// [`FrameError::Malformed`] when the bytes are not such an array.
    pub fn decode(bytes: &[u8]) -> Result<Self, FrameError> {
        let mut rest = bytes;
        let value = rmpv::decode::read_value_with_max_depth(&mut rest, MAX_DEPTH)
            .map_err(|error| FrameError::Malformed(error.to_string()))?;
        let Value::Array(members) = value else {
            return Err(FrameError::Malformed("a frame must be an array".to_owned()));
        };
        let mut members = members.into_iter();
        let id = members
            .next()
            .and_then(|id| id.as_i64())
            .ok_or_else(|| FrameError::Malformed("a frame must start with its id".to_owned()))?;
        Ok(Self {
            id,
            body: members.next().unwrap_or(Value::Nil),
            error: members.next().unwrap_or(Value::Nil),
        })
    }
}

/// Why a frame could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The socket failed.
    #[error("the socket to the process failed: {0}")]
    Io(#[from] io::Error),
    /// The frame is larger than [`MAX_FRAME`].
    #[error(
        "a message of {0} bytes exceeds the limit of {MAX_FRAME} bytes; keep large values in storage and pass a reference"
    )]
    TooLarge(usize),
    /// The bytes are not a frame.
    #[error("a message cannot be decoded: {0}")]
    Malformed(String),
    /// The socket was closed within a frame.
    #[error("the process closed its socket in the middle of a message")]
    Truncated,
}

/// Reads frames. [`FrameReader::next`] may be dropped at any await point (in a `select!`) and called again.
#[derive(Debug)]
pub struct FrameReader<R> {
    inner: R,
    buffer: Vec<u8>,
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    /// Reads from a socket, or from the reading half of one.
    pub fn new(inner: R) -> Self {
        Self { inner, buffer: Vec::new() }
    }

    /// The next frame, or `None` once the other side has closed the socket between two frames.
    ///
    /// # Errors
    /// As [`FrameError`]; after one the stream cannot be used any more.
    pub async fn next(&mut self) -> Result<Option<Frame>, FrameError> {
        loop {
            if let Some(frame) = self.take()? {
                return Ok(Some(frame));
            }
            if self.inner.read_buf(&mut self.buffer).await? == 0 {
                return if self.buffer.is_empty() { Ok(None) } else { Err(FrameError::Truncated) };
            }
        }
    }

    /// Takes a whole frame from the buffer, if there is one.
    fn take(&mut self) -> Result<Option<Frame>, FrameError> {
        let Some(prefix) = self.buffer.first_chunk::<4>() else { return Ok(None) };
        let length = usize::try_from(u32::from_be_bytes(*prefix)).unwrap_or(usize::MAX);
        if length > MAX_FRAME {
            return Err(FrameError::TooLarge(length));
        }
        let end = 4 + length;
        if self.buffer.len() < end {
            self.buffer.reserve(end - self.buffer.len());
            return Ok(None);
        }
        let frame = Frame::decode(&self.buffer[4..end])?;
        self.buffer.drain(..end);
        Ok(Some(frame))
    }
}

/// Writes frames.
#[derive(Debug)]
pub struct FrameWriter<W> {
    inner: W,
}

impl<W: AsyncWrite + Unpin> FrameWriter<W> {
    /// Writes to a socket, or to the writing half of one.
    pub fn new(inner: W) -> Self {
        Self { inner }
    }

    /// Writes one frame. Not to be dropped before it is done: half a frame would be left in the stream.
    ///
    /// # Errors
    /// As [`FrameError`].
    pub async fn send(&mut self, frame: &Frame) -> Result<(), FrameError> {
        let bytes = frame.encode()?;
        self.inner.write_all(&bytes).await?;
        self.inner.flush().await?;
        Ok(())
    }

    /// Gives the socket back.
    pub fn into_inner(self) -> W {
        self.inner
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
    }

    #[test]
    fn frames_arrive_whole_and_in_order_however_the_bytes_are_cut() {
        runtime().block_on(async {
            let (near, far) = tokio::io::duplex(3);
            let frames: Vec<_> = (0..5)
                .map(|id| Frame::new(id, Value::from("x".repeat(usize::try_from(id).unwrap() * 100))))
                .collect();
            let sent = frames.clone();
            let write = async move {
                let mut writer = FrameWriter::new(near);
                for frame in &sent {
                    writer.send(frame).await.unwrap();
                }
            };
            let read = async {
                let mut reader = FrameReader::new(far);
                let mut seen = Vec::new();
                while let Some(frame) = reader.next().await.unwrap() {
                    seen.push(frame);
                }
                seen
            };
            assert_eq!(tokio::join!(write, read).1, frames);
        });
    }

    #[test]
    fn a_request_may_leave_out_its_third_member() {
        let mut bytes = Vec::new();
        rmpv::encode::write_value(&mut bytes, &Value::Array(vec![7.into(), Value::Nil])).unwrap();
        assert_eq!(Frame::decode(&bytes).unwrap(), Frame::new(7, Value::Nil));
    }

    #[test]
    fn a_length_beyond_the_limit_is_refused_before_anything_is_read() {
        runtime().block_on(async {
            let mut reader = FrameReader::new(&[0xff, 0xff, 0xff, 0xff][..]);
            assert!(matches!(reader.next().await, Err(FrameError::TooLarge(_))));
        });
    }

    #[test]
    fn a_socket_closed_within_a_frame_is_an_error() {
        runtime().block_on(async {
            let mut reader = FrameReader::new(&[0, 0, 0, 9, 1][..]);
            assert!(matches!(reader.next().await, Err(FrameError::Truncated)));
        });
    }
}
