//! `slipstream scheduler`.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use clap::Args;
use slipstream_core::event::Pattern;
use slipstream_core::executor::{Roster, Teams};
use tokio::task::JoinSet;

use crate::api::health::{HealthServer, Told};
use crate::api::logs::LogServer;
use crate::api::metrics;
use crate::config::{Config, keys};
use crate::events::aiflow::GrpcServer;
use crate::events::engine::{Asker, Engine};
use crate::events::http;
use crate::events::limits::Limits;
use crate::events::service::Service;
use crate::events::sources::{self, Sources};
use crate::events::wake::LogWake;
use crate::executor::Executors;
use crate::executor::local::{LocalOptions, streaming_parallelism};
use crate::executor::place::Place;
use crate::python::Interpreter;
use crate::runtime::EventWake;
use crate::scheduler::debug::Progress;
use crate::scheduler::options::{End, Loops};
use crate::scheduler::{self, Links, Scheduler, UsersPython};
use crate::store::own_tables;
use crate::supervisor::answer::execution_options;

use super::exit::{Exit, Failure};
use super::options::{self, Process};
use super::shadow::{self, Shadow};
use super::start::{self, Started};

/// How long the sources of events may take to stop.
const LEAVING: Duration = Duration::from_secs(3);

/// Schedule Dag runs and tasks, and hand tasks to the executors of [core] executor: takes the place of `airflow scheduler`.
#[derive(Args, Debug)]
#[command(after_help = super::exit::HELP)]
pub(super) struct Options {
    /// End after this many loops; -1: never [default: [scheduler] num_runs].
    #[arg(short, long, value_name = "N", allow_negative_numbers = true)]
    num_runs: Option<i64>,
    /// Count for --num-runs only loops in a row in which nothing was queued and nothing ended.
    #[arg(short = 'i', long)]
    only_idle: bool,
    /// Do not serve the logs of running tasks to the api-server.
    #[arg(short, long)]
    skip_serve_logs: bool,
    #[command(flatten)]
    shadow: Shadow,
    #[command(flatten)]
    process: Process,
}

pub(super) fn run(options: Options) -> Result<(), Failure> {
    let process = options.process.clone();
    if let Some(shadow) = options.shadow.wanted() {
        return shadow::run(shadow, &process);
    }
    start::role("scheduler", &process, |started| work(options, started))
}

