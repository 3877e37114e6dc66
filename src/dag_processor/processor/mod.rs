//! The dag processor's loop. Everything that can take long is a task of its own; the loop waits for their ends.

use std::collections::{HashMap, HashSet, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use serde_json::{Value, json};
use tokio::task::{AbortHandle, JoinSet, LocalSet};
use tokio::time::Instant;

use crate::python::{Origin, PythonError, Service};
use crate::store::StoreError;
use crate::store::dag_processor::{dags, requests};
use crate::store::job::{self, Beat, JobEnd, JobId, JobType};

mod bundles;
mod duties;
mod parsing;

use crate::telemetry::metrics;

use super::at_start;
use super::child::{self, Outcome};
use super::children::Children;
use super::error::DagProcessorError;
use super::files::{FileKey, FileState, Files};
use super::log::ChildLog;
use super::measure::{self, Action};
use super::memory::{Inputs, Memory, Stamps, stamps};
use super::options::Options;
use super::pass::{self, KnownDags, delta};
use super::queue::{self, Item, Queue};
use super::refresh::{self, Checked, Checkout, Configured, Listing, RefreshError, Urgency};
use super::stale;
use super::sync::{self, More, Unwritten};
use super::watch::{Stamp, Tree};

/// How often the loop looks around: files, requests, what is due.
const TICK: Duration = Duration::from_millis(500);

/// How often the database is asked whether someone waits for something.
const ASK_INTERVAL: Duration = Duration::from_secs(1);

/// How often the teams of bundles are read, where measurements name them.
const TEAMS_INTERVAL: Duration = Duration::from_secs(5);

/// How long the start of Airflow's part may take.
const START_LIMIT: Duration = Duration::from_secs(120);

/// A file whose imports or data changed is executed again no sooner than this after the last time.
const DEPENDENCY_PAUSE: Duration = Duration::from_secs(5);

/// Runs the dag processor until it is told to stop, or until every file was parsed `--num-runs` times.
///
/// Mirrors `airflow/jobs/dag_processor_job_runner.py`: the job's row ends as `success` after a signal and as `failed`
/// after an error.
///
/// # Errors
/// When Python or the database does not work at the start.
pub async fn run(options: Options) -> Result<(), DagProcessorError> {
    let (db, shutdown) = (options.db.clone(), options.shutdown.clone());
    let job = job::start(&db, JobType::DagProcessor, &options.hostname, Utc::now()).await?;
    let local = LocalSet::new();
    let result = tokio::select! {
        result = local.run_until(work(options, job)) => result,
        () = shutdown.asked() => Ok(()),
    };
    // Its children end with it.
    drop(local);
    let end = if result.is_ok() { JobEnd::Success } else { JobEnd::Failed };
    job::complete(&db, job, end, Utc::now()).await?;
    result
}

async fn work(options: Options, job: JobId) -> Result<(), DagProcessorError> {
    let origin = Origin::shared(&options.interpreter);
    let mut processor = Processor::start(options, &origin, job).await?;
    processor.turn_until_done().await
}

/// What a task of the loop ends with.
enum Event {
    Child { item: Item, had_callbacks: bool, stamp: Option<Stamp>, outcome: Result<Outcome, PythonError> },
    Written(Vec<(FileKey, FileState, Option<String>)>, KnownDags),
    Checked { bundle: String, result: Result<Checked, RefreshError> },
    Callback { item: Item, path: Result<PathBuf, PythonError>, request: Value },
    Scanned(Scan),
    VersionsRemoved(Result<Value, PythonError>),
}

/// What changed on disk.
#[derive(Default)]
struct Scan {
    edited: Vec<FileKey>,
    outdated: Vec<FileKey>,
    bundles: Vec<String>,
    took: Duration,
}

/// A bundle and what is known of it.
struct Bundle {
    configured: Configured,
    service: Service,
    checkout: Option<Checkout>,
    tree: Option<Arc<Tree>>,
    busy: bool,
    /// Somebody asked for a file of it: it is refreshed first.
    asked: bool,
    /// That refresh is under way.
    refreshing: bool,
    list_again_at: Instant,
}

/// Something that is done every so often.
struct Timer {
    every: Duration,
    next: Instant,
}

impl Timer {
    fn new(every: Duration) -> Self {
        Self { every, next: Instant::now() }
    }

    /// Whether it is time; if so, the next time is set.
    fn is_due(&mut self) -> bool {
        let now = Instant::now();
        let due = now >= self.next;
        if due {
            self.next = now + self.every;
        }
        due
    }
}

struct Timers {
    heartbeat: Timer,
    ask: Timer,
    bundles: Timer,
    cleanup: Timer,
    versions: Timer,
    statistics: Timer,
    scan: Timer,
    teams: Timer,
}

struct Processor {
    options: Options,
    service: Service,
    children: Arc<Children>,
    job: JobId,
    bundles: HashMap<String, Bundle>,
    files: Files,
    queue: Queue,
    /// Children by what they work on.
    running: HashMap<Item, AbortHandle>,
    /// Files whose result is not written yet.
    syncing: HashSet<FileKey>,
    unwritten: VecDeque<Unwritten>,
    writing: bool,
    known: KnownDags,
    tasks: JoinSet<Event>,
    timers: Timers,
    scanning: bool,
    passes: u32,
    /// Since when the queue has not been empty at a look at it.
    pass_since: Option<Instant>,
}

impl Processor {
    async fn start(options: Options, origin: &Origin, job: JobId) -> Result<Self, DagProcessorError> {
        let service = Service::start(origin).await?;
        let names = (!options.bundles.is_empty()).then_some(&options.bundles);
        let call = async || service.call("bundles.sync_to_db", json!({"names": names}), START_LIMIT).await;
        let (configured, children) =
            tokio::join!(at_start::ask(at_start::PAUSES, call), Children::start(origin));
        let configured: Vec<Configured> = serde_json::from_value(configured?)
            .map_err(|error| PythonError::Io(std::io::Error::other(error)))?;
        let missing = |name: &&String| !configured.iter().any(|bundle| bundle.name == **name);
        if let Some(name) = options.bundles.iter().find(missing) {
            return Err(DagProcessorError::NoSuchBundle(name.clone()));
        }
        let mut bundles = HashMap::new();
        for bundle in configured {
            // A bundle that fetches its files from elsewhere may hang: then nothing else may wait for it.
            let service = match bundle.local {
                true => service.clone(),
                false => Service::start(origin).await?,
            };
            tracing::info!(
                bundle = bundle.name,
                every = bundle.refresh_interval,
                "the bundle will be refreshed"
            );
            bundles.insert(bundle.name.clone(), Bundle::new(bundle, service));
        }
        let set = &options.settings;
        let timers = Timers {
            heartbeat: Timer::new(set.heartbeat_interval),
            ask: Timer::new(ASK_INTERVAL),
            bundles: Timer::new(set.bundle_check_interval),
            cleanup: Timer::new(set.cleanup_interval),
            versions: Timer::new(set.bundle_cleanup_interval),
            statistics: Timer::new(set.print_stats_interval),
            scan: Timer::new(TICK),
            teams: Timer::new(TEAMS_INTERVAL),
        };
        Ok(Self {
            children: Arc::new(children?),
            service,
            job,
            bundles,
            files: Files::default(),
            queue: Queue::default(),
            running: HashMap::new(),
            syncing: HashSet::new(),
            unwritten: VecDeque::new(),
            writing: false,
            known: KnownDags::new(),
            tasks: JoinSet::new(),
            timers,
            scanning: false,
            passes: 0,
            pass_since: None,
            options,
        })
    }

    async fn turn_until_done(&mut self) -> Result<(), DagProcessorError> {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                Some(end) = self.tasks.join_next() => match end {
                    Ok(event) => self.take(event),
                    Err(error) if error.is_cancelled() => {}
                    Err(error) => tracing::error!(%error, "a task of the dag processor failed"),
                },
                _ = tick.tick() => {
                    // A database that is away for a moment must not end the dag processor.
                    match self.look_around().await {
                        Ok(Turn::On) => {}
                        Ok(Turn::Done) => return Ok(()),
                        Err(error) => tracing::error!(%error, "a pass of the dag processor failed; it goes on"),
                    }
                }
            }
            if !self.queue.is_empty() {
                self.pass_since.get_or_insert_with(Instant::now);
            }
            self.start_children();
            self.write_results();
        }
    }

    /// Everything that is done by the clock.
    async fn look_around(&mut self) -> Result<Turn, StoreError> {
        if self.timers.heartbeat.is_due() {
            metrics::incr("dag_processor_heartbeat", &[]);
            if job::heartbeat(&self.options.db, self.job, Utc::now()).await? == Beat::Restarting {
                tracing::info!("the job's row says that it should end");
                return Ok(Turn::Done);
            }
        }
        self.learn_teams().await?;
        if self.timers.ask.is_due() {
            self.take_requests().await?;
        }
        let asked = self.bundles.values().any(|bundle| bundle.asked);
        if self.timers.bundles.is_due() || asked {
            self.check_bundles();
        }
        if self.timers.scan.is_due() {
            self.scan();
        }
        self.queue_due_files().await?;
        if self.timers.cleanup.is_due() {
            self.clean_up().await?;
        }
        self.remove_old_versions();
        self.print_statistics();
        self.passes = self.passes.saturating_add(1);
        Ok(if self.is_done() { Turn::Done } else { Turn::On })
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Child { item, had_callbacks, stamp, outcome } => {
                self.running.remove(&item);
                self.child_ended(item, had_callbacks, stamp, outcome);
            }
            Event::Written(files, known) => {
                self.known.extend(known);
                self.written(files);
            }
            Event::Checked { bundle, result } => self.checked(&bundle, result),
            Event::Callback { item, path, request } => match path {
                Ok(path) => self.queue.add_callback(item, path, request),
                Err(error) => {
                    tracing::error!(file = %item.file, %error, "a callback is skipped: its bundle is not there")
                }
            },
            Event::Scanned(scan) => self.scanned(scan),
            Event::VersionsRemoved(result) => {
                if let Err(error) = result {
                    tracing::error!(%error, "old versions of bundles could not be removed");
                }
            }
        }
    }
}

impl Drop for Processor {
    /// Its children end with it.
    fn drop(&mut self) {
        self.running.keys().for_each(|item| measure::child(&item.file, Action::Terminate));
    }
}

/// Whether the loop goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    On,
    Done,
}
