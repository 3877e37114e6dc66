//! `INSERT` of task instances, many at once, with the columns that Airflow's bulk insert writes
//! (`TaskInstance.insert_mapping`).

use chrono::{DateTime, Utc};
use serde_json::Value;
use uuid::Uuid;

use slipstream_core::ids::{DagId, MapIndex, RunId, TaskId};

use super::super::db::Conn;
use super::super::error::StoreError;
use super::super::sql::Param;
use super::rows_per_statement;

/// What the task instances of one run have in common.
#[derive(Clone, Debug)]
pub struct TaskInstanceRun {
    /// The Dag.
    pub dag_id: DagId,
    /// The run.
    pub run_id: RunId,
    /// The Dag version that they are made from.
    pub dag_version_id: Uuid,
    /// The run's `context_carrier`, handed on unchanged.
    pub context_carrier: Value,
}

/// One task instance that is to be created, in state "none".
#[derive(Clone, Debug)]
pub struct NewTaskInstance {
    /// The task.
    pub task_id: TaskId,
    /// Which copy.
    pub map_index: MapIndex,
    /// The task's retries.
    pub max_tries: i64,
    /// The pool.
    pub pool: String,
    /// How many of its slots.
    pub pool_slots: i64,
    /// The executor's queue.
    pub queue: String,
    /// With the weights of the tasks that its weight rule adds.
    pub priority_weight: i64,
    /// The operator's class name.
    pub operator: String,
    /// The operator's friendly name; never `NULL` in a row that Airflow wrote.
    pub custom_operator_name: String,
    /// The executor, if the task names one.
    pub executor: Option<String>,
    /// The pickled `executor_config`.
    pub executor_config: Vec<u8>,
    /// The task's display name. `None` for what was expanded at run time.
    pub task_display_name: Option<String>,
}

const COLUMNS: [&str; 21] = [
    "id",
    "task_id",
    "dag_id",
    "run_id",
    "map_index",
    "try_number",
    "max_tries",
    "hostname",
    "unixname",
    "pool",
    "pool_slots",
    "queue",
    "priority_weight",
    "operator",
    "custom_operator_name",
    "executor",
    "executor_config",
    "updated_at",
    "context_carrier",
    "task_display_name",
    "dag_version_id",
];

/// Inserts the task instances of several runs; returns how many.
///
/// A task instance that another transaction has inserted meanwhile is left as it is.
///
/// # Errors
/// As any statement.
pub async fn insert_task_instances<C: Conn>(
    tx: &C,
    runs: &[(TaskInstanceRun, Vec<NewTaskInstance>)],
    unixname: &str,
    now: DateTime<Utc>,
) -> Result<u64, StoreError> {
    let text = format!("INSERT INTO task_instance ({}) VALUES ? ON CONFLICT DO NOTHING", COLUMNS.join(", "));
    let rows: Vec<(&TaskInstanceRun, &NewTaskInstance)> =
        runs.iter().flat_map(|(run, tis)| tis.iter().map(move |ti| (run, ti))).collect();
    let mut inserted = 0;
    for chunk in rows.chunks(rows_per_statement(COLUMNS.len())) {
        let values = chunk.iter().map(|(run, ti)| values(run, ti, unixname, now));
        inserted += tx.exec(tx.sql(&text).bind_rows(values)).await?;
    }
    Ok(inserted)
}

fn values(run: &TaskInstanceRun, ti: &NewTaskInstance, unixname: &str, now: DateTime<Utc>) -> Vec<Param> {
    vec![
        Uuid::now_v7().into(),
        (&ti.task_id).into(),
        (&run.dag_id).into(),
        (&run.run_id).into(),
        ti.map_index.into(),
        0_i64.into(),
        ti.max_tries.into(),
        "".into(),
        unixname.into(),
        (&ti.pool).into(),
        ti.pool_slots.into(),
        (&ti.queue).into(),
        ti.priority_weight.into(),
        (&ti.operator).into(),
        (&ti.custom_operator_name).into(),
        ti.executor.clone().into(),
        ti.executor_config.clone().into(),
        now.into(),
        (&run.context_carrier).into(),
        ti.task_display_name.clone().into(),
        run.dag_version_id.into(),
    ]
}
