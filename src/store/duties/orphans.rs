//! Task instances of schedulers that are gone (`SchedulerJobRunner.adopt_or_reset_orphaned_tasks`).

use chrono::{DateTime, Utc};
use uuid::Uuid;

use slipstream_core::ids::{MapIndex, TiKey};
use slipstream_core::state::TaskState;

use super::super::db::{Conn, Tx};
use super::super::error::StoreError;
use super::super::history;
use super::super::row::Row;

/// A task instance whose scheduler is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Orphan {
    /// `task_instance.id`.
    pub id: Uuid,
    /// Its key.
    pub key: TiKey,
    /// `queued`, `running` or `restarting`.
    pub state: TaskState,
    /// The executor that it names.
    pub executor: Option<String>,
    /// Its Dag's team.
    pub team: Option<String>,
    /// The executor's own name for it.
    pub external_executor_id: Option<String>,
    /// The scheduler that queued it.
    pub queued_by_job_id: Option<i64>,
}

/// Marks schedulers whose last heartbeat is before `limit` as failed; returns how many.
///
/// # Errors
/// As any statement.
pub async fn fail_dead_schedulers<C: Conn>(tx: &C, limit: DateTime<Utc>) -> Result<u64, StoreError> {
    let sql = tx
        .sql(
            "UPDATE job SET state = 'failed' WHERE job_type = 'SchedulerJob' AND state = 'running' \
             AND latest_heartbeat < ?",
        )
        .bind(limit);
    tx.exec(sql).await
}

/// Finds and locks task instances of running runs whose scheduler does not run any more. Those that no scheduler ever
/// queued are not orphans.
///
/// # Errors
/// As any statement.
pub async fn orphans<C: Conn>(tx: &C) -> Result<Vec<Orphan>, StoreError> {
    let sql = tx
        .sql(
            "SELECT task_instance.id, task_instance.dag_id, task_instance.task_id, task_instance.run_id, \
             task_instance.try_number, task_instance.map_index, task_instance.state, task_instance.executor, \
             task_instance.external_executor_id, task_instance.queued_by_job_id, \
             (SELECT t.team_name FROM dag d JOIN dag_bundle_team t ON t.dag_bundle_name = d.bundle_name \
             WHERE d.dag_id = task_instance.dag_id) AS team FROM task_instance \
             JOIN job ON job.id = task_instance.queued_by_job_id \
             JOIN dag_run ON dag_run.dag_id = task_instance.dag_id AND dag_run.run_id = task_instance.run_id \
             WHERE task_instance.state IN ('queued', 'running', 'restarting') \
             AND (job.state IS NULL OR job.state <> 'running') AND dag_run.state = 'running'",
        )
        .push(tx.dialect().pg(" FOR NO KEY UPDATE OF task_instance SKIP LOCKED"));
    tx.all(sql).await?.iter().map(orphan).collect()
}

fn orphan(row: &Row) -> Result<Orphan, StoreError> {
    Ok(Orphan {
        id: row.uuid("id")?,
        key: ti_key(row)?,
        state: row.state("state")?,
        executor: row.text_opt("executor")?,
        team: row.text_opt("team")?,
        external_executor_id: row.text_opt("external_executor_id")?,
        queued_by_job_id: row.int_opt("queued_by_job_id")?,
    })
}

/// The key of a task instance from its columns.
pub(super) fn ti_key(row: &Row) -> Result<TiKey, StoreError> {
    Ok(TiKey {
        dag_id: row.id("dag_id")?,
        task_id: row.id("task_id")?,
        run_id: row.id("run_id")?,
        try_number: row.int32("try_number")?,
        map_index: MapIndex(row.int32("map_index")?),
    })
}

/// Those of these task instances that this scheduler still has, locked: nobody has ended or cleared them meanwhile.
///
/// # Errors
/// As any statement.
pub async fn still_held(tx: &Tx, ids: &[Uuid], job_id: i64) -> Result<Vec<Uuid>, StoreError> {
    let sql = tx
        .sql(
            "SELECT id FROM task_instance WHERE id IN (?) AND queued_by_job_id = ? \
             AND state IN ('queued', 'running', 'restarting')",
        )
        .push(tx.dialect().pg(" FOR NO KEY UPDATE"))
        .bind_list(ids.iter().copied())
        .bind(job_id);
    tx.all(sql).await?.iter().map(|row| row.uuid("id")).collect()
}

/// Gives up the current try of these task instances: it goes to the history, and the scheduler starts afresh.
///
/// # Errors
/// As any statement.
pub async fn reset(tx: &Tx, ids: &[Uuid], now: DateTime<Utc>) -> Result<u64, StoreError> {
    if ids.is_empty() {
        return Ok(0);
    }
    let renamed = history::prepare_db_for_next_try(tx, ids, now).await?;
    let sql = tx
        .sql(
            "UPDATE task_instance SET state = NULL, queued_by_job_id = NULL, external_executor_id = NULL, \
             next_method = NULL, next_kwargs = NULL, updated_at = ? WHERE id IN (?)",
        )
        .bind(now)
        .bind_list(renamed.iter().map(|(_, new)| *new));
    tx.exec(sql).await
}

/// Takes these task instances over.
///
/// # Errors
/// As any statement.
pub async fn adopt<C: Conn>(
    tx: &C,
    ids: &[Uuid],
    job_id: i64,
    now: DateTime<Utc>,
) -> Result<u64, StoreError> {
    if ids.is_empty() {
        return Ok(0);
    }
    // What Airflow 2 left behind has neither a heartbeat nor, possibly, a conf.
    let empty = tx.dialect().pick("'{}'::jsonb", "'{}'");
    let sql = tx
        .sql(&format!(
            "UPDATE dag_run SET conf = {empty}, updated_at = ? WHERE conf IS NULL AND EXISTS (SELECT 1 \
             FROM task_instance ti WHERE ti.dag_id = dag_run.dag_id AND ti.run_id = dag_run.run_id AND ti.id IN (?))"
        ))
        .bind(now)
        .bind_list(ids.iter().copied());
    tx.exec(sql).await?;
    let sql = tx
        .sql(
            "UPDATE task_instance SET queued_by_job_id = ?, last_heartbeat_at = coalesce(last_heartbeat_at, ?), \
             updated_at = ? WHERE id IN (?)",
        )
        .bind(job_id)
        .bind(now)
        .bind(now)
        .bind_list(ids.iter().copied());
    tx.exec(sql).await
}
