//! The LocalExecutor: hands workloads to the `slipstream worker` of this deployment, which outlives the scheduler.
//!
//! Takes the place of `airflow/executors/local_executor.py`. Differences: a task goes on when the scheduler ends, and a
//! worker that was killed is replaced and its tasks are reported at once.

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use slipstream_core::admit::Class;
use tokio::io::BufReader;
use tokio::net::UnixStream;
use tokio::net::unix::OwnedWriteHalf;
use tokio::process::Command;
use tokio::sync::{Notify, mpsc};
use uuid::Uuid;

use super::event::{ExecutorEvent, WorkEvent};
use super::place::Place;
use super::surroundings;
use super::wire::{self, FromWorker, PROTOCOL, ToWorker};
use super::workload::{Workload, WorkloadKey, WorkloadTi};
use crate::config::{Config, keys};

/// How long a worker that was started may take until it can be reached.
const WORKER_START: Duration = Duration::from_secs(30);
/// Between two attempts to reach it.
const PAUSE: Duration = Duration::from_millis(20);
/// After a failure.
const LONG_PAUSE: Duration = Duration::from_secs(2);

/// How to reach the worker.
#[derive(Clone, Debug)]
pub struct LocalOptions {
    /// Where the worker is.
    pub place: Place,
    /// `[core] parallelism`: most workloads handed over at once.
    pub parallelism: usize,
    /// `[slipstream] streaming_parallelism`: most streaming tasks handed over at once, besides.
    pub streaming: usize,
    /// The command that starts a worker: this program and `worker`.
    pub worker: Vec<PathBuf>,
    /// `airflow.cfg`.
    pub config_file: PathBuf,
}

/// `[slipstream] streaming_parallelism`.
pub fn streaming_parallelism(config: &Config) -> usize {
    usize::try_from(config.get(&keys::slipstream::STREAMING_PARALLELISM)).unwrap_or(0)
}

impl LocalOptions {
    /// As the configuration says; the worker is this program.
    ///
    /// # Errors
    /// When the system does not tell where this program is.
    pub fn new(config: &Config) -> io::Result<Self> {
        Ok(Self {
            place: Place::of(config),
            parallelism: usize::try_from(config.get(&keys::core::PARALLELISM)).unwrap_or(1),
            streaming: streaming_parallelism(config),
            worker: vec![std::env::current_exe()?, PathBuf::from("worker")],
            config_file: config.file().0.to_owned(),
        })
    }
}

/// The executor as the scheduler holds it. Cheap to clone; dropped, it leaves the worker with its work.
#[derive(Clone, Debug)]
pub struct LocalExecutor {
    parallelism: usize,
    streaming: usize,
    held: Shared,
    confirmed: Arc<Notify>,
    commands: mpsc::UnboundedSender<ToWorker>,
}

/// [`Held`], shared by the executor and its link. Never locked across an await.
#[derive(Clone, Debug, Default)]
struct Shared(Arc<Mutex<Held>>);

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What was handed over and has not ended.
#[derive(Debug, Default)]
struct Held {
    work: HashMap<WorkloadKey, Entry>,
    /// The worker that is connected.
    worker_pid: Option<i32>,
}

#[derive(Debug)]
struct Entry {
    workload: Workload,
    /// A task that resumes has its key again while its first process is only just ending.
    times: usize,
    /// The worker that has confirmed it.
    confirmed_by: Option<Uuid>,
}

impl LocalExecutor {
    /// Starts to look for the worker, and starts one if there is none. The first event is
    /// [`ExecutorEvent::Attached`].
    pub fn start(options: LocalOptions) -> (Self, mpsc::UnboundedReceiver<ExecutorEvent>) {
        let (commands, command_receiver) = mpsc::unbounded_channel();
        let (events, event_receiver) = mpsc::unbounded_channel();
        let held = Shared::default();
        let confirmed = Arc::new(Notify::new());
        let (parallelism, streaming, noted) = (options.parallelism, options.streaming, confirmed.clone());
        let executor = Self { parallelism, streaming, held: held.clone(), confirmed, commands };
        let link = Link { options, held, confirmed: noted, commands: command_receiver, events };
        tokio::spawn(link.run());
        (executor, event_receiver)
    }

