//! `StartupDetails`: the first frame to a task's process, with id 0.

use chrono::{DateTime, Utc};
use rmpv::Value;
use serde_json::Value as Json;
use slipstream_core::ids::{DagId, MapIndex, RunId, TaskId};
use uuid::Uuid;

use super::super::value::Message;
use super::wire;
use crate::store::execution::RunContext;

/// What the process of a task is told besides the [`RunContext`]: parts of the executor's workload.
#[derive(Clone, Debug)]
pub struct Startup {
    /// `task_instance.id`.
    pub ti_id: Uuid,
    /// The task.
    pub task_id: TaskId,
    /// Its Dag.
    pub dag_id: DagId,
    /// Its run.
    pub run_id: RunId,
    /// Which try.
    pub try_number: i32,
    /// The version of the Dag that the task instance belongs to.
    pub dag_version_id: Option<Uuid>,
    /// Which copy of a mapped task.
    pub map_index: MapIndex,
    /// Where the row says that it ran last.
    pub hostname: Option<String>,
    /// The trace that the task belongs to.
    pub context_carrier: Json,
    /// Its queue.
    pub queue: String,
    /// The Dag file, relative to its bundle.
    pub dag_rel_path: String,
    /// The bundle.
    pub bundle_name: String,
    /// The bundle's version.
    pub bundle_version: Option<String>,
    /// The executor's Sentry integration; empty without one.
    pub sentry_integration: String,
}

/// The body of the frame. `now` is the task's start, unless it goes on after a deferral.
pub fn startup_details(startup: &Startup, context: &RunContext, now: DateTime<Utc>) -> Value {
    let resumed = context.resume.as_ref().and_then(|resume| resume.start_date);
    let ti = Message::map()
        .with("id", startup.ti_id)
        .with("task_id", startup.task_id.as_str())
        .with("dag_id", startup.dag_id.as_str())
        .with("run_id", startup.run_id.as_str())
        .with("try_number", startup.try_number)
        .with("dag_version_id", startup.dag_version_id)
        .with("map_index", startup.map_index.0)
        .with("hostname", startup.hostname.as_deref())
        .with("context_carrier", &startup.context_carrier)
        .with("queue", startup.queue.as_str());
    let bundle = Message::map()
        .with("name", startup.bundle_name.as_str())
        .with("version", startup.bundle_version.as_deref());
    Message::map()
        .with("ti", ti)
        .with("dag_rel_path", startup.dag_rel_path.as_str())
        .with("bundle_info", bundle)
        .with("start_date", resumed.unwrap_or(now))
        .with("ti_context", run_context(context))
        .with("sentry_integration", startup.sentry_integration.as_str())
        .with("type", "StartupDetails")
        .done()
}

fn run_context(context: &RunContext) -> Message {
    let resume = context.resume.as_ref();
    let keys: Vec<_> = context.xcom_keys_to_clear.iter().map(String::as_str).collect();
    Message::map()
        .with("dag_run", wire::dag_run(&context.dag_run))
        .with("task_reschedule_count", context.task_reschedule_count)
        .with("max_tries", context.max_tries)
        .with("variables", Vec::<&str>::new())
        .with("connections", Vec::<&str>::new())
        .with("next_method", resume.map(|resume| resume.next_method.as_str()))
        .with("next_kwargs", resume.map(|resume| &resume.next_kwargs))
        .with("xcom_keys_to_clear", keys)
        .with("should_retry", context.should_retry)
        .with("start_date", resume.and_then(|resume| resume.start_date))
}
