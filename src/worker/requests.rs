//! The socket on a task's fd 0: its requests and our responses.

use std::future::Future;
use std::io::{self, IoSlice};
use std::os::fd::{AsRawFd, OwnedFd};
use std::pin::Pin;

use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};

use crate::supervisor::{Frame, FrameError, FrameReader, FrameWriter};

type Writer = FrameWriter<OwnedWriteHalf>;
type Sending = Pin<Box<dyn Future<Output = Result<Writer, FrameError>>>>;

enum Out {
    Idle(Writer),
    Sending(Sending),
    Broken,
}

/// Both directions of the socket. A response that the task does not read stops its requests, and nothing else.
pub(super) struct Requests {
    reader: Option<FrameReader<OwnedReadHalf>>,
    out: Out,
}

impl std::fmt::Debug for Requests {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Requests").field("open", &self.is_open()).finish_non_exhaustive()
    }
}

impl Requests {
    /// Over our end of the pair.
    pub(super) fn new(stream: UnixStream) -> Self {
        let (read, write) = stream.into_split();
        Self { reader: Some(FrameReader::new(read)), out: Out::Idle(FrameWriter::new(write)) }
    }

    /// Ends both directions.
    pub(super) fn close(&mut self) {
        self.reader = None;
        self.out = Out::Broken;
    }

    /// Whether more requests can come.
    pub(super) fn is_open(&self) -> bool {
        self.reader.is_some()
    }

    /// Sends what is due and then waits for the next request; `None` at the end. May be dropped at any time.
    pub(super) async fn next(&mut self) -> Option<Frame> {
        if let Out::Sending(sending) = &mut self.out {
            // A task that went away without reading its answer is dealt with when its process has ended.
            self.out = sending.await.map_or(Out::Broken, Out::Idle);
        }
        let frame = match &mut self.reader {
            Some(reader) => reader.next().await,
            None => Ok(None),
        };
        match frame {
            Ok(Some(frame)) => return Some(frame),
            Ok(None) | Err(FrameError::Io(_) | FrameError::Truncated) => {}
            Err(error) => tracing::error!(%error, "a task does not speak the Task SDK's protocol"),
        }
        // With our end closed the task's next request fails instead of waiting for ever.
        self.close();
        None
    }

    /// Hands over a frame that [`Requests::next`] sends.
    pub(super) fn send(&mut self, frame: Frame) {
        self.queue(|mut writer| {
            Box::pin(async move {
                match writer.send(&frame).await {
                    Err(FrameError::TooLarge(size)) => {
                        let error = too_large(size);
                        writer.send(&Frame::response(frame.id, None, Some(error))).await?;
                    }
                    other => other?,
                }
                Ok(writer)
            })
        });
    }

    /// As [`Requests::send`], with a descriptor.
    pub(super) fn send_with_fd(&mut self, frame: Frame, fd: OwnedFd) {
        self.queue(|writer| {
            Box::pin(async move {
                let bytes = frame.encode()?;
                let half = writer.into_inner();
                let stream: &UnixStream = half.as_ref();
                stream.async_io(Interest::WRITABLE, || send_fd(stream, &bytes, &fd)).await?;
                Ok(FrameWriter::new(half))
            })
        });
    }

    fn queue(&mut self, send: impl FnOnce(Writer) -> Sending + 'static) {
        self.out = match std::mem::replace(&mut self.out, Out::Broken) {
            Out::Idle(writer) => Out::Sending(send(writer)),
            Out::Sending(before) => Out::Sending(Box::pin(async move { send(before.await?).await })),
            Out::Broken => Out::Broken,
        };
    }
}

fn send_fd(stream: &UnixStream, bytes: &[u8], fd: &OwnedFd) -> io::Result<()> {
    let (data, rights) = ([IoSlice::new(bytes)], [fd.as_raw_fd()]);
    let control = [ControlMessage::ScmRights(&rights)];
    // The frame is far smaller than a socket's buffer: it goes out whole.
    sendmsg::<()>(stream.as_raw_fd(), &data, &control, MsgFlags::MSG_NOSIGNAL, None)?;
    Ok(())
}

fn too_large(size: usize) -> rmpv::Value {
    let message = FrameError::TooLarge(size).to_string();
    let detail = vec![("status_code".into(), 413.into()), ("message".into(), message.into())];
    rmpv::Value::Map(vec![
        ("error".into(), "API_SERVER_ERROR".into()),
        ("detail".into(), rmpv::Value::Map(detail)),
        ("type".into(), "ErrorResponse".into()),
    ])
}
