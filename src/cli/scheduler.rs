//! `slipstream scheduler`.

use clap::Args;

use crate::api::health::HealthServer;
use crate::api::logs::LogServer;
use crate::config::keys;

use super::exit::Failure;
use super::options::{self, Process};
use super::start::{self, Started};

/// Schedule Dag runs and tasks, and run tasks with the local executor: takes the place of `airflow scheduler`.
#[derive(Args, Debug)]
#[command(after_help = super::exit::HELP)]
pub(super) struct Options {
    /// End after this many loops; -1: never [default: [scheduler] num_runs].
    #[arg(short, long, value_name = "N", allow_negative_numbers = true)]
    num_runs: Option<i64>,
    /// Only idle loops count for --num-runs.
    #[arg(short = 'i', long)]
    only_idle: bool,
    /// Do not serve the logs of running tasks to the api-server.
    #[arg(short, long)]
    skip_serve_logs: bool,
    #[command(flatten)]
    process: Process,
}

pub(super) fn run(options: Options) -> Result<(), Failure> {
    if options.only_idle && options.num_runs.is_none_or(|runs| runs <= 0) {
        return Err(Failure::usage("--only-idle needs --num-runs with a number above 0"));
    }
    let process = options.process.clone();
    start::role("scheduler", &process, |started| work(options, started))
}

async fn work(options: Options, started: Started) -> Result<(), Failure> {
    let Started { config, db, hostname, shutdown } = started;
    let _limits = (
        options::num_runs(options.num_runs, config.get(&keys::scheduler::NUM_RUNS)),
        options.only_idle || config.get(&keys::scheduler::ONLY_IDLE),
    );
    let health = HealthServer::bind(&config, &db, &hostname).await?;
    let logs = if options.skip_serve_logs { None } else { LogServer::bind(&config).await? };
    let servers = async {
        tokio::join!(
            async {
                if let Some(server) = health {
                    log_end(server.run(shutdown.clone()).await)
                }
            },
            async {
                if let Some(server) = logs {
                    log_end(server.run(shutdown.clone()).await)
                }
            },
        );
    };
    let ((), done) =
        tokio::join!(servers, async { Err(Failure::failed("the scheduler is not part of this build")) });
    done
}

/// A server that stops by itself must not stop the scheduler.
fn log_end(end: Result<(), crate::api::ApiError>) {
    if let Err(error) = end {
        tracing::error!(%error, "A server ended; the scheduler goes on without it");
    }
}
