//! Creation of dag runs with their task instances and deadlines: what `SerializedDAG.create_dagrun` does in Airflow
//! (`airflow/serialization/definitions/dag.py`), for many runs in a few statements.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use chrono::{DateTime, Utc};

use slipstream_core::ids::DagId;
use slipstream_core::run::{NewTi, initial_task_instances};
use slipstream_core::state::RunType;

use super::dag_bag::CachedDag;
use super::db::Conn;
use super::deadlines;
use super::error::StoreError;
use super::runs::carrier;
use super::runs::insert_run::{RunRow, insert_runs};
use super::runs::params::{self, ParamError};
use super::runs::pickle;
use super::runs::run_id::{RunIdError, RunIdRules};
use super::secrets::Sources;
use crate::telemetry::metrics::{self, Held};

pub use super::runs::insert_run::{NewRun, TriggeredBy};
pub use super::runs::insert_task_instances::{NewTaskInstance, TaskInstanceRun, insert_task_instances};

/// What a deployment says about new runs.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// Which names are allowed.
    pub run_ids: RunIdRules,
    /// `task_instance.unixname`: the user that the scheduler runs as.
    pub unixname: String,
    /// Where a deadline's interval may be kept.
    pub secrets: Sources,
}

/// A run that is to be created, and the newest version of its Dag.
#[derive(Clone, Debug)]
pub struct RunRequest {
    /// The run.
    pub run: NewRun,
    /// `DagBag::latest` of its Dag.
    pub dag: Arc<CachedDag>,
}

/// What became of a [`RunRequest`].
#[derive(Debug)]
pub enum Creation {
    /// It exists now.
    Created(CreatedRun),
    /// Another run has its name or its logical date.
    Exists,
    /// It must not exist; the reason is for the log.
    Refused(RunRefused),
}

/// A run that was created.
#[derive(Clone, Debug)]
pub struct CreatedRun {
    /// `dag_run.id`.
    pub id: i64,
    /// What was asked for.
    pub run: NewRun,
}

