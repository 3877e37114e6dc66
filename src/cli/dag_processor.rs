//! `slipstream dag-processor`.

use clap::Args;

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

async fn work(_options: Options, _started: Started) -> Result<(), Failure> {
    Err(Failure::failed("the Dag processor is not part of this build"))
}
