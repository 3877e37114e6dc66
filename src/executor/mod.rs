//! What the scheduler knows of an executor: it is handed [`Workload`]s and tells what became of them in
//! [`ExecutorEvent`]s.
//!
//! Mirrors `airflow/executors/base_executor.py` and `airflow/executors/workloads/`.

pub mod event;
pub mod hosted;
pub mod local;
pub mod log_path;
pub mod place;
pub mod set;
mod surroundings;
pub mod wire;
pub mod workload;

pub use event::{Attached, ExecutorEvent, Report, WorkEvent};
pub use hosted::HostedExecutor;
pub use local::{LocalExecutor, LocalOptions};
pub use log_path::{LogTemplate, LogTemplateError};
pub use place::Place;
pub use set::{Executor, Executors, Reports};
pub use workload::{
    BundleInfo, CallbackDto, ExecuteCallback, ExecuteTask, TestConnection, Workload, WorkloadKey, WorkloadTi,
};
