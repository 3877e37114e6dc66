//! `slipstream events`: the log from the command line, directly on the database. No server need run.

mod filter;
mod read;
mod send;
mod sources;

use clap::{Args, Subcommand};

use super::exit::Failure;
use super::{start, triggers};

/// Send and read events.
#[derive(Args, Debug)]
#[command(after_help = super::exit::HELP)]
pub(super) struct Options {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand, Debug)]
enum What {
    Send(send::Options),
    List(read::ListOptions),
    Tail(read::TailOptions),
    Count(read::CountOptions),
    Replay(triggers::Replay),
    Sources(sources::Options),
}

pub(super) fn run(options: Options) -> Result<(), Failure> {
    match options.what {
        What::Send(options) => start::with_events(async |config, db| send::run(options, config, db).await),
        What::List(options) => start::with_events(async |_, db| read::list(&options, db).await),
        What::Tail(options) => start::with_events(async |_, db| read::tail(&options, db).await),
        What::Count(options) => start::with_events(async |_, db| read::count(&options, db).await),
        What::Sources(options) => {
            start::with_events(async |config, db| sources::run(&options, config, db).await)
        }
        What::Replay(options) => triggers::run_replay(options),
    }
}
