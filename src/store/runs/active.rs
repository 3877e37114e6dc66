//! How many runs of a Dag are active, and the flag that keeps a Dag at its limit out of the search for due Dags.

use std::collections::HashMap;

use slipstream_core::ids::DagId;

use super::super::db::Conn;
use super::super::error::StoreError;

/// Queued and running runs per Dag, without those of backfills (`DagRun.active_runs_of_dags`). Dags without any are not in
/// the answer.
///
/// # Errors
/// As any statement.
pub async fn active_runs<'a, C: Conn>(
    tx: &C,
    dag_ids: impl IntoIterator<Item = &'a DagId>,
) -> Result<HashMap<DagId, i64>, StoreError> {
    let sql = tx
        .sql(
            "SELECT dag_id, count(*) AS active FROM dag_run WHERE dag_id IN (?) \
             AND state IN ('queued', 'running') AND run_type <> 'backfill' GROUP BY dag_id",
        )
        .bind_list(dag_ids);
    tx.all(sql).await?.iter().map(|row| Ok((row.id("dag_id")?, row.int("active")?))).collect()
}

/// Whether a Dag in the table `dag` is at its limit, for a statement.
pub const FULL: &str = "((SELECT count(*) FROM dag_run WHERE dag_run.dag_id = dag.dag_id \
     AND dag_run.state IN ('queued', 'running') AND dag_run.run_type <> 'backfill') \
     >= coalesce(dag.max_active_runs, 0))";

/// Brings `dag.exceeds_max_non_backfill` of one Dag up to date: after a run of it was created, ended or timed out
/// (`SchedulerJobRunner._set_exceeds_max_active_runs`).
///
/// # Errors
/// As any statement.
pub async fn recompute_exceeds<C: Conn>(tx: &C, dag_id: &DagId) -> Result<(), StoreError> {
    recompute_exceeds_of(tx, [dag_id]).await
}

/// [`recompute_exceeds`] for several Dags in one statement. Rows that are right already are not touched.
///
/// # Errors
/// As any statement.
pub async fn recompute_exceeds_of<'a, C: Conn>(
    tx: &C,
    dag_ids: impl IntoIterator<Item = &'a DagId>,
) -> Result<(), StoreError> {
    let sql = tx
        .sql(&format!(
            "UPDATE dag SET exceeds_max_non_backfill = {FULL} \
             WHERE dag_id IN (?) AND exceeds_max_non_backfill <> {FULL}"
        ))
        .bind_list(dag_ids);
    tx.exec(sql).await?;
    Ok(())
}
