//! Messages on the socket between Slipstream and a host process: see `_host/wire.py`.

use std::io;

use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Longest message that is believed: what is longer is a stream out of step.
const LIMIT: u32 = 1 << 30;

/// Reads one message.
///
/// # Errors
/// When the socket ends, the length is impossible, or what comes is not such a message.
pub async fn read<T: DeserializeOwned>(from: &mut (impl AsyncRead + Unpin)) -> io::Result<T> {
    let (size, attached) = (from.read_u32().await?, from.read_u32().await?);
    if size > LIMIT || attached != 0 {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a message has an impossible length"));
    }
    // Room is made for what comes, not for what is promised.
    let mut data = Vec::new();
    let wanted = u64::from(size);
    if (&mut *from).take(wanted).read_to_end(&mut data).await? < size as usize {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(serde_json::from_slice(&data)?)
}

/// Writes one message with its attachment.
pub(super) async fn write(
    to: &mut (impl AsyncWrite + Unpin),
    message: &Value,
    attachment: &[u8],
) -> io::Result<()> {
    let data = message.to_string();
    let sizes = (u32::try_from(data.len()), u32::try_from(attachment.len()));
    let (Ok(size), Ok(attached)) = sizes else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "a message is longer than 4 GiB"));
    };
    to.write_u32(size).await?;
    to.write_u32(attached).await?;
    to.write_all(data.as_bytes()).await?;
    to.write_all(attachment).await
}
