//! `slipstream version`.

use crate::store::migration::SUPPORTED;

use super::exit::Failure;

#[allow(clippy::print_stdout, clippy::unnecessary_wraps)]
pub(super) fn run() -> Result<(), Failure> {
    println!("slipstream {}", env!("CARGO_PKG_VERSION"));
    for (airflow, revision) in SUPPORTED {
        println!("works with Apache Airflow {airflow} (schema revision {revision})");
    }
    Ok(())
}
