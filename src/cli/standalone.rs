//! `slipstream standalone`.

use clap::Args;

use super::exit::Failure;

/// Run everything on this machine: scheduler, Dag processor and worker of Slipstream, api-server and triggerer of Airflow.
#[derive(Args, Debug)]
#[command(after_help = super::exit::HELP)]
pub(super) struct Options {
    /// The port of the UI [default: [api] port].
    #[arg(short, long, value_name = "PORT")]
    port: Option<u16>,
}

pub(super) fn run(_options: Options) -> Result<(), Failure> {
    Err(Failure::failed("standalone is not part of this build"))
}
