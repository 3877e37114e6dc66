//! The first frame to a task: what it is to run (`StartupDetails` in `airflow/sdk/execution_time/comms.py`).

use chrono::Utc;
use rmpv::Value;
use serde_json::json;

use super::server::Started;
use crate::executor::ExecuteTask;
use crate::supervisor::Frame;
use crate::supervisor::value::{from_json, from_time};

/// The frame for a task that was marked as running.
pub fn frame(task: &ExecuteTask, started: Started) -> Frame {
    let ti = &task.ti;
    let ti = json!({
        "id": ti.id.to_string(),
        "task_id": ti.task_id,
        "dag_id": ti.dag_id,
        "run_id": ti.run_id,
        "try_number": ti.try_number,
        "dag_version_id": ti.dag_version_id.map(|id| id.to_string()),
        "map_index": ti.map_index,
        "hostname": ti.hostname,
        "context_carrier": ti.context_carrier,
        "queue": ti.queue,
    });
    let bundle = json!({"name": task.bundle_info.name, "version": task.bundle_info.version});
    let start_date = started.first_start.unwrap_or_else(Utc::now);
    let body = vec![
        ("ti".into(), from_json(&ti)),
        ("dag_rel_path".into(), task.dag_rel_path.as_str().into()),
        ("bundle_info".into(), from_json(&bundle)),
        ("start_date".into(), from_time(start_date)),
        ("ti_context".into(), started.context),
        ("sentry_integration".into(), task.sentry_integration.as_str().into()),
        ("type".into(), "StartupDetails".into()),
    ];
    Frame::new(0, Value::Map(body))
}
