//! `slipstream check`.

mod area;
mod dags;
mod finding;
mod show;

use chrono::Utc;
use clap::{Args, ValueEnum};
use slipstream_core::executor::Roster;

use crate::config::Config;
use crate::store::Db;

use super::exit::{Exit, Failure};
use super::start;
use finding::{Report, Verdict};

/// Look at a deployment before switching: what is supported, what differs, what is refused.
///
/// Reads the configuration, the metadata database, the environment's Python with its plugins, and every serialised Dag. It
/// changes nothing and can run beside a scheduler.
#[derive(Args, Debug)]
#[command(after_help = super::exit::HELP)]
pub(super) struct Options {
    /// How to print what was found.
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
    /// Also end with an exit code when something differs, not only when something is refused.
    #[arg(long)]
    strict: bool,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Output {
    /// For people.
    #[default]
    Table,
    /// For programs: `{"findings": [{"area", "subject", "verdict", "detail"}], "supported", "differs", "refused"}`.
    Json,
}

pub(super) fn run(options: &Options) -> Result<(), Failure> {
    let report = start::runtime()?.block_on(look())?;
    match options.output {
        Output::Table => show::table(&report),
        Output::Json => show::json(&report),
    }
    let worst = report.worst();
    let fails = worst == Verdict::Refused || options.strict && worst == Verdict::Differs;
    if !fails {
        return Ok(());
    }
    let (refused, differs) = (report.count(Verdict::Refused), report.count(Verdict::Differs));
    Err(Failure::new(Exit::Refused, format!("{refused} refused, {differs} different: see above")))
}

/// Everything that can be looked at; what cannot be read is itself a finding, and hides only what depends on it.
async fn look() -> Result<Report, Failure> {
    let mut report = Report::default();
    let config = match Config::load() {
        Ok(config) => config,
        Err(error) => {
            report.add("configuration", "airflow.cfg and AIRFLOW__*", Verdict::Refused, error);
            return Ok(report);
        }
    };
    area::configuration(&config, &mut report);
    let executors = area::executors(&config, &mut report).await;
    area::python(&config, &mut report).await;
    if let Some(db) = area::database(&config, &mut report).await {
        let surveyed = survey(&db, &config, &executors, &mut report).await;
        db.close().await;
        surveyed?;
    }
    Ok(report)
}

async fn survey(db: &Db, config: &Config, executors: &Roster, report: &mut Report) -> Result<(), Failure> {
    area::server(db, report).await?;
    area::running(db, config, Utc::now(), report).await?;
    dags::survey(db, executors, report).await?;
    Ok(())
}
