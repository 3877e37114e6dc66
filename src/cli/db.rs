//! `slipstream db`.

use clap::{Args, Subcommand};

use crate::config::Config;
use crate::store::own_tables;

use super::exit::Failure;
use super::start;

/// Make or remove Slipstream's own tables in Airflow's metadata database.
///
/// The scheduler makes them when it starts; Airflow's own tables are never changed.
#[derive(Args, Debug)]
#[command(after_help = super::exit::HELP)]
pub(super) struct Options {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand, Debug)]
enum What {
    /// Make the tables that are missing.
    Migrate,
    /// Remove all of them with everything in them: events, triggers, tokens.
    Drop {
        /// Do it.
        #[arg(long, short)]
        yes: bool,
    },
}

pub(super) fn run(options: &Options) -> Result<(), Failure> {
    if let What::Drop { yes: false } = options.what {
        return Err(Failure::usage(
            "db drop removes every event, trigger and token; stop all schedulers, then say `slipstream db drop --yes`",
        ));
    }
    let config = Config::load()?;
    start::runtime()?.block_on(async {
        let db = start::database(&config).await?;
        match options.what {
            What::Migrate => {
                own_tables::migrate(&db).await?;
                say!("The tables of Slipstream are up to date.");
            }
            What::Drop { .. } => {
                own_tables::drop(&db).await?;
                say!("The tables of Slipstream are removed.");
            }
        }
        Ok(())
    })
}
