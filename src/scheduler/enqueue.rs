//! From queued rows to work for an executor.

use crate::executor::{
    BundleInfo, CallbackDto, ExecuteCallback, ExecuteTask, LogTemplate, Workload, WorkloadTi,
};
use crate::store::callbacks::ExecutorCallback;
use crate::store::critical_section::QueuedTi;
use crate::store::encoding;

/// The workload of a task instance that has just been queued (`ExecuteTask.make` in Airflow).
pub(super) fn workload(ti: QueuedTi, logs: &LogTemplate) -> Workload {
    let carrier = encoding::plain(&ti.context_carrier);
    let inner = WorkloadTi {
        id: ti.id,
        task_id: ti.task_id,
        dag_id: ti.dag_id,
        run_id: ti.run_id,
        try_number: ti.try_number,
        dag_version_id: ti.dag_version_id,
        map_index: ti.map_index,
        hostname: ti.hostname,
        context_carrier: carrier,
        queue: ti.queue,
        pool_slots: ti.pool_slots,
        priority_weight: ti.priority_weight,
    };
    Workload::ExecuteTask(ExecuteTask {
        token: String::new(),
        dag_rel_path: ti.relative_fileloc,
        bundle_info: BundleInfo { name: ti.bundle_name, version: ti.bundle_version },
        log_path: Some(logs.render(&inner)),
        ti: inner,
        sentry_integration: String::new(),
    })
}

/// The workload of a callback that waits for an executor (`ExecuteCallback.make` in Airflow).
pub(super) fn callback_workload(callback: ExecutorCallback) -> Workload {
    let path = format!("executor_callbacks/{}/{}/{}", callback.dag_id, callback.run_id, callback.id);
    Workload::ExecuteCallback(ExecuteCallback {
        token: String::new(),
        dag_rel_path: callback.relative_fileloc.unwrap_or_default(),
        bundle_info: BundleInfo {
            name: callback.bundle_name.unwrap_or_default(),
            version: callback.bundle_version,
        },
        log_path: Some(path),
        callback: CallbackDto { id: callback.id, fetch_method: callback.fetch_method, data: callback.data },
    })
}
