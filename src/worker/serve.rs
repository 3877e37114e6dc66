//! The worker's main loop.

use std::rc::Rc;
use std::time::Duration;

use tokio::net::UnixListener;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};

use super::crew::Crew;
use super::process::Launcher;
use super::server::Servers;
use super::session;
use crate::runtime::Shutdown;

/// How often the states of running tasks are looked at.
const LOOK: Duration = Duration::from_secs(1);
/// How long tasks may take to end when the worker is told to.
const LAST_WORDS: Duration = Duration::from_secs(20);

/// Why the worker ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// Nobody is connected and there is nothing to do.
    Idle,
    /// It was told to.
    Asked,
}

/// Serves schedulers until nobody is connected and nothing is left for `idle`, or until SIGTERM.
pub(super) async fn serve<L: Launcher + 'static, V: Servers + 'static>(
    listener: UnixListener,
    crew: Rc<Crew<L, V>>,
    idle: Duration,
    shutdown: &Shutdown,
) -> Stop {
    let mut look = interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut idle_since = Instant::now();
    let stop = loop {
        if !crew.board().is_idle() {
            idle_since = Instant::now();
        }
        tokio::select! {
            connection = listener.accept() => match connection {
                Ok((stream, _)) => {
                    let crew = crew.clone();
                    tokio::task::spawn_local(async move {
                        session::serve(stream, crew.clone()).await;
                        crew.changed.notify_one();
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection cannot be accepted");
                    tokio::time::sleep(LOOK).await;
                }
            },
            _ = look.tick() => crew.look_around().await,
            () = crew.changed.notified() => {}
            () = sleep_until(idle_since + idle), if crew.board().is_idle() => {
                // Somebody may have come while we slept.
                if crew.board().is_idle() {
                    break Stop::Idle;
                }
            }
            () = shutdown.asked() => break Stop::Asked,
        }
    };
    drop(listener);
    if stop == Stop::Asked {
        end_tasks(&crew).await;
    }
    stop
}

async fn end_tasks<L: Launcher + 'static, V: Servers + 'static>(crew: &Crew<L, V>) {
    let running = crew.board().running();
    tracing::info!(running, "the worker is told to end; running tasks are stopped");
    crew.board().stop_all();
    let all_gone = async {
        while crew.board().running() > 0 {
            crew.changed.notified().await;
        }
        // What was said about their ends is still on its way to the scheduler.
        tokio::task::yield_now().await;
    };
    if timeout(LAST_WORDS, all_gone).await.is_err() {
        tracing::error!("not all tasks could be stopped in time");
    }
}
