//! `slipstream standalone`: the whole deployment on this machine, with everything that is needed made first.

mod banner;
mod child;
mod database;
mod place;
mod ports;
mod sweep;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::exit::Failure;
use super::start;
use crate::python::{Interpreter, package};
use crate::runtime::Shutdown;
use crate::telemetry::logging::{self, Verbosity};

use child::{Child, Program};
use place::Place;

/// Run everything on this machine: scheduler, Dag processor and worker of Slipstream, api-server and triggerer of Airflow.
///
/// Without AIRFLOW_HOME everything is kept in ./.airflow. The database is made or migrated when it is not there yet.
#[derive(Args, Debug)]
#[command(after_help = super::exit::HELP)]
pub(super) struct Options {
    /// The port of the UI [default: [api] port, which is 8080].
    #[arg(short, long, value_name = "PORT")]
    port: Option<u16>,
    /// The port at which logs of running tasks are served [default: [logging] worker_log_server_port, which is 8793].
    #[arg(long, value_name = "PORT")]
    log_port: Option<u16>,
    /// The port at which logs of running triggers are served [default: [logging] trigger_log_server_port, which is 8794].
    #[arg(long, value_name = "PORT")]
    trigger_log_port: Option<u16>,
    /// Log everything, also what is of use to developers only.
    #[arg(short, long)]
    verbose: bool,
}

/// How long the parts have to end by themselves. The worker gives tasks 20 seconds.
const PATIENCE: Duration = Duration::from_secs(25);

pub(super) fn run(options: Options) -> Result<(), Failure> {
    let place = Place::new(&options)?;
    let verbosity = if options.verbose { Verbosity::Debug } else { Verbosity::Configured };
    logging::init(&place.config, verbosity, logging::Output::Stdout)?;
    let interpreter = Interpreter::locate(&place.config)?;
    start::runtime()?.block_on(async {
        let shutdown = Shutdown::on_signals()?;
        ports::check(&place)?;
        sweep::adopt_orphans();
        tokio::select! {
            done = database::prepare(&place, &interpreter) => done?,
            () = shutdown.asked() => return Ok(()),
        }
        // Airflow may just have made the configuration file, with the keys in it.
        let place = Place::new(&options)?;
        supervise(&place, &interpreter, &options, shutdown).await;
        Ok(())
    })
}

async fn supervise(place: &Place, interpreter: &Interpreter, options: &Options, shutdown: Shutdown) {
    let children: Vec<_> = programs(place, interpreter, options)
        .into_iter()
        .map(|program| tokio::spawn(Child::new(program, shutdown.clone()).keep_running()))
        .collect();
    tokio::select! {
        () = banner::when_ready(place) => {}
        () = shutdown.asked() => {}
    }
    shutdown.asked().await;
    banner::say("Stopping everything");
    let all_ended = async {
        for child in children {
            // Each reports its own end.
            let _ = child.await;
        }
    };
    let _ = tokio::time::timeout(PATIENCE, all_ended).await;
    sweep::end_what_is_left(PATIENCE).await;
    banner::say("Everything has stopped");
}

fn programs(place: &Place, interpreter: &Interpreter, options: &Options) -> Vec<Program> {
    let own = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("slipstream"));
    let verbose: &[&str] = if options.verbose { &["--verbose"] } else { &[] };
    let slipstream = |name: &'static str| Program {
        name,
        path: own.clone(),
        arguments: [&[name], verbose].concat().into_iter().map(str::to_owned).collect(),
        env: place.env.clone(),
    };
    let mut env = place.env.clone();
    env.extend(page(place));
    let airflow = |name: &'static str| Program {
        name,
        path: interpreter.path().to_owned(),
        arguments: ["-m", "airflow", name].map(str::to_owned).to_vec(),
        env: env.clone(),
    };
    // The worker is started by the scheduler.
    vec![airflow("api-server"), slipstream("scheduler"), slipstream("dag-processor"), airflow("triggerer")]
}

/// Where Airflow's own processes find the page of ours, which is not installed in their environment. Without a wheel there
/// the package is written beside the database.
fn page(place: &Place) -> Option<(String, String)> {
    let folder = place.home.join("slipstream").join("python");
    if let Err(error) = package::write(&folder) {
        tracing::warn!(%error, "{} cannot be written: the UI goes without Slipstream's page", folder.display());
        return None;
    }
    let before = std::env::var_os("PYTHONPATH");
    let path = std::iter::once(folder).chain(before.iter().flat_map(std::env::split_paths));
    let path = std::env::join_paths(path).ok()?.into_string().ok()?;
    Some(("PYTHONPATH".to_owned(), path))
}
