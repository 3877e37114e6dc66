//! `slipstream debug`.

use std::io;

use clap::{Args, Subcommand};

use crate::config::Config;
use crate::executor::place::Place;
use crate::scheduler::debug::{self, Dump};

use super::exit::{Exit, Failure};
use super::start;

/// Ask running schedulers about themselves.
#[derive(Args, Debug)]
#[command(after_help = super::exit::HELP)]
pub(super) struct Options {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand, Debug)]
enum What {
    /// Show what the schedulers of this deployment on this machine do and wait for; SIGUSR2 has them write it to their logs.
    Dump {
        /// Only the scheduler with this process id.
        #[arg(long)]
        pid: Option<u32>,
        /// As JSON, one object per line.
        #[arg(long)]
        json: bool,
    },
}

#[allow(clippy::print_stderr)]
pub(super) fn run(options: &Options) -> Result<(), Failure> {
    let What::Dump { pid, json } = options.what;
    let place = Place::of(&Config::load()?);
    let found = start::runtime()?.block_on(dumps(&place, pid));
    let mut told = 0;
    for (pid, dump) in found {
        match dump {
            Ok(dump) => {
                say!("{}", if json { dump.state.to_string() } else { dump.text });
                told += 1;
            }
            Err(error) => {
                eprintln!("slipstream: the scheduler with the process id {pid} does not answer: {error}")
            }
        }
    }
    if told == 0 { Err(Failure::new(Exit::Failed, nobody(&place, pid))) } else { Ok(()) }
}

fn nobody(place: &Place, pid: Option<u32>) -> String {
    let which = pid.map_or_else(String::new, |pid| format!(" with the process id {pid}"));
    format!(
        "no scheduler{which} of this deployment answers in {}: is one running on this machine, with the same AIRFLOW_HOME, \
         [database] sql_alchemy_conn and [slipstream] runtime_dir, and is this the same user?",
        place.folder().display()
    )
}

/// What the schedulers say. Sockets behind which nobody is any more are passed over.
async fn dumps(place: &Place, only: Option<u32>) -> Vec<(u32, io::Result<Dump>)> {
    let mut found = Vec::new();
    for (pid, socket) in place.debug_sockets() {
        if only.is_some_and(|only| only != pid) {
            continue;
        }
        match debug::ask(&socket).await {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
            dump => found.push((pid, dump)),
        }
    }
    found
}
