//! `slipstream version`.

use crate::store::migration::SUPPORTED;

use super::exit::Failure;

#[allow(clippy::unnecessary_wraps)]
pub(super) fn run() -> Result<(), Failure> {
    say!("slipstream {}", env!("CARGO_PKG_VERSION"));
    for (airflow, revision) in SUPPORTED {
        say!("works with Apache Airflow {airflow} (schema revision {revision})");
    }
    Ok(())
}
