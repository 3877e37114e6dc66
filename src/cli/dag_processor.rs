//! `slipstream dag-processor`.

use clap::Args;

use crate::config::keys;
use crate::dag_processor::{self, DagProcessorError, Runs, Settings};
use crate::python::Interpreter;
use crate::runtime::unix_user;
use crate::supervisor::answer;

use super::exit::Failure;
use super::options::Process;
use super::start::{self, Started};

/// Parse Dag files and keep the database in step with them: takes the place of `airflow dag-processor`.
#[derive(Args, Debug)]
#[command(after_help = super::exit::HELP)]
pub(super) struct Options {
    /// Only this bundle; may be given more than once [default: all].
    #[arg(short = 'B', long, value_name = "NAME")]
    bundle_name: Vec<String>,
    /// End when every file was parsed this many times; -1: never [default: [scheduler] num_runs].
    #[arg(short, long, value_name = "N", allow_negative_numbers = true)]
    num_runs: Option<i64>,
    #[command(flatten)]
    process: Process,
}

pub(super) fn run(options: Options) -> Result<(), Failure> {
    let process = options.process.clone();
    start::role("dag-processor", &process, |started| work(options, started))
}

async fn work(options: Options, started: Started) -> Result<(), Failure> {
    let Started { config, db, hostname, shutdown } = started;
    let runs = options.num_runs.unwrap_or_else(|| config.get(&keys::scheduler::NUM_RUNS));
    let result = dag_processor::run(dag_processor::Options {
        db,
        interpreter: Interpreter::locate(&config)?,
        hostname,
        shutdown,
        runs: Runs::from_option(Some(runs)),
        bundles: options.bundle_name,
        answers: answer::Options::from_config(&config, &unix_user())
            .map_err(|error| Failure::usage(error.to_string()))?,
        settings: Settings::from_config(&config),
    });
    result.await.map_err(|error| match error {
        DagProcessorError::Python(error) => error.into(),
        DagProcessorError::Store(error) => error.into(),
        error @ DagProcessorError::NoSuchBundle(_) => Failure::usage(error.to_string()),
    })
}
