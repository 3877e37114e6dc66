//! A dag run as the public REST API describes it (`DAGRunResponse`), which callbacks of deadlines get as context.

use serde_json::{Value, json};

use super::super::db::Conn;
use super::super::encoding::pydantic_time;
use super::super::error::StoreError;
use super::super::row::Row;

/// The response for one dag run; `None` if it is gone.
pub(super) async fn dag_run_response<C: Conn>(tx: &C, id: i64) -> Result<Option<Value>, StoreError> {
    let sql = tx
        .sql(
            "SELECT dr.*, coalesce(dag.dag_display_name, dr.dag_id) AS display_name, note.content AS note \
             FROM dag_run dr LEFT JOIN dag ON dag.dag_id = dr.dag_id \
             LEFT JOIN dag_run_note note ON note.dag_run_id = dr.id WHERE dr.id = ?",
        )
        .bind(id);
    let Some(row) = tx.one(sql).await? else { return Ok(None) };
    let versions = dag_versions(tx, &row).await?;
    let time = |column: &str| -> Result<Value, StoreError> {
        Ok(row.time_opt(column)?.map_or(Value::Null, pydantic_time))
    };
    let duration = match (row.time_opt("start_date")?, row.time_opt("end_date")?) {
        (Some(start), Some(end)) => json!((end - start).num_microseconds().unwrap_or(0) as f64 / 1e6),
        _ => Value::Null,
    };
    Ok(Some(json!({
        "dag_run_id": row.text("run_id")?,
        "dag_id": row.text("dag_id")?,
        "logical_date": time("logical_date")?,
        "queued_at": time("queued_at")?,
        "start_date": time("start_date")?,
        "end_date": time("end_date")?,
        "duration": duration,
        "data_interval_start": time("data_interval_start")?,
        "data_interval_end": time("data_interval_end")?,
        "run_after": time("run_after")?,
        "last_scheduling_decision": time("last_scheduling_decision")?,
        "run_type": row.text("run_type")?,
        "state": row.text_opt("state")?,
        "triggered_by": row.text_opt("triggered_by")?.map(|name| name.to_lowercase()),
        "triggering_user_name": row.text_opt("triggering_user_name")?,
        "conf": row.json("conf")?,
        "note": row.text_opt("note")?,
        "dag_versions": versions,
        "bundle_version": row.text_opt("bundle_version")?,
        "dag_display_name": row.text("display_name")?,
        "partition_key": row.text_opt("partition_key")?,
        "partition_date": time("partition_date")?,
    })))
}

/// The Dag versions of a run: the one that it is pinned to, or those of its task instances and of their earlier tries.
async fn dag_versions<C: Conn>(tx: &C, run: &Row) -> Result<Vec<Value>, StoreError> {
    const SELECT: &str = "SELECT dv.id, dv.version_number, dv.dag_id, dv.bundle_name, dv.bundle_version, dv.created_at, \
         coalesce(dag.dag_display_name, dv.dag_id) AS display_name FROM dag_version dv \
         JOIN dag ON dag.dag_id = dv.dag_id WHERE dv.id ";
    let sql = if run.text_opt("bundle_version")?.is_some() {
        tx.sql(SELECT).push("= ?").bind(run.uuid_opt("created_dag_version_id")?)
    } else {
        let (dag_id, run_id) = (run.text("dag_id")?, run.text("run_id")?);
        tx.sql(SELECT)
            .push(
                "IN (SELECT dag_version_id FROM task_instance WHERE dag_id = ? AND run_id = ? UNION \
                 SELECT dag_version_id FROM task_instance_history WHERE dag_id = ? AND run_id = ?) ORDER BY dv.id",
            )
            .bind(&dag_id)
            .bind(&run_id)
            .bind(&dag_id)
            .bind(&run_id)
    };
    let rows = tx.all(sql).await?;
    rows.iter()
        .map(|row| {
            Ok(json!({
                "id": row.uuid("id")?.to_string(),
                "version_number": row.int("version_number")?,
                "dag_id": row.text("dag_id")?,
                "bundle_name": row.text_opt("bundle_name")?,
                "bundle_version": row.text_opt("bundle_version")?,
                "created_at": pydantic_time(row.time("created_at")?),
                "dag_display_name": row.text("display_name")?,
                "bundle_url": null,
            }))
        })
        .collect()
}
