//! `slipstream worker`.

use clap::Args;

use super::exit::Failure;
use super::options::Process;
use super::start::{self, Started};

/// Run task processes for the scheduler of this machine, which starts it when it is not there.
#[derive(Args, Debug)]
#[command(after_help = super::exit::HELP)]
pub(super) struct Options {
    #[command(flatten)]
    process: Process,
}

pub(super) fn run(options: Options) -> Result<(), Failure> {
    let process = options.process.clone();
    start::role("worker", &process, |started| work(options, started))
}

async fn work(_options: Options, _started: Started) -> Result<(), Failure> {
    Err(Failure::failed("the worker is not part of this build"))
}
