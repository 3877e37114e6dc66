//! What every role does first: configuration, logs, database, signals.

use std::future::Future;

use chrono::Utc;

use crate::config::{Config, FileState, keys};
use crate::runtime::{Shutdown, hostname, process, unix_user};
use crate::store::runs::carrier;
use crate::store::{Access, Db, audit_log, migration, own_tables};
use crate::telemetry::logging::{self, Output};
use crate::telemetry::{metrics, traces};

use super::detach::{self, Side};
use super::exit::{Exit, Failure};
use super::options::Process;
use super::pid_file::PidFile;

/// What a role starts with.
#[derive(Debug, Clone)]
pub(super) struct Started {
    pub(super) config: Config,
    pub(super) db: Db,
    pub(super) hostname: String,
    pub(super) shutdown: Shutdown,
}

/// Prepares the process and runs a role in it, until the role ends or a signal asks it to.
pub(super) fn role<F, W>(name: &'static str, options: &Process, work: W) -> Result<(), Failure>
where
    W: FnOnce(Started) -> F,
    F: Future<Output = Result<(), Failure>>,
{
    role_for(name, options, Access::Write, work)
}

/// [`role`], for one that may do so much with the database. One that only reads measures nothing either: it would say under
/// Airflow's names what did not happen.
pub(super) fn role_for<F, W>(
    name: &'static str,
    options: &Process,
    access: Access,
    work: W,
) -> Result<(), Failure>
where
    W: FnOnce(Started) -> F,
    F: Future<Output = Result<(), Failure>>,
{
    options.check()?;
    let config = Config::load()?;
    if detach::detach(name, options, &config)? == Side::Parent {
        return Ok(());
    }
    let console = match access {
        Access::Write => Output::Stdout,
        Access::ReadOnly => Output::Stderr,
    };
    logging::init(&config, options.verbosity(), console.or_file(options.log_file.as_deref()))?;
    let pid = options
        .pid
        .clone()
        .or_else(|| options.daemon.then(|| detach::default_pid_file(name, config.airflow_home())));
    let _pid_file = pid.as_deref().map(PidFile::hold).transpose()?;
    announce(name, &config);
    if access == Access::ReadOnly {
        return runtime()?.block_on(run(name, config, access, work));
    }
    let page = if name == "scheduler" { metrics::Page::Served } else { metrics::Page::Missing };
    metrics::init(&config, page);
    if let Some(share) = traces::init(&config) {
        carrier::trace(share);
    }
    let done = runtime()?.block_on(run(name, config, access, work));
    metrics::flush();
    traces::flush();
    done
}

async fn run<F, W>(name: &str, config: Config, access: Access, work: W) -> Result<(), Failure>
where
    W: FnOnce(Started) -> F,
    F: Future<Output = Result<(), Failure>>,
{
    let shutdown = Shutdown::on_signals()?;
    if name != "scheduler" {
        tokio::spawn(process::tell_on_signal());
    }
    let db = database_for(&config, access).await?;
    let hostname = hostname(&config.get(&keys::core::HOSTNAME_CALLABLE));
    if access == Access::Write && matches!(name, "scheduler" | "dag-processor") {
        let arguments: Vec<String> =
            std::env::args_os().map(|argument| argument.to_string_lossy().into_owned()).collect();
        let (user, now) = (unix_user(), Utc::now());
        if let Err(error) = audit_log::command(&db, name, (&user, &hostname), &arguments, now).await {
            tracing::warn!(%error, "the start could not be written to the audit log");
        }
    }
    work(Started { config, db, hostname, shutdown }).await
}

/// The runtime of every role: one thread.
pub(super) fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

/// Does something with the event log: configuration, database, our own tables.
pub(super) fn with_events(
    work: impl AsyncFnOnce(&Config, &Db) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let config = Config::load()?;
    runtime()?.block_on(async {
        let db = database(&config).await?;
        own_tables::migrate(&db).await?;
        let done = work(&config, &db).await;
        db.close().await;
        done
    })
}

/// Connects, and makes sure that the database is one that we know.
pub(super) async fn database(config: &Config) -> Result<Db, Failure> {
    database_for(config, Access::Write).await
}

async fn database_for(config: &Config, access: Access) -> Result<Db, Failure> {
    let target = config.database()?;
    if let Some(file) = config.sqlite_file().filter(|file| !file.exists()) {
        let message =
            format!("there is no metadata database {}: run `airflow db migrate` first", file.display());
        return Err(Failure::new(Exit::Schema, message));
    }
    let db = Db::connect_for(&target, access).await?;
    migration::check(&db).await?;
    Ok(db)
}

fn announce(name: &str, config: &Config) {
    let version = env!("CARGO_PKG_VERSION");
    tracing::info!(version, pid = std::process::id(), "Starting slipstream {name}");
    if let (file, FileState::Missing) = config.file() {
        tracing::warn!(
            file = %file.display(),
            "There is no airflow.cfg. Airflow makes one with new secrets when it starts; Slipstream does not. \
             Defaults and the environment are used"
        );
    }
    // The scheduler says it for the worker that it starts.
    for note in config.notes().iter().filter(|_| name != "worker") {
        tracing::warn!("{note}");
    }
}
