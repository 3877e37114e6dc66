//! Task instances that an executor has had for too long without starting them
//! (`SchedulerJobRunner._handle_tasks_stuck_in_queued`).

use chrono::{DateTime, Utc};
use uuid::Uuid;

use slipstream_core::ids::TiKey;

use super::super::db::Conn;
use super::super::error::StoreError;
use super::super::failure::seconds;
use super::orphans::ti_key;

/// `log.event` of a task instance that is handed to its executor once more.
pub const RESCHEDULE_EVENT: &str = "stuck in queued reschedule";

/// A task instance that is queued for too long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stuck {
    /// `task_instance.id`.
    pub id: Uuid,
    /// Its key.
    pub key: TiKey,
    /// The executor that it names.
    pub executor: Option<String>,
    /// Its Dag's team.
    pub team: Option<String>,
}

/// Task instances that this scheduler queued before `limit` and that are still queued.
///
/// # Errors
/// As any statement.
pub async fn stuck<C: Conn>(conn: &C, job_id: i64, limit: DateTime<Utc>) -> Result<Vec<Stuck>, StoreError> {
    let sql = conn
        .sql(
            "SELECT id, dag_id, task_id, run_id, try_number, map_index, executor, \
             (SELECT t.team_name FROM dag d JOIN dag_bundle_team t ON t.dag_bundle_name = d.bundle_name \
             WHERE d.dag_id = task_instance.dag_id) AS team FROM task_instance \
             WHERE state = 'queued' AND queued_dttm < ? AND queued_by_job_id = ?",
        )
        .bind(limit)
        .bind(job_id);
    conn.all(sql)
        .await?
        .iter()
        .map(|row| {
            Ok(Stuck {
                id: row.uuid("id")?,
                key: ti_key(row)?,
                executor: row.text_opt("executor")?,
                team: row.text_opt("team")?,
            })
        })
        .collect()
}

/// How often this try was handed to its executor again since it last ran.
///
/// # Errors
/// As any statement.
pub async fn times_stuck<C: Conn>(conn: &C, key: &TiKey) -> Result<i64, StoreError> {
    const SAME: &str =
        "l.dag_id = ? AND l.task_id = ? AND l.run_id = ? AND l.map_index = ? AND l.try_number = ?";
    let text = format!(
        "SELECT count(*) AS times FROM log l WHERE {SAME} AND l.event = ? AND NOT EXISTS (SELECT 1 FROM log r \
         WHERE {} AND r.event = 'running' AND r.dttm >= l.dttm)",
        SAME.replace("l.", "r.")
    );
    let bind = |sql: super::super::sql::Sql| {
        sql.bind(&key.dag_id).bind(&key.task_id).bind(&key.run_id).bind(key.map_index).bind(key.try_number)
    };
    let sql = bind(bind(conn.sql(&text)).bind(RESCHEDULE_EVENT));
    Ok(conn.one(sql).await?.map(|row| row.int("times")).transpose()?.unwrap_or(0))
}

/// Takes a task instance back from its executor, to be queued again; the try is the same. Returns whether it was still
/// queued.
///
/// # Errors
/// As any statement.
pub async fn schedule_again<C: Conn>(
    conn: &C,
    stuck: &Stuck,
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let sql = conn
        .sql(
            "UPDATE task_instance SET state = 'scheduled', queued_dttm = NULL, queued_by_job_id = NULL, \
             scheduled_dttm = ?, updated_at = ? WHERE id = ? AND state = 'queued'",
        )
        .bind(now)
        .bind(now)
        .bind(stuck.id);
    Ok(conn.exec(sql).await? > 0)
}

/// Fails a task instance that was stuck too often. Returns whether it was still queued.
///
/// # Errors
/// As any statement.
pub async fn fail<C: Conn>(conn: &C, stuck: &Stuck, now: DateTime<Utc>) -> Result<bool, StoreError> {
    let sql = conn.sql("SELECT start_date, end_date FROM task_instance WHERE id = ?").bind(stuck.id);
    let Some(row) = conn.one(sql).await? else { return Ok(false) };
    let start = row.time_opt("start_date")?.unwrap_or(now);
    let end = row.time_opt("end_date")?.unwrap_or(now);
    let sql = conn
        .sql(
            "UPDATE task_instance SET state = 'failed', start_date = ?, end_date = ?, duration = ?, updated_at = ? \
             WHERE id = ? AND state = 'queued'",
        )
        .bind(start)
        .bind(end)
        .bind(seconds(start, end))
        .bind(now)
        .bind(stuck.id);
    Ok(conn.exec(sql).await? > 0)
}
