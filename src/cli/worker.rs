//! `slipstream worker`.

use clap::Args;

use super::exit::Failure;
use super::options::Process;
use super::start::{self, Started};
use crate::python::Interpreter;
use crate::worker::{self, WorkerOptions};

/// Run task processes for the scheduler of this machine, which starts it when it is not there.
#[derive(Args, Debug)]
#[command(after_help = super::exit::HELP)]
pub(super) struct Options {
    #[command(flatten)]
    process: Process,
}

pub(super) fn run(options: &Options) -> Result<(), Failure> {
    start::role("worker", &options.process, work)
}

async fn work(started: Started) -> Result<(), Failure> {
    let Started { config, db, hostname, shutdown } = started;
    let interpreter = Interpreter::locate(&config)?;
    let options =
        WorkerOptions::new(&config, db, interpreter, hostname, shutdown).map_err(Failure::failed)?;
    worker::run(options).await.map_err(Failure::failed)
}
