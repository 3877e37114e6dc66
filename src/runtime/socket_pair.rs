//! Sockets between a process of ours and one that it starts.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdStream;

use tokio::net::UnixStream;

/// A pair of connected sockets: our end, and the other process's, which blocks.
///
/// # Errors
/// When the system has no descriptors left.
pub fn socket_pair() -> io::Result<(UnixStream, OwnedFd)> {
    let (ours, theirs) = StdStream::pair()?;
    ours.set_nonblocking(true)?;
    Ok((UnixStream::from_std(ours)?, OwnedFd::from(theirs)))
}
