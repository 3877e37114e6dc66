//! Has a parse result written to the database.

use std::time::Duration;

use serde_json::json;

use crate::python::{PythonError, Service};

use super::child::Parsed;
use super::files::FileKey;
use super::refresh::Checkout;

/// How long the writing of one file's Dags may take.
const LIMIT: Duration = Duration::from_secs(300);

/// Writes one result, with Airflow's own `update_dag_parsing_results_in_db`.
pub(super) async fn write(
    service: &Service,
    file: &FileKey,
    checkout: &Checkout,
    parsed: &Parsed,
    duration: Duration,
) -> Result<(), PythonError> {
    let args = json!({
        "bundle_name": file.bundle,
        "bundle_version": checkout.version,
        "version_data": checkout.version_data,
        "relative_fileloc": file.path,
        "run_duration": duration.as_secs_f64(),
    });
    service.call_with("sync.result", args, &parsed.message, LIMIT).await?;
    Ok(())
}
