//! Task instances that run and send no heartbeat (`SchedulerJobRunner._find_task_instances_without_heartbeats`).

use chrono::{DateTime, Utc};
use uuid::Uuid;

use slipstream_core::ids::TiKey;
use slipstream_core::state::TaskState;

use super::super::db::Conn;
use super::super::error::StoreError;
use super::orphans::ti_key;

/// A task instance without a heartbeat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Silent {
    /// `task_instance.id`.
    pub id: Uuid,
    /// Its key.
    pub key: TiKey,
    /// `running` or `restarting`.
    pub state: TaskState,
    /// How many tries it may have.
    pub max_tries: i64,
    /// Where it runs.
    pub hostname: Option<String>,
    /// The executor that it names.
    pub executor: Option<String>,
    /// Its Dag's team.
    pub team: Option<String>,
    /// The executor's own name for it.
    pub external_executor_id: Option<String>,
}

/// Task instances of this scheduler whose last heartbeat is before `limit`.
///
/// # Errors
/// As any statement.
pub async fn silent<C: Conn>(conn: &C, job_id: i64, limit: DateTime<Utc>) -> Result<Vec<Silent>, StoreError> {
    let sql = conn
        .sql(
            "SELECT ti.id, ti.dag_id, ti.task_id, ti.run_id, ti.try_number, ti.map_index, ti.state, ti.max_tries, \
             ti.hostname, ti.executor, ti.external_executor_id, \
             (SELECT t.team_name FROM dag_bundle_team t WHERE t.dag_bundle_name = dag.bundle_name) AS team \
             FROM task_instance ti \
             JOIN dag ON dag.dag_id = ti.dag_id WHERE ti.state IN ('running', 'restarting') \
             AND ti.last_heartbeat_at < ? AND ti.queued_by_job_id = ?",
        )
        .bind(limit)
        .bind(job_id);
    conn.all(sql)
        .await?
        .iter()
        .map(|row| {
            Ok(Silent {
                id: row.uuid("id")?,
                key: ti_key(row)?,
                state: row.state("state")?,
                max_tries: row.int("max_tries")?,
                hostname: row.text_opt("hostname")?,
                executor: row.text_opt("executor")?,
                team: row.text_opt("team")?,
                external_executor_id: row.text_opt("external_executor_id")?,
            })
        })
        .collect()
}
