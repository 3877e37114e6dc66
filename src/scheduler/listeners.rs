//! Listeners of plugins hear of dag runs in a Python process of their own; the loop never waits for them.

use std::time::Duration;

use serde_json::json;
use slipstream_core::ids::{DagId, RunId};
use slipstream_core::state::RunState;

use crate::python::Service;

/// How long all listeners together may take for one event.
const LIMIT: Duration = Duration::from_secs(30);

/// Calls `on_dag_run_running`, `on_dag_run_success` or `on_dag_run_failed` in the background. A listener that fails or takes
/// too long is logged and changes nothing.
pub(super) fn announce(
    service: &Service,
    dag_id: &DagId,
    run_id: &RunId,
    state: RunState,
    message: &'static str,
) {
    let service = service.clone();
    let args = json!({"dag_id": dag_id, "run_id": run_id, "state": state.as_str(), "msg": message});
    tokio::spawn(async move {
        if let Err(error) = service.call("listeners.dag_run", args, LIMIT).await {
            tracing::warn!(%error, "listeners of plugins could not be told about a dag run");
        }
    });
}
