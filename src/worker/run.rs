//! Starting a worker.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::rc::Rc;

use tokio::net::UnixListener;
use tokio::task::LocalSet;
use uuid::Uuid;

use super::board::Board;
use super::crew::{Crew, Launchers};
use super::database::Database;
use super::error::WorkerError;
use super::leftovers::Leftovers;
use super::options::WorkerOptions;
use super::reaper::Reaper;
use super::serve;
use super::zygotes::Zygotes;
use crate::executor::Place;
use crate::python::ZygoteKind;

/// Runs the deployment's worker until nobody needs it, or until SIGTERM. Returns at once if there is one already.
///
/// # Errors
/// [`WorkerError`] when it cannot start.
pub async fn run(options: WorkerOptions) -> Result<(), WorkerError> {
    LocalSet::new().run_until(work(options)).await
}

async fn work(options: WorkerOptions) -> Result<(), WorkerError> {
    let socket = options.place.socket();
    let at_socket = |source| WorkerError::Socket { path: options.place.socket(), source };
    options.place.prepare().map_err(at_socket)?;
    let Some(_lock) = lock(&options.place)? else {
        tracing::info!(socket = %socket.display(), "another worker of this deployment runs already");
        return Ok(());
    };
    detach();
    let leftovers = Leftovers::new(options.place.processes());
    let ended = leftovers.end_all();
    if ended > 0 {
        tracing::warn!(
            ended,
            "an earlier worker was killed; the task processes that it left behind are ended"
        );
    }
    // Nobody listens on it: we have the lock.
    let _ = std::fs::remove_file(&socket);
    let listener = UnixListener::bind(&socket).map_err(at_socket)?;

    let reaper = Reaper::default();
    tokio::task::spawn_local(reaper.clone().run());
    let callbacks = Zygotes::new(
        options.interpreter.clone(),
        ZygoteKind::Callback,
        reaper.clone(),
        options.settings.fork_limit,
    );
    let tasks = Zygotes::new(options.interpreter, ZygoteKind::Task, reaper, options.settings.fork_limit)
        .preparing(options.settings.prepared_dag_files);
    tokio::task::spawn_local(warm(tasks.clone()));
    let servers = Database {
        db: options.db,
        options: options.answers,
        hostname: options.hostname,
        unixname: options.unixname,
    };
    let settings = &options.settings;
    let board = Board::new(Uuid::new_v4(), settings.parallelism, settings.streaming_parallelism);
    let crew =
        Rc::new(Crew::new(board, options.settings, Launchers { tasks, callbacks }, servers, leftovers));
    tracing::info!(socket = %socket.display(), pid = std::process::id(), "worker started");
    let stop = serve::serve(listener, crew, options.idle, &options.shutdown).await;
    let _ = std::fs::remove_file(&socket);
    tracing::info!(reason = ?stop, "worker ended");
    Ok(())
}

/// The lock that only one worker of a deployment has; `None` if another one has it.
fn lock(place: &Place) -> io::Result<Option<File>> {
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(place.lock())?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Lives on when the scheduler's session or terminal ends, and takes in the processes whose parent dies.
fn detach() {
    // Refused to the leader of a process group: then it was started by hand and may end with its terminal.
    let _ = nix::unistd::setsid();
    #[cfg(target_os = "linux")]
    {
        use nix::sys::prctl;
        if let Err(error) = prctl::set_child_subreaper(true) {
            tracing::warn!(%error, "tasks cannot be watched any more should their parent process die");
        }
        // As stock Airflow: a task must not read the memory of the process that has the database's password.
        let _ = prctl::set_dumpable(false);
    }
}

/// The first task need not wait for Airflow to be imported. A failure is shown by the tasks that it hits as well.
async fn warm(zygotes: Zygotes) {
    if let Err(error) = zygotes.warm().await {
        tracing::error!(%error, "tasks cannot be started");
    }
}
