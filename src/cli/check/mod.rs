//! `slipstream check`.

mod configuration;
mod dags;
mod database;
mod python;
mod report;

use clap::{Args, ValueEnum};

use crate::config::Config;

use super::exit::{Exit, Failure};
use super::start;
use report::Report;

/// Look at a deployment before switching: what is supported, what differs, and what is refused. Changes nothing.
#[derive(Args, Debug)]
#[command(after_help = HELP)]
pub(super) struct Options {
    /// How the findings are printed.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// Only what differs or is refused.
    #[arg(long)]
    problems: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Table,
    Json,
}

const HELP: &str = "\
Exit codes:
  0  everything is supported, perhaps with differences that are listed
  1  something is refused: do not switch before it is solved
  2  the command line is wrong";

pub(super) fn run(options: &Options) -> Result<(), Failure> {
    let mut report = Report::default();
    match Config::load() {
        Ok(config) => look(&config, &mut report)?,
        Err(error) => configuration::refused(&error, &mut report),
    }
    print(&report, options);
    if report.refuses() {
        return Err(Failure::new(
            Exit::Failed,
            "something is refused, see above; keep `airflow scheduler` until it is solved",
        ));
    }
    Ok(())
}

fn look(config: &Config, report: &mut Report) -> Result<(), Failure> {
    configuration::look(config, report);
    start::runtime()?.block_on(async {
        python::look(config, report).await;
        if let Some(db) = database::look(config, report).await {
            dags::look(config, &db, report).await?;
        }
        Ok(())
    })
}

#[allow(clippy::print_stdout)]
fn print(report: &Report, options: &Options) {
    let findings = report.findings().iter().filter(|finding| !options.problems || finding.is_problem());
    match options.format {
        Format::Json => println!("{}", report::json(findings)),
        Format::Table => print!("{}", report::table(findings, report)),
    }
}