async fn work(options: Options, started: Started) -> Result<(), Failure> {
    let Started { config, db, hostname, shutdown } = started;
    let end = End {
        after: options::num_runs(options.num_runs, config.get(&keys::scheduler::NUM_RUNS)),
        counts: match options.only_idle || config.get(&keys::scheduler::ONLY_IDLE) {
            true => Loops::Idle,
            false => Loops::All,
        },
    };
    if (end.after, end.counts) == (None, Loops::Idle) {
        return Err(Failure::usage("--only-idle needs --num-runs: without it the scheduler never ends"));
    }
    let roster = roster(&config)?;
    for ignored in &roster.ignored {
        tracing::warn!("[core] executor has `{ignored}`, which is ignored: [core] multi_team is off");
    }
    // Perhaps only the worker starts it, but a wrong option is better named here than there.
    let interpreter = Interpreter::locate(&config)?;
    let sources = Sources::of(&config).map_err(|error| Failure::new(Exit::Config, error))?;
    own_tables::migrate(&db).await?;
    let mut servers = JoinSet::new();
    let progress = Progress::default();
    let log = LogWake::new();
    let service =
        Service::start(&config, &db, &log, &shutdown).map_err(|error| Failure::new(Exit::Config, error))?;
    let events = EventWake::default();
    let engine = Engine::new(
        db.clone(),
        scheduler::run_options(&config).map_err(Failure::failed)?,
        log.clone(),
        events.clone(),
        Asker::python(&config),
    )
    .telling(airflow_events(&config));
    if let Some(server) = served(HealthServer::bind(&config, &db, &hostname).await) {
        let more = match config.get(&keys::slipstream::EVENTS_HTTP) {
            true => http::router(service.clone(), engine.sibling()),
            false => Router::new(),
        };
        servers.spawn(log_end(server.run(told(&progress), more.merge(metrics::router()), shutdown.clone())));
    }
    if let Some(server) = served(GrpcServer::bind(&config, service).await) {
        servers.spawn(log_end(server.run(shutdown.clone())));
    }
    if !options.skip_serve_logs
        && let Some(server) = served(LogServer::bind(&config).await)
    {
        servers.spawn(log_end(server.run(shutdown.clone())));
    }
    let local = LocalOptions {
        place: Place::of(&config),
        parallelism: Options::parallelism(&config),
        streaming: streaming_parallelism(&config),
        worker: vec![std::env::current_exe()?, "worker".into()],
        config_file: config.file().0.to_owned(),
    };
    let (executors, reports) = Executors::start(&config, roster, &interpreter, local).await?;
    let context = sources::Context {
        db: db.clone(),
        wake: log,
        limits: Limits::of(&config),
        options: execution_options(&config),
        hostname: hostname.clone(),
        pace: sources::Pace::default(),
    };
    servers.spawn(engine.python_lane().run(shutdown.clone()));
    servers.spawn(engine.run(shutdown.clone()));
    let python = UsersPython::find(&config).await;
    let links = Links { executors, reports, python, events: Some(events), progress };
    let scheduler = Scheduler::start(db, &config, end, links, &hostname).await.map_err(Failure::failed)?;
    let place = Place::of(&config);
    if let Err(error) = place.prepare() {
        tracing::warn!(%error, "there is no folder for sockets");
    }
    place.forget_dead_schedulers();
    let socket = place.debug_socket(std::process::id());
    let desk = tokio::spawn(scheduler.desk().serve(socket, shutdown.clone()));
    let sources = sources::start(&sources, &context);
    let done = scheduler.run(shutdown).await.map_err(Failure::failed);
    sources.stop(LEAVING).await;
    // It removes its socket.
    let _ = tokio::time::timeout(LEAVING, desk).await;
    done
}

/// What the health server says of the loop.
fn told(progress: &Progress) -> Told {
    let progress = progress.clone();
    Arc::new(move || serde_json::to_value(progress.pulse()).unwrap_or_default())
}

/// `[slipstream] airflow_events`.
fn airflow_events(config: &Config) -> Vec<Pattern> {
    let option = config.get(&keys::slipstream::AIRFLOW_EVENTS);
    option.split(',').map(str::trim).filter(|name| !name.is_empty()).map(Pattern::from).collect()
}

impl Options {
    /// `[core] parallelism`, where 0 is "as many as there are".
    fn parallelism(config: &Config) -> usize {
        match usize::try_from(config.get(&keys::core::PARALLELISM)) {
            Ok(0) | Err(_) => usize::MAX / 2,
            Ok(most) => most,
        }
    }
}

/// `[core] executor`, understood.
pub(super) fn roster(config: &Config) -> Result<Roster, Failure> {
    let teams = if config.get(&keys::core::MULTI_TEAM) { Teams::On } else { Teams::Off };
    Roster::parse(&config.get(&keys::core::EXECUTOR), teams)
        .map_err(|error| Failure::new(Exit::Config, error.to_string()))
}

/// A port that is taken must not stop scheduling; Airflow's servers are processes of their own that may die alone.
fn served<S>(bound: Result<Option<S>, impl std::fmt::Display>) -> Option<S> {
    bound.unwrap_or_else(|error| {
        tracing::error!("{error}; the scheduler goes on without it");
        None
    })
}

/// A server that stops by itself must not stop the scheduler.
async fn log_end(server: impl Future<Output = Result<(), impl std::fmt::Display>>) {
    if let Err(error) = server.await {
        tracing::error!(%error, "A server ended; the scheduler goes on without it");
    }
}
