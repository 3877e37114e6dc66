//! One connected scheduler.

use std::rc::Rc;

use tokio::io::BufReader;
use tokio::net::UnixStream;
use tokio::sync::mpsc;

use super::crew::Crew;
use super::process::Launcher;
use super::server::Servers;
use crate::executor::wire::{self, FromWorker, PROTOCOL, ToWorker};

/// Serves a scheduler until it is gone.
pub(super) async fn serve<L: Launcher + 'static, V: Servers + 'static>(
    stream: UnixStream,
    crew: Rc<Crew<L, V>>,
) {
    let (read, mut write) = stream.into_split();
    let mut read = BufReader::new(read);
    match wire::read::<ToWorker>(&mut read).await {
        Ok(Some(ToWorker::Hello { protocol: PROTOCOL })) => {}
        other => {
            return tracing::warn!(?other, "a program that is no scheduler of this version has connected");
        }
    }
    let (out, mut to_say) = mpsc::unbounded_channel::<FromWorker>();
    let session = crew.board().open(out);
    crew.changed.notify_one();
    tracing::info!(session, "a scheduler has connected");
    let writer = tokio::task::spawn_local(async move {
        while let Some(message) = to_say.recv().await {
            if wire::write(&mut write, &message).await.is_err() {
                return;
            }
        }
    });
    loop {
        match wire::read::<ToWorker>(&mut read).await {
            Ok(Some(message)) => crew.obey(session, message),
            Ok(None) => break,
            Err(error) => {
                tracing::warn!(session, %error, "the connection with a scheduler failed");
                break;
            }
        }
    }
    writer.abort();
    crew.board().close(session);
    tracing::info!(session, "a scheduler has disconnected; its tasks go on");
}
