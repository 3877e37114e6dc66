//! `slipstream tokens`.

use chrono::{Days, Utc};
use clap::{Args, Subcommand, ValueEnum};

use crate::store::StoreError;
use crate::store::events::tokens::{self, Right};
use crate::store::events::{Glob, Match};

use super::exit::{Exit, Failure};
use super::start;

/// Make, list and remove the tokens with which others may send and read events over HTTP and gRPC.
#[derive(Args, Debug)]
#[command(after_help = super::exit::HELP)]
pub(super) struct Options {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand, Debug)]
enum What {
    /// Make a token; it is printed this once and stored as a hash only.
    Add {
        /// A name by which to remove it.
        name: String,
        /// A namespace that it is good for; `*` for all, `ml.*` for all that begin so; can be given several times.
        #[arg(short, long, required = true, value_name = "PATTERN")]
        namespace: Vec<String>,
        /// What it is good for.
        #[arg(short, long, value_enum, value_delimiter = ',', default_values = ["send", "read"])]
        right: Vec<RightOption>,
        /// After how many days it expires [default: never].
        #[arg(long, value_name = "DAYS")]
        days: Option<u64>,
    },
    /// List all tokens, without their secrets.
    List,
    /// Remove a token. Running schedulers know it within a second.
    Remove {
        /// Its name.
        name: String,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum RightOption {
    /// Send events.
    Send,
    /// Read events, have subscriptions.
    Read,
}

impl From<RightOption> for Right {
    fn from(option: RightOption) -> Self {
        match option {
            RightOption::Send => Self::Send,
            RightOption::Read => Self::Read,
        }
    }
}

pub(super) fn run(options: Options) -> Result<(), Failure> {
    start::with_events(async |_, db| {
        match options.what {
            What::Add { name, namespace, right, days } => {
                let namespaces = Match(namespace.into_iter().map(Glob::from).collect());
                let rights: Vec<_> = right.into_iter().map(Right::from).collect();
                tokens::check(&namespaces, &rights).map_err(|error| Failure::usage(error.to_string()))?;
                let now = Utc::now();
                let expires = days.and_then(|days| now.checked_add_days(Days::new(days)));
                let made = tokens::add(db, &name, &namespaces, &rights, expires, now).await;
                if let Err(StoreError::Refused(_)) = made {
                    return Err(Failure::new(Exit::Failed, format!("there is a token `{name}` already")));
                }
                say!("{}", made?);
            }
            What::List => {
                for token in tokens::list(db).await? {
                    let namespaces: Vec<_> = token.namespaces.0.into_iter().map(String::from).collect();
                    let rights: Vec<_> = token.rights.iter().map(|right| right.as_str()).collect();
                    let expires = token.expires_at.map_or("never expires".to_owned(), |at| {
                        format!("expires {}", at.format("%Y-%m-%d %H:%M UTC"))
                    });
                    say!("{}\t{}\t{}\t{expires}", token.name, namespaces.join(","), rights.join(","));
                }
            }
            What::Remove { name } => {
                if tokens::remove(db, &name).await?.is_none() {
                    return Err(Failure::new(Exit::Failed, format!("there is no token `{name}`")));
                }
                say!("The token `{name}` is removed.");
            }
        }
        Ok(())
    })
}
