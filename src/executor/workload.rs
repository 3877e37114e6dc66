//! One piece of work for an executor, in Airflow's own JSON (`airflow/executors/workloads/`).

use serde::{Deserialize, Serialize};
use slipstream_core::admit::Class;
use slipstream_core::ids::{DagId, MapIndex, RunId, TaskId, TiKey};
use uuid::Uuid;

/// What an executor is asked to run. Its JSON is what `workload.model_dump_json()` gives in Airflow.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type")]
pub enum Workload {
    /// One try of a task instance.
    ExecuteTask(ExecuteTask),
    /// A callback that was asked to run on an executor (deadline alerts).
    ExecuteCallback(ExecuteCallback),
    /// A test of a connection that somebody asked for in the UI.
    TestConnection(TestConnection),
}

/// What names a workload for good: starting the same key twice must not run it twice.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum WorkloadKey {
    /// A try of a task instance. A new try has a new id; the number is there for a restart of the same row.
    Task {
        /// `task_instance.id`.
        ti_id: Uuid,
        /// `task_instance.try_number`.
        try_number: i32,
    },
    /// A callback.
    Callback {
        /// `callback.id`.
        id: Uuid,
    },
    /// A test of a connection.
    ConnectionTest {
        /// `connection_test_request.id`.
        id: Uuid,
    },
}

/// One try of one task instance, with all that is needed to run it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExecuteTask {
    /// The token for the Execution API. Empty for our own worker, which answers from the database.
    #[serde(default)]
    pub token: String,
    /// Where the Dag file is, relative to its bundle: `dag.relative_fileloc`.
    pub dag_rel_path: String,
    /// The bundle, at the version that the run is tied to.
    pub bundle_info: BundleInfo,
    /// Where the log goes, relative to `[logging] base_log_folder` (see [`super::LogTemplate`]).
    pub log_path: Option<String>,
    /// The task instance.
    pub ti: WorkloadTi,
    /// The executor's Sentry integration; empty without one.
    #[serde(default)]
    pub sentry_integration: String,
    /// Which slots it takes. Ours alone, and written only where it is not the usual one.
    #[serde(default, skip_serializing_if = "is_batch")]
    pub class: Class,
}

#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_batch(class: &Class) -> bool {
    *class == Class::Batch
}

/// The task instance of a workload: the Execution API's `TaskInstance` and what executors add to it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WorkloadTi {
    /// `task_instance.id`: of this try only.
    pub id: Uuid,
    /// The task.
    pub task_id: TaskId,
    /// Its Dag.
    pub dag_id: DagId,
    /// Its run.
    pub run_id: RunId,
    /// Which try, counted from 1.
    pub try_number: i32,
    /// The version of the Dag that the task instance belongs to.
    pub dag_version_id: Option<Uuid>,
    /// Which copy of a mapped task.
    pub map_index: MapIndex,
    /// Where the row says that it ran last; empty before the first run.
    pub hostname: Option<String>,
    /// `task_instance.context_carrier`: the trace that the task belongs to, as W3C headers.
    pub context_carrier: serde_json::Value,
    /// `task_instance.queue`.
    pub queue: String,
    /// Slots that it takes in its pool.
    pub pool_slots: i32,
    /// Higher goes first.
    pub priority_weight: i64,
}

/// A Dag bundle at a version.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct BundleInfo {
    /// `dag.bundle_name`.
    pub name: String,
    /// `dag_run.bundle_version`; none for bundles without versions.
    pub version: Option<String>,
}

/// A callback with all that is needed to run it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExecuteCallback {
    /// As [`ExecuteTask::token`].
    #[serde(default)]
    pub token: String,
    /// As [`ExecuteTask::dag_rel_path`].
    pub dag_rel_path: String,
    /// As [`ExecuteTask::bundle_info`].
    pub bundle_info: BundleInfo,
    /// `executor_callbacks/<dag id>/<run id>/<callback id>`.
    pub log_path: Option<String>,
    /// The callback.
    pub callback: CallbackDto,
}

/// A test of a connection. What is to be tested stands in its row, as it may be secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestConnection {
    /// As [`ExecuteTask::token`].
    #[serde(default)]
    pub token: String,
    /// `connection_test_request.id`.
    pub connection_test_id: Uuid,
    /// The connection.
    pub connection_id: String,
    /// How long it may take, in seconds.
    pub timeout: i64,
    /// The queue that was asked for.
    pub queue: Option<String>,
}

/// The part of a `callback` row that its execution needs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CallbackDto {
    /// `callback.id`.
    pub id: Uuid,
    /// `callback.fetch_method`: `import_path` or `dag_attribute`.
    pub fetch_method: String,
    /// `callback.data`, unwrapped: `path`, `kwargs` and more.
    pub data: serde_json::Value,
}

impl Workload {
    /// Which slots it takes.
    pub fn class(&self) -> Class {
        match self {
            Self::ExecuteTask(task) => task.class,
            Self::ExecuteCallback(_) | Self::TestConnection(_) => Class::Batch,
        }
    }

    /// What names it.
    pub fn key(&self) -> WorkloadKey {
        match self {
            Self::ExecuteTask(task) => task.ti.workload_key(),
            Self::ExecuteCallback(work) => WorkloadKey::Callback { id: work.callback.id },
            Self::TestConnection(work) => WorkloadKey::ConnectionTest { id: work.connection_test_id },
        }
    }
}

impl WorkloadTi {
    /// The key by which Airflow's executors know the task instance.
    pub fn key(&self) -> TiKey {
        TiKey {
            dag_id: self.dag_id.clone(),
            task_id: self.task_id.clone(),
            run_id: self.run_id.clone(),
            try_number: self.try_number,
            map_index: self.map_index,
        }
    }

    /// What names this try as a workload.
    pub fn workload_key(&self) -> WorkloadKey {
        WorkloadKey::Task { ti_id: self.id, try_number: self.try_number }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn airflows_own_workload_json_is_read() {
        let text = r#"{"token":"","dag_rel_path":"gt1.py","bundle_info":{"name":"dags-folder","version":null},
            "log_path":"dag_id=d/run_id=r/task_id=t/attempt=1.log",
            "ti":{"id":"0197fb08-1e9c-7d35-9f0b-0ce8f3a6a6f0","task_id":"t","dag_id":"d","run_id":"r","try_number":1,
            "dag_version_id":"0197fb08-1e9c-7d35-9f0b-0ce8f3a6a6f1","map_index":-1,"hostname":null,
            "context_carrier":{"traceparent":"00-x"},"queue":"default","pool_slots":1,"priority_weight":10},
            "sentry_integration":"","type":"ExecuteTask"}"#;
        let workload: Workload = serde_json::from_str(text).unwrap();
        let back: serde_json::Value = serde_json::to_value(&workload).unwrap();
        assert_eq!(back, serde_json::from_str::<serde_json::Value>(text).unwrap());
    }
}
