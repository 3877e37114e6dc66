//! Teams: a Dag belongs to the team of its bundle (`airflow/api_fastapi/execution_api/security.py`).

use slipstream_core::ids::DagId;
use uuid::Uuid;

use super::MultiTeam;
use crate::store::db::Conn;
use crate::store::error::StoreError;

/// The Dag's team; none without `[core] multi_team`.
pub(crate) async fn of_dag(
    conn: &impl Conn,
    multi_team: MultiTeam,
    dag_id: &DagId,
) -> Result<Option<String>, StoreError> {
    if multi_team == MultiTeam::Off {
        return Ok(None);
    }
    let sql = conn
        .sql(
            "SELECT t.team_name FROM dag d JOIN dag_bundle_team t ON t.dag_bundle_name = d.bundle_name WHERE d.dag_id = ?",
        )
        .bind(dag_id);
    conn.one(sql).await?.map(|row| row.text("team_name")).transpose()
}

/// The team of a task instance's Dag; none without `[core] multi_team`.
pub(crate) async fn of_task_instance(
    conn: &impl Conn,
    multi_team: MultiTeam,
    ti_id: Uuid,
) -> Result<Option<String>, StoreError> {
    if multi_team == MultiTeam::Off {
        return Ok(None);
    }
    let sql = conn.sql("SELECT dag_id FROM task_instance WHERE id = ?").bind(ti_id);
    match conn.one(sql).await? {
        Some(row) => of_dag(conn, multi_team, &row.id("dag_id")?).await,
        None => Ok(None),
    }
}