    /// Hands over work. Nothing blocks: without a connection it is handed over once there is one.
    pub fn queue(&self, workloads: Vec<Workload>) {
        if workloads.is_empty() {
            return;
        }
        for workload in &workloads {
            self.held.lock().add(workload.clone());
        }
        // The link lives as long as the executor.
        let _ = self.commands.send(ToWorker::Queue { workloads });
    }

    /// Returns when the worker has confirmed everything that it was given: a scheduler that ends may leave it then.
    pub async fn handed_over(&self) {
        loop {
            let confirmed = self.confirmed.notified();
            if self.held.lock().work.values().all(|entry| entry.confirmed_by.is_some()) {
                return;
            }
            confirmed.await;
        }
    }

    /// Slots of a class that are taken: what was handed over and has not ended (`slots_occupied`).
    pub fn slots_occupied(&self, class: Class) -> usize {
        let held = self.held.lock();
        let of_class = held.work.values().filter(|entry| entry.workload.class() == class);
        of_class.map(|entry| entry.times).sum()
    }

    /// Slots of a class that are free (`slots_available`).
    pub fn slots_available(&self, class: Class) -> usize {
        let all = match class {
            Class::Batch => self.parallelism,
            Class::Streaming => self.streaming,
        };
        all.saturating_sub(self.slots_occupied(class))
    }

    /// Whether streaming tasks have slots of their own.
    pub fn has_streaming_slots(&self) -> bool {
        self.streaming > 0
    }

    /// Whether this try of a task instance is in the executor's hands (`has_task`).
    pub fn has_task(&self, ti: &WorkloadTi) -> bool {
        self.has(&ti.workload_key())
    }

    /// As [`LocalExecutor::has_task`], by the key.
    pub fn has(&self, key: &WorkloadKey) -> bool {
        self.held.lock().work.contains_key(key)
    }

    /// The task instances of which a try is in the executor's hands.
    pub fn held_tasks(&self) -> HashSet<Uuid> {
        let id = |key: &WorkloadKey| match key {
            WorkloadKey::Task { ti_id, .. } => Some(*ti_id),
            WorkloadKey::Callback { .. } | WorkloadKey::ConnectionTest { .. } => None,
        };
        self.held.lock().work.keys().filter_map(id).collect()
    }

    /// The worker's process, while it is connected.
    pub fn worker_pid(&self) -> Option<i32> {
        self.held.lock().worker_pid
    }

    /// Takes the work out of the queue, or ends its process; `TaskEnded` follows in either case (`revoke_task`).
    pub fn kill(&self, key: WorkloadKey) {
        let _ = self.commands.send(ToWorker::Kill { key });
    }
}

impl Held {
    fn add(&mut self, workload: Workload) {
        let entry = self.work.entry(workload.key()).or_insert_with(|| Entry {
            workload: workload.clone(),
            times: 0,
            confirmed_by: None,
        });
        entry.workload = workload;
        entry.times += 1;
        entry.confirmed_by = None;
    }

    fn end(&mut self, key: &WorkloadKey) {
        if let Some(entry) = self.work.get_mut(key) {
            entry.times -= 1;
            if entry.times == 0 {
                self.work.remove(key);
            }
        }
    }

    fn confirm(&mut self, key: &WorkloadKey, worker: Uuid) {
        if let Some(entry) = self.work.get_mut(key) {
            entry.confirmed_by = Some(worker);
        }
    }

    /// Takes in what the worker holds; returns what it must be given (again).
    fn meet(&mut self, worker: Uuid, theirs: &[Workload]) -> Vec<Workload> {
        for workload in theirs {
            let key = workload.key();
            if !self.work.contains_key(&key) {
                self.add(workload.clone());
            }
            self.confirm(&key, worker);
        }
        let unknown = self.work.values_mut().filter(|entry| entry.confirmed_by != Some(worker));
        unknown
            .map(|entry| {
                // Whatever the worker before had of it is gone: it is handed over once, and ends once.
                entry.times = 1;
                entry.workload.clone()
            })
            .collect()
    }
}

/// The connection with the worker.
struct Link {
    options: LocalOptions,
    held: Shared,
    confirmed: Arc<Notify>,
    commands: mpsc::UnboundedReceiver<ToWorker>,
    events: mpsc::UnboundedSender<ExecutorEvent>,
}

