//! Running runs of paused Dags (`SchedulerJobRunner._update_dag_run_state_for_paused_dags`).

use super::super::db::Conn;
use super::super::error::StoreError;

/// Running runs of paused Dags one of whose task instances changed since the run was last examined: they may have ended.
/// Returns their `dag_run.id`s.
///
/// # Errors
/// As any statement.
pub async fn changed_runs<C: Conn>(conn: &C) -> Result<Vec<i64>, StoreError> {
    let sql = conn.sql(
        "SELECT dr.id FROM dag_run dr JOIN dag ON dag.dag_id = dr.dag_id \
         JOIN task_instance ti ON ti.dag_id = dr.dag_id AND ti.run_id = dr.run_id \
         WHERE dag.is_paused = true AND dr.state = 'running' \
         GROUP BY dr.id, dr.last_scheduling_decision HAVING dr.last_scheduling_decision <= max(ti.updated_at)",
    );
    conn.all(sql).await?.iter().map(|row| row.int("id")).collect()
}
