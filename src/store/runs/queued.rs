//! Queued runs that may start now (`DagRun.get_queued_dag_runs_to_set_running`).

use std::collections::{BTreeSet, HashMap, HashSet};

use chrono::{DateTime, TimeDelta, Utc};

use slipstream_core::ids::{DagId, RunId};
use slipstream_core::state::RunType;

use super::super::db::Conn;
use super::super::error::StoreError;
use super::super::row::Row;
use super::super::sql::Dialect;
use super::{ago, db_now};

/// How long after the last of a backfill's runs it is taken to be complete, on SQLite. There Airflow's API server commits
/// run by run while it makes them, and gives up all of them when anybody else writes in between.
const MAKING: TimeDelta = TimeDelta::seconds(1);

/// A queued run that has a chance to start.
#[derive(Clone, Debug)]
pub struct QueuedRun {
    /// `dag_run.id`.
    pub id: i64,
    /// The Dag.
    pub dag_id: DagId,
    /// The run.
    pub run_id: RunId,
    /// What kind of run it is.
    pub run_type: RunType,
    /// It starts no earlier.
    pub run_after: DateTime<Utc>,
    /// Whether asset events caused it.
    pub by_asset: bool,
    /// How often it was cleared.
    pub clear_number: i64,
    /// Its backfill and that backfill's limit.
    pub backfill: Option<BackfillLimit>,
    /// `dag.max_active_runs`; `None` or 0 is no limit here.
    pub max_active_runs: Option<i64>,
    /// The bundle version that the run is pinned to.
    pub bundle_version: Option<String>,
    /// The Dag version that it was created with.
    pub created_dag_version_id: Option<uuid::Uuid>,
}

/// A backfill and how many of its runs may be active.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackfillLimit {
    /// `backfill.id`.
    pub id: i64,
    /// `backfill.max_active_runs`.
    pub max_active_runs: i64,
}

/// Running runs per Dag and backfill (`None`: not of a backfill).
pub type RunningRuns = HashMap<(DagId, Option<i64>), i64>;

/// Finds and locks queued runs, in the order in which they should start: runs of backfills last and in their own order,
/// then those looked at longest ago, those of Dags with few running runs, and the oldest. Runs of the Dags in `unlimited`
/// start however many there are. On SQLite, runs of a backfill wait until [`MAKING`] after the newest of them was queued.
///
/// # Errors
/// As any statement.
pub async fn queued_runs<C: Conn>(
    tx: &C,
    unlimited: &BTreeSet<DagId>,
    limit: i64,
) -> Result<Vec<QueuedRun>, StoreError> {
    let dialect = tx.dialect();
    let being_made = match dialect {
        Dialect::Postgres => String::new(),
        Dialect::Sqlite => format!(
            " AND NOT EXISTS (SELECT 1 FROM dag_run young WHERE young.backfill_id = dag_run.backfill_id \
             AND young.queued_at > {})",
            ago(MAKING)
        ),
    };
    let unlimited_too = if unlimited.is_empty() { "" } else { " OR dag_run.dag_id IN (?)" };
    let sql = tx
        .sql(&format!(
            "SELECT dag_run.id, dag_run.dag_id, dag_run.run_id, dag_run.run_type, dag_run.run_after, \
             dag_run.triggered_by, dag_run.clear_number, dag_run.backfill_id, dag_run.bundle_version, \
             dag_run.created_dag_version_id, dag.max_active_runs, backfill.max_active_runs AS backfill_limit \
             FROM dag_run \
             JOIN dag ON dag.dag_id = dag_run.dag_id AND dag.is_paused = false AND dag.is_stale = false \
             LEFT JOIN backfill_dag_run bdr ON bdr.dag_run_id = dag_run.id AND bdr.backfill_id = dag_run.backfill_id \
             LEFT JOIN backfill ON backfill.id = dag_run.backfill_id \
             LEFT JOIN (SELECT dag_id, backfill_id, count(id) AS num_running FROM dag_run WHERE state = 'running' \
             GROUP BY dag_id, backfill_id) AS busy ON busy.dag_id = dag_run.dag_id \
             AND coalesce(busy.backfill_id, -1) = coalesce(dag_run.backfill_id, -1) \
             WHERE dag_run.state = 'queued' \
             AND (coalesce(busy.num_running, 0) < coalesce(backfill.max_active_runs, dag.max_active_runs){unlimited_too}) \
             AND NOT coalesce(backfill.is_paused, false) AND dag_run.run_after <= {}{being_made} \
             ORDER BY bdr.sort_ordinal NULLS FIRST, dag_run.last_scheduling_decision NULLS FIRST, \
             busy.num_running NULLS FIRST, dag_run.run_after LIMIT ?",
            db_now(dialect)
        ))
        .push(tx.lock(" FOR NO KEY UPDATE OF dag_run SKIP LOCKED"));
    let sql = if unlimited.is_empty() { sql } else { sql.bind_list(unlimited) };
    let sql = sql.bind(limit);
    tx.all(sql).await?.iter().map(queued_run).collect()
}

