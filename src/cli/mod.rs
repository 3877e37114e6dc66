//! The command line: one file per command, each of which reads as a recipe.

// Its macro is for all that follow.
#[macro_use]
mod say;

mod check;
mod config;
mod dag_processor;
mod db;
mod debug;
mod detach;
mod events;
mod exit;
mod options;
mod pid_file;
mod scheduler;
mod shadow;
mod standalone;
mod start;
mod tokens;
mod triggers;
mod version;
mod worker;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub use exit::{Exit, Failure};

/// Slipstream takes the place of `airflow scheduler` and `airflow dag-processor` in a running Apache Airflow deployment.
///
/// It reads the same airflow.cfg and AIRFLOW__SECTION__KEY variables, works on the same metadata database and runs the same
/// Dag files; the UI, the REST API, the triggerer and the `airflow` command stay as they are. Start it in the environment in
/// which Airflow is installed.
#[derive(Parser, Debug)]
#[command(name = "slipstream", version, after_help = exit::HELP)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    Scheduler(scheduler::Options),
    DagProcessor(dag_processor::Options),
    Worker(worker::Options),
    Standalone(standalone::Options),
    Check(check::Options),
    Config(config::Options),
    Triggers(triggers::Options),
    Db(db::Options),
    Debug(debug::Options),
    Events(events::Options),
    Tokens(tokens::Options),
    /// Show the versions of Slipstream and of the Airflow that it works with.
    Version,
}

/// Runs the command that the process was started with.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Asking for help is no mistake.
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage.into() } else { Exit::Done.into() };
        }
    };
    let done = match cli.command {
        Command::Scheduler(options) => scheduler::run(options),
        Command::DagProcessor(options) => dag_processor::run(options),
        Command::Worker(options) => worker::run(&options),
        Command::Standalone(options) => standalone::run(options),
        Command::Check(options) => check::run(&options),
        Command::Config(options) => config::run(&options),
        Command::Triggers(options) => triggers::run(options),
        Command::Db(options) => db::run(&options),
        Command::Debug(options) => debug::run(&options),
        Command::Events(options) => events::run(options),
        Command::Tokens(options) => tokens::run(options),
        Command::Version => version::run(),
    };
    match done {
        Ok(()) => Exit::Done.into(),
        Err(failure) => failure.report().into(),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
