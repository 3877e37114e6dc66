//! SIGTERM and SIGINT, shared by everything that runs in the process.

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// Tells whether the process is asked to stop. Cheap to clone; every clone is told.
#[derive(Clone, Debug)]
pub struct Shutdown {
    asked: watch::Receiver<bool>,
}

/// The other end: asks everybody to stop. Dropping it asks too.
#[derive(Debug)]
pub struct Asker {
    ask: watch::Sender<bool>,
}

impl Shutdown {
    /// Asked by [`Asker::ask`].
    pub fn by_hand() -> (Asker, Self) {
        let (ask, asked) = watch::channel(false);
        (Asker { ask }, Self { asked })
    }

    /// Asked by SIGTERM or SIGINT. From now on these signals no longer end the process, and SIGUSR2, which asks Airflow's
    /// scheduler for its state, does not either.
    ///
    /// # Errors
    /// When the handlers cannot be installed.
    pub fn on_signals() -> std::io::Result<Self> {
        let (asker, shutdown) = Self::by_hand();
        let mut term = signal(SignalKind::terminate())?;
        let mut int = signal(SignalKind::interrupt())?;
        // Once asked for, a signal keeps its handler for good.
        drop(signal(SignalKind::user_defined2())?);
        tokio::spawn(async move {
            loop {
                let name = tokio::select! {
                    _ = term.recv() => "SIGTERM",
                    _ = int.recv() => "SIGINT",
                };
                tracing::info!(signal = name, "Exiting gracefully upon receiving signal");
                asker.ask();
            }
        });
        Ok(shutdown)
    }

    /// Whether it is asked to stop.
    pub fn is_asked(&self) -> bool {
        *self.asked.borrow() || self.asked.has_changed().is_err()
    }

    /// Waits until it is asked to stop; safe to drop and call again.
    pub async fn asked(&self) {
        // An error means that the asker is gone, which asks as well.
        let _ = self.asked.clone().wait_for(|asked| *asked).await;
    }
}

impl Asker {
    /// Asks everybody to stop.
    pub fn ask(&self) {
        self.ask.send_replace(true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_clone_is_told_once_and_for_all() {
        let (asker, shutdown) = Shutdown::by_hand();
        let other = shutdown.clone();
        assert!(!other.is_asked());
        asker.ask();
        other.asked().await;
        shutdown.asked().await;
        drop(asker);
        assert!(shutdown.is_asked());
    }
}
