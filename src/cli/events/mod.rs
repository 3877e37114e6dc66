//! `slipstream events`: the log from the command line, directly on the database. No server need run.

mod filter;
mod read;
mod send;

use clap::{Args, Subcommand};

use crate::config::Config;
use crate::store::{Db, own_tables};

use super::exit::Failure;
use super::start;

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
}

pub(super) fn run(options: Options) -> Result<(), Failure> {
    let config = Config::load()?;
    start::runtime()?.block_on(async {
        let db = database(&config).await?;
        match options.what {
            What::Send(options) => send::run(options, &config, &db).await,
            What::List(options) => read::list(&options, &db).await,
            What::Tail(options) => read::tail(&options, &db).await,
            What::Count(options) => read::count(&options, &db).await,
        }
    })
}

/// The database with our tables in it.
pub(super) async fn database(config: &Config) -> Result<Db, Failure> {
    let db = start::database(config).await?;
    own_tables::migrate(&db).await?;
    Ok(db)
}