/// Why a connection has ended.
enum End {
    /// The scheduler has dropped its executor.
    Dropped,
    /// The worker is gone, or not understood.
    Lost(io::Error),
}

impl Link {
    async fn run(mut self) {
        loop {
            let end = match self.connect().await {
                Ok(stream) => {
                    self.held.lock().worker_pid = stream.peer_cred().ok().and_then(|worker| worker.pid());
                    let end = self.talk(stream).await;
                    self.held.lock().worker_pid = None;
                    end
                }
                Err(error) => {
                    tokio::time::sleep(LONG_PAUSE).await;
                    End::Lost(error)
                }
            };
            match end {
                End::Dropped => return,
                End::Lost(error) if self.commands.is_closed() => {
                    return tracing::debug!(%error, "the connection with the worker ends");
                }
                End::Lost(error) => tracing::warn!(%error, "the worker was lost; connecting again"),
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Connects with the worker, and starts one if none answers.
    async fn connect(&self) -> io::Result<UnixStream> {
        let socket = self.options.place.socket();
        if let Ok(stream) = UnixStream::connect(&socket).await {
            if let Some(pid) = stream.peer_cred().ok().and_then(|worker| worker.pid()) {
                let changed =
                    surroundings::changed_since_the_start_of(pid, &socket, &self.options.config_file);
                if !changed.is_empty() {
                    tracing::warn!(
                        pid,
                        changed = changed.join(", "),
                        "a worker that was started earlier goes on, and new tasks have what it was started with; once no task is to be lost, \
                         end it with SIGTERM, and another one is started with what has changed"
                    );
                }
            }
            return Ok(stream);
        }
        self.start_worker()?;
        let deadline = tokio::time::Instant::now() + WORKER_START;
        loop {
            match UnixStream::connect(&socket).await {
                Ok(stream) => return Ok(stream),
                Err(error) if tokio::time::Instant::now() > deadline => {
                    tracing::error!(
                        socket = %socket.display(), %error,
                        "the worker was started and cannot be reached: see its output; tasks wait meanwhile"
                    );
                    return Err(error);
                }
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    fn start_worker(&self) -> io::Result<()> {
        let [program, arguments @ ..] = self.options.worker.as_slice() else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "no command to start a worker with"));
        };
        tracing::info!("starting a worker");
        // Not killed with us, and its output goes where ours goes.
        let mut worker =
            Command::new(program).args(arguments).stdin(Stdio::null()).kill_on_drop(false).spawn()?;
        tokio::spawn(async move {
            match worker.wait().await {
                Ok(status) if status.success() => tracing::debug!("the worker has ended"),
                Ok(status) => tracing::warn!(%status, "the worker has ended"),
                Err(error) => tracing::warn!(%error, "the worker cannot be waited for"),
            }
        });
        Ok(())
    }

    async fn talk(&mut self, stream: UnixStream) -> End {
        let (read, mut write) = stream.into_split();
        let mut read = BufReader::new(read);
        let worker = match self.greet(&mut read, &mut write).await {
            Ok(worker) => worker,
            Err(error) => {
                tokio::time::sleep(LONG_PAUSE).await;
                return End::Lost(error);
            }
        };
        // Reading must not be cut off in the middle of a line, so that it has a task of its own.
        let (sender, mut said) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            loop {
                let message = wire::read::<FromWorker>(&mut read).await;
                let last = !matches!(message, Ok(Some(_)));
                if sender.send(message).is_err() || last {
                    return;
                }
            }
        });
        loop {
            tokio::select! {
                message = said.recv() => match message {
                    Some(Ok(Some(message))) => {
                        if let Err(error) = self.hear(message, worker, &mut write).await {
                            return End::Lost(error);
                        }
                    }
                    Some(Err(error)) => return End::Lost(error),
                    Some(Ok(None)) | None => return End::Lost(gone()),
                },
                command = self.commands.recv() => {
                    let Some(command) = command else { return End::Dropped };
                    if let Err(error) = wire::write(&mut write, &command).await {
                        return End::Lost(error);
                    }
                }
            }
        }
    }

    /// The first words; tells the scheduler what the worker holds and hands over what it does not.
    async fn greet(
        &mut self,
        read: &mut BufReader<tokio::net::unix::OwnedReadHalf>,
        write: &mut OwnedWriteHalf,
    ) -> io::Result<Uuid> {
        wire::write(write, &ToWorker::Hello { protocol: PROTOCOL }).await?;
        let Some(FromWorker::Welcome { worker, pid, held }) = wire::read(read).await? else {
            return Err(gone());
        };
        let theirs: Vec<Workload> = held.running.iter().chain(&held.queued).cloned().collect();
        let missing = self.held.lock().meet(worker, &theirs);
        tracing::info!(
            pid,
            running = held.running.len(),
            queued = held.queued.len(),
            handed_over = missing.len(),
            "connected with the worker"
        );
        let _ = self.events.send(ExecutorEvent::Attached(held));
        if !missing.is_empty() {
            wire::write(write, &ToWorker::Queue { workloads: missing }).await?;
        }
        Ok(worker)
    }

    async fn hear(&self, message: FromWorker, worker: Uuid, write: &mut OwnedWriteHalf) -> io::Result<()> {
        match message {
            FromWorker::Queued { keys } => {
                keys.iter().for_each(|key| self.held.lock().confirm(key, worker));
                self.confirmed.notify_waiters();
            }
            FromWorker::Event { seq, event } => {
                if let Some(key) = ended(&event) {
                    self.held.lock().end(&key);
                    self.confirmed.notify_waiters();
                }
                let _ = self.events.send(event);
                if let Some(seq) = seq {
                    wire::write(write, &ToWorker::Got { seq }).await?;
                }
            }
            FromWorker::Welcome { .. } => {}
        }
        Ok(())
    }
}

/// The workload that an event ends.
fn ended(event: &ExecutorEvent) -> Option<WorkloadKey> {
    match event {
        ExecutorEvent::Work(WorkEvent::TaskEnded { key, ti_id, .. }) => {
            Some(WorkloadKey::Task { ti_id: *ti_id, try_number: key.try_number })
        }
        ExecutorEvent::Work(WorkEvent::CallbackEnded { id, .. }) => Some(WorkloadKey::Callback { id: *id }),
        ExecutorEvent::Work(WorkEvent::ConnectionTested { id, .. }) => {
            Some(WorkloadKey::ConnectionTest { id: *id })
        }
        ExecutorEvent::Work(
            WorkEvent::CallbackStarted { .. }
            | WorkEvent::Placed { .. }
            | WorkEvent::Revoked { .. }
            | WorkEvent::NotAdopted { .. },
        )
        | ExecutorEvent::Changed { .. }
        | ExecutorEvent::Ready
        | ExecutorEvent::Attached(_) => None,
    }
}

fn gone() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionReset, "the worker has ended")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn work() -> Workload {
        let ti = serde_json::json!({
            "id": Uuid::nil(), "task_id": "t", "dag_id": "d", "run_id": "r", "try_number": 1, "map_index": -1,
            "queue": "default", "pool_slots": 1, "priority_weight": 1, "context_carrier": {}
        });
        serde_json::from_value(serde_json::json!({
            "type": "ExecuteTask", "token": "", "dag_rel_path": "d.py", "log_path": null, "ti": ti,
            "bundle_info": {"name": "dags-folder", "version": null}, "sentry_integration": ""
        }))
        .unwrap()
    }

    #[tokio::test]
    async fn work_is_handed_over_once_the_worker_has_confirmed_it() {
        let (commands, _received) = mpsc::unbounded_channel();
        let (held, confirmed) = (Shared::default(), Arc::new(Notify::new()));
        let executor = LocalExecutor {
            parallelism: 4,
            streaming: 0,
            held: held.clone(),
            confirmed: confirmed.clone(),
            commands,
        };
        executor.handed_over().await;
        executor.queue(vec![work()]);
        let waiting = tokio::spawn(async move { executor.handed_over().await });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        held.lock().confirm(&work().key(), Uuid::from_u128(1));
        confirmed.notify_waiters();
        waiting.await.unwrap();
    }

    #[test]
    fn a_resumed_task_whose_worker_was_killed_takes_one_slot() {
        let (first, second) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let mut held = Held::default();
        held.add(work());
        held.confirm(&work().key(), first);
        // It is resumed while its first process is ending.
        held.add(work());
        assert_eq!(held.meet(second, &[]).len(), 1);
        held.end(&work().key());
        assert!(held.work.is_empty());
    }
}
