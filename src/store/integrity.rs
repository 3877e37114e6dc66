//! A running run whose Dag has a new version: it gets the new version's task instances (`DagRun.verify_integrity`).

use chrono::{DateTime, Utc};
use slipstream_core::run;
use slipstream_core::state::{RunState, TaskState};
use uuid::Uuid;

use super::apply::{self, Target};
use super::create_run::{measure_created, new_task_instance};
use super::dag_bag::CachedDag;
use super::execution::MultiTeam;
use super::runs::insert_task_instances::{TaskInstanceRun, insert_task_instances};
use super::snapshot::{self, RunSnapshot};
use super::{Conn, StoreError, Tx};
use crate::telemetry::metrics::Held;

/// Whether an earlier try of the run was made from this version (`check_version_id_exists_in_dr`; its task instances of
/// today are known already).
///
/// # Errors
/// As any statement.
pub async fn version_in_history(tx: &Tx, run: &RunSnapshot, version: Uuid) -> Result<bool, StoreError> {
    let sql = tx
        .sql("SELECT 1 AS found FROM task_instance_history WHERE dag_id = ? AND run_id = ? AND dag_version_id = ? LIMIT 1")
        .bind(&run.facts.dag_id)
        .bind(&run.facts.run_id)
        .bind(version);
    Ok(tx.one(sql).await?.is_some())
}

/// Moves unfinished task instances to the version and brings the others in line. Task instances
/// without a state keep their version, as in Airflow, where SQL's `IN` never matches `NULL`.
///
/// # Errors
/// As any statement.
pub async fn verify(
    tx: &Tx,
    run: &RunSnapshot,
    dag: &CachedDag,
    unixname: &str,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let facts = &run.facts;
    tracing::info!(dag_id = %facts.dag_id, run_id = %facts.run_id, version = dag.version_number, "the run follows the Dag's new version");
    move_unfinished(tx, run, dag.version_id, now).await?;
    bring_in_line(tx, run, dag, unixname, now).await
}

/// Brings task instances of removed and restored tasks in line with the version, and adds those of new tasks.
///
/// # Errors
/// As any statement.
pub async fn bring_in_line(
    tx: &Tx,
    run: &RunSnapshot,
    dag: &CachedDag,
    unixname: &str,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let facts = &run.facts;
    let loaded = snapshot::load_needs(tx, facts, &run::integrity_needs(&dag.dag, &run.tis)).await?;
    let changes = run::integrity(&dag.dag, facts, &run.tis, &loaded);
    // Integrity defers nothing to a triggerer, which is what teams are asked for.
    let multi_team = MultiTeam::Off;
    let target = Target { tx, run, dag: &dag.dag, version_id: dag.version_id, unixname, now, multi_team };
    apply::apply_states(&target, &changes.decisions).await?;
    let of = TaskInstanceRun {
        dag_id: facts.dag_id.clone(),
        run_id: facts.run_id.clone(),
        dag_version_id: dag.version_id,
        context_carrier: run.context_carrier.clone(),
    };
    let rows: Vec<_> = changes.new.into_iter().map(new_task_instance).collect();
    measure_tasks(tx, run, dag);
    measure_created(tx, &facts.dag_id, facts.run_type, &rows);
    insert_task_instances(tx, &[(of, rows)], unixname, now).await?;
    Ok(())
}

/// Counts the task instances whose task has gone from the Dag or come back to it. Those of copies that a mapped task does not
/// have any more are not meant.
fn measure_tasks(tx: &Tx, run: &RunSnapshot, dag: &CachedDag) {
    let facts = &run.facts;
    let (mut removed, mut restored) = (0, 0);
    for ti in &run.tis {
        let was_removed = ti.state == Some(TaskState::Removed);
        match dag.dag.task_by_id(ti.task_id.as_str()) {
            Some(_) if was_removed => restored += 1,
            // A run that goes on keeps them.
            None if !was_removed && facts.state != RunState::Running => removed += 1,
            _ => {}
        }
    }
    let tags = [("dag_id", facts.dag_id.as_str()), ("run_type", facts.run_type.as_str())];
    if removed > 0 {
        tx.measure(|| Held::count("task_removed_from_dag", removed, &tags));
    }
    if restored > 0 {
        tx.measure(|| Held::count("task_restored_to_dag", restored, &tags));
    }
}

/// Gives the version to the run's task instances that have an unfinished state.
///
/// # Errors
/// As any statement.
pub async fn move_unfinished(
    tx: &Tx,
    run: &RunSnapshot,
    version: Uuid,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let sql = tx
        .sql(
            "UPDATE task_instance SET dag_version_id = ?, updated_at = ? WHERE dag_id = ? AND run_id = ? AND state IN \
             ('scheduled', 'queued', 'running', 'restarting', 'up_for_retry', 'up_for_reschedule', 'deferred', 'awaiting_input')",
        )
        .bind(version)
        .bind(now)
        .bind(&run.facts.dag_id)
        .bind(&run.facts.run_id);
    tx.exec(sql).await?;
    Ok(())
}