/// Why a run must not be created: Airflow's `ValueError`s and their kin.
#[derive(Debug, thiserror::Error)]
pub enum RunRefused {
    /// Its name.
    #[error(transparent)]
    RunId(#[from] RunIdError),
    /// It has a data interval and no logical date.
    #[error("data_interval must be None when logical_date is None")]
    DataInterval,
    /// It has a partition key, and its Dag has no partitions.
    #[error("Dag '{0}' is not a partitioned Dag and does not accept a partition_key.")]
    NotPartitioned(DagId),
    /// Its partition key is empty or too long.
    #[error("{0}")]
    PartitionKey(String),
    /// Nobody can tell the priority weight of one of its tasks.
    #[error("Unknown priority strategy {0}")]
    WeightRule(String),
    /// Its conf, or a default of the Dag's params, does not satisfy the params' schemas.
    #[error(transparent)]
    Params(#[from] ParamError),
}

/// Longest partition key (`ID_LEN`).
const PARTITION_KEY_LENGTH: usize = 250;

/// Checks a run as Airflow does before it is created.
///
/// # Errors
/// Why it must not be created.
pub fn check(request: &RunRequest, rules: &RunIdRules) -> Result<(), RunRefused> {
    let RunRequest { run, dag } = request;
    if run.logical_date.is_none() && run.data_interval.is_some() {
        return Err(RunRefused::DataInterval);
    }
    rules.check(run.run_type, run.run_id.as_str())?;
    if let Some(key) = &run.partition_key {
        let properties = dag.timetable.properties();
        if properties.is_ok_and(|kind| !kind.is_partitioned && !kind.is_partitioned_at_runtime) {
            return Err(RunRefused::NotPartitioned(run.dag_id.clone()));
        }
        if key.trim().is_empty() {
            let why = "partition_key must not be empty or whitespace-only.";
            return Err(RunRefused::PartitionKey(why.to_owned()));
        }
        if key.chars().count() > PARTITION_KEY_LENGTH {
            let why = format!("partition_key must be at most {PARTITION_KEY_LENGTH} characters long.");
            return Err(RunRefused::PartitionKey(why));
        }
    }
    params::check(&dag.dag.params, run.conf.as_ref())?;
    match dag.dag.iter().find_map(|(_, task)| task.weight_rule.unknown_strategy()) {
        Some(strategy) => Err(RunRefused::WeightRule(strategy.to_owned())),
        None => Ok(()),
    }
}

/// Creates runs with their task instances and deadlines; the answers are in the order of the requests.
///
/// # Errors
/// As any statement; then the transaction cannot go on.
pub async fn create<C: Conn>(
    tx: &C,
    requests: Vec<RunRequest>,
    options: &RunOptions,
    now: DateTime<Utc>,
) -> Result<Vec<Creation>, StoreError> {
    let checked: Vec<Result<(), RunRefused>> =
        requests.iter().map(|request| check(request, &options.run_ids)).collect();
    let good: Vec<&RunRequest> = requests
        .iter()
        .zip(&checked)
        .filter_map(|(request, verdict)| verdict.is_ok().then_some(request))
        .collect();
    let bundles = bundle_versions(tx, &good).await?;
    let rows: Vec<RunRow> = good.iter().map(|request| row(request, &bundles)).collect();
    let ids = insert_runs(tx, &rows, now).await?;

    let id_of = |run: &NewRun| ids.get(&(run.dag_id.clone(), run.run_id.clone())).copied();
    let mut instances = Vec::with_capacity(rows.len());
    let mut with_deadlines = Vec::new();
    for (request, row) in good.iter().zip(&rows) {
        let Some(id) = id_of(&row.run) else { continue };
        let tis: Vec<NewTaskInstance> =
            initial_task_instances(&request.dag.dag, row.run.run_type, row.run.logical_date)
                .into_iter()
                .map(new_task_instance)
                .collect();
        measure_created(tx, &row.run.dag_id, row.run.run_type, &tis);
        instances.push((ti_run(row), tis));
        if !request.dag.dag.deadline.is_empty() {
            with_deadlines.push(deadlines::NewDeadlines {
                dagrun_id: id,
                serialized_dag_id: request.dag.serialized_id,
                run: &row.run,
            });
        }
    }
    insert_task_instances(tx, &instances, &options.unixname, now).await?;
    deadlines::create(tx, &with_deadlines, &options.secrets, now).await?;

    Ok(requests
        .iter()
        .zip(checked)
        .map(|(request, verdict)| match (verdict, id_of(&request.run)) {
            (Err(why), _) => Creation::Refused(why),
            (Ok(()), None) => Creation::Exists,
            (Ok(()), Some(id)) => Creation::Created(CreatedRun { id, run: request.run.clone() }),
        })
        .collect())
}

/// Counts new task instances of one run by the class of their operator.
pub(super) fn measure_created<C: Conn>(conn: &C, dag_id: &DagId, run_type: RunType, tis: &[NewTaskInstance]) {
    if !metrics::is_on() {
        return;
    }
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for ti in tis {
        *counts.entry(&ti.operator).or_default() += 1;
    }
    for (operator, count) in counts {
        let tags = [("dag_id", dag_id.as_str()), ("run_type", run_type.as_str()), ("task_type", operator)];
        conn.measure(|| Held::count("task_instance_created", count, &tags));
    }
}

/// The bundle version that each Dag is at; runs are pinned to it unless the Dag opted out.
async fn bundle_versions<C: Conn>(
    tx: &C,
    requests: &[&RunRequest],
) -> Result<HashMap<DagId, Option<String>>, StoreError> {
    let pinned: BTreeSet<&DagId> = requests
        .iter()
        .filter(|request| !request.dag.dag.disable_bundle_versioning)
        .map(|request| &request.run.dag_id)
        .collect();
    if pinned.is_empty() {
        return Ok(HashMap::new());
    }
    let sql = tx.sql("SELECT dag_id, bundle_version FROM dag WHERE dag_id IN (?)").bind_list(pinned);
    tx.all(sql).await?.iter().map(|row| Ok((row.id("dag_id")?, row.text_opt("bundle_version")?))).collect()
}

fn row(request: &RunRequest, bundles: &HashMap<DagId, Option<String>>) -> RunRow {
    let run = request.run.clone();
    RunRow {
        bundle_version: bundles.get(&run.dag_id).cloned().flatten(),
        dag_version_id: request.dag.version_id,
        context_carrier: carrier::fresh(run.conf.as_ref()),
        run,
    }
}

/// What the Dag says about a new task instance, as the `INSERT` takes it. A priority weight that only Python knows is the
/// task's own.
pub fn new_task_instance(ti: NewTi) -> NewTaskInstance {
    NewTaskInstance {
        task_id: ti.task_id,
        map_index: ti.map_index,
        max_tries: i64::from(ti.max_tries),
        pool: ti.pool.to_string(),
        pool_slots: i64::from(ti.pool_slots),
        queue: ti.queue.to_string(),
        priority_weight: i64::from(ti.priority_weight),
        operator: ti.operator.to_string(),
        custom_operator_name: ti.custom_operator_name.to_string(),
        executor: ti.executor.as_deref().map(str::to_owned),
        executor_config: pickle::executor_config(ti.executor_config.as_ref()),
        task_display_name: Some(ti.task_display_name.to_string()),
    }
}

fn ti_run(row: &RunRow) -> TaskInstanceRun {
    TaskInstanceRun {
        dag_id: row.run.dag_id.clone(),
        run_id: row.run.run_id.clone(),
        dag_version_id: row.dag_version_id,
        context_carrier: row.context_carrier.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use slipstream_core::state::{RunState, RunType};

    use super::super::dag_bag::DagBag;
    use super::super::runs::run_id::DoubleDot;
    use super::super::testing::{self, at, block_on};
    use super::*;

    #[test]
    fn a_run_with_a_task_whose_weight_nobody_knows_is_refused() {
        block_on(async {
            let (_directory, db) = testing::sqlite().await;
            testing::dag(&db, "d").await;
            let weight = "<plugin.ByName object at 0x7fd4264d6650>";
            let expand = json!({"type": "dict-of-lists", "value": {"__type": "dict", "__var": {"x": [1]}}});
            let mapped = json!({"task_id": "m", "task_type": "T", "_is_mapped": true, "_needs_expansion": true, "partial_kwargs": {"weight_rule": weight}, "expand_input": expand, "_expand_input_attr": "expand_input"});
            let timetable = json!({"__type": "airflow.timetables.simple.NullTimetable", "__var": {}});
            let tasks = [json!({"__type": "operator", "__var": mapped})];
            let dag = json!({"dag_id": "d", "tasks": tasks, "timetable": timetable, "timezone": "UTC"});
            testing::serialized_dag(&db, "d", dag).await;
            let dag_id = DagId::from("d");
            let dags = DagBag::default().latest(&db, &BTreeSet::from([dag_id.clone()])).await.unwrap();
            let run = NewRun {
                dag_id: dag_id.clone(),
                run_id: "r".into(),
                run_type: RunType::Manual,
                triggered_by: TriggeredBy::Timetable,
                triggering_user_name: None,
                logical_date: None,
                data_interval: None,
                run_after: at(0),
                state: RunState::Queued,
                conf: None,
                creating_job_id: None,
                backfill_id: None,
                partition_key: None,
                partition_date: None,
            };
            let rules = RunIdRules::new(RunIdRules::DEFAULT_PATTERN, DoubleDot::Refused).unwrap();
            let request = RunRequest { run, dag: Arc::clone(&dags[&dag_id]) };
            let why = check(&request, &rules).unwrap_err();
            assert_eq!(why.to_string(), format!("Unknown priority strategy {weight}"));
        });
    }
}