fn queued_run(row: &Row) -> Result<QueuedRun, StoreError> {
    let backfill = match row.int_opt("backfill_id")? {
        Some(id) => Some(BackfillLimit { id, max_active_runs: row.int_opt("backfill_limit")?.unwrap_or(0) }),
        None => None,
    };
    Ok(QueuedRun {
        id: row.int("id")?,
        dag_id: row.id("dag_id")?,
        run_id: row.id("run_id")?,
        run_type: row.state("run_type")?,
        run_after: row.time("run_after")?,
        by_asset: row.text_opt("triggered_by")?.as_deref() == Some("ASSET"),
        clear_number: row.int("clear_number")?,
        backfill,
        max_active_runs: row.int_opt("max_active_runs")?,
        bundle_version: row.text_opt("bundle_version")?,
        created_dag_version_id: row.uuid_opt("created_dag_version_id")?,
    })
}

/// Locks the backfills of these runs; returns those that no other scheduler holds.
///
/// # Errors
/// As any statement.
pub async fn lock_backfills<C: Conn>(tx: &C, runs: &[QueuedRun]) -> Result<HashSet<i64>, StoreError> {
    let ids: HashSet<i64> = runs.iter().filter_map(|run| run.backfill.map(|backfill| backfill.id)).collect();
    if ids.is_empty() {
        return Ok(ids);
    }
    let sql = tx
        .sql("SELECT id FROM backfill WHERE id IN (?)")
        .push(tx.lock(" FOR UPDATE SKIP LOCKED"))
        .bind_list(ids);
    tx.all(sql).await?.iter().map(|row| row.int("id")).collect()
}

/// Counts the running runs of these runs' Dags.
///
/// # Errors
/// As any statement.
pub async fn running_runs<C: Conn>(tx: &C, runs: &[QueuedRun]) -> Result<RunningRuns, StoreError> {
    let dag_ids: HashSet<&DagId> = runs.iter().map(|run| &run.dag_id).collect();
    let sql = tx
        .sql(
            "SELECT dag_id, backfill_id, count(id) AS running FROM dag_run WHERE state = 'running' \
             AND dag_id IN (?) GROUP BY dag_id, backfill_id",
        )
        .bind_list(dag_ids);
    let rows = tx.all(sql).await?;
    rows.iter()
        .map(|row| Ok(((row.id("dag_id")?, row.int_opt("backfill_id")?), row.int("running")?)))
        .collect()
}

/// Sets these queued runs running. A run that was queued after `now` was read starts when it was queued, so that its
/// times are in order.
///
/// # Errors
/// As any statement.
pub async fn start_runs<C: Conn>(tx: &C, ids: &[i64], now: DateTime<Utc>) -> Result<u64, StoreError> {
    if ids.is_empty() {
        return Ok(0);
    }
    let sql = tx
        .sql(
            "UPDATE dag_run SET state = 'running', start_date = CASE WHEN queued_at > ? THEN queued_at ELSE ? END, \
             end_date = NULL, updated_at = ? WHERE id IN (?) AND state = 'queued'",
        )
        .bind(now)
        .bind(now)
        .bind(now)
        .bind_list(ids.iter().copied());
    tx.exec(sql).await
}
