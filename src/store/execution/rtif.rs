//! `PUT /task-instances/{id}/rtif` and `PATCH …/rendered-map-index`: what the task's templates became
//! (`airflow/models/renderedtifields.py`).

use chrono::Utc;
use serde_json::{Map, Value as Json};
use slipstream_core::ids::{DagId, MapIndex, RunId, TaskId};
use uuid::Uuid;

use super::error::{ExecutionError, Refusal};
use super::heartbeat::not_in_live_table;
use super::{Options, transact};
use crate::store::db::{Conn, Db, Tx};
use crate::store::error::StoreError;
use crate::store::sql::Param;

/// Stores the rendered fields of a task instance, and forgets those of runs that are too old to keep.
///
/// # Errors
/// 404 without the row, 410 when it was archived meanwhile; as any statement.
pub async fn put_rendered_fields(
    db: &Db,
    id: Uuid,
    fields: &Map<String, Json>,
    options: &Options,
) -> Result<(), ExecutionError> {
    let fields = &Json::Object(fields.clone());
    transact!(db, "rendered fields", |tx| {
        let sql =
            tx.sql("SELECT dag_id, task_id, run_id, map_index FROM task_instance WHERE id = ?").bind(id);
        let Some(row) = tx.one(sql).await? else { return Err(not_in_live_table(tx, id).await?.into()) };
        let (dag_id, task_id): (DagId, TaskId) = (row.id("dag_id")?, row.id("task_id")?);
        let (run_id, map_index): (RunId, _) = (row.id("run_id")?, MapIndex(row.int32("map_index")?));
        let sql = tx
            .sql(
                "INSERT INTO rendered_task_instance_fields (dag_id, task_id, run_id, map_index, rendered_fields, k8s_pod_yaml) \
                 VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (dag_id, task_id, run_id, map_index) \
                 DO UPDATE SET rendered_fields = excluded.rendered_fields, k8s_pod_yaml = excluded.k8s_pod_yaml",
            )
            .bind(&dag_id)
            .bind(&task_id)
            .bind(&run_id)
            .bind(map_index)
            .bind(fields)
            .bind(Param::Json(Some(Json::Null)));
        tx.exec(sql).await?;
        delete_old(tx, (&dag_id, &task_id, &run_id), map_index, options.rendered_fields_runs).await?;
        Ok(())
    })
}

/// Keeps the fields of the latest `keep` runs of the Dag, all copies of a mapped task together; 0 keeps all. The first copy
/// of a run has done it for the others: each would go through the fields of all.
async fn delete_old(
    tx: &Tx,
    (dag_id, task_id, run_id): (&DagId, &TaskId, &RunId),
    map_index: MapIndex,
    keep: i64,
) -> Result<(), StoreError> {
    if keep <= 0 {
        return Ok(());
    }
    let mut sql = tx
        .sql(
            "DELETE FROM rendered_task_instance_fields WHERE dag_id = ? AND task_id = ? AND run_id NOT IN \
             (SELECT run_id FROM dag_run WHERE dag_id = ? ORDER BY run_after DESC LIMIT ?)",
        )
        .bind(dag_id)
        .bind(task_id)
        .bind(dag_id)
        .bind(keep);
    if map_index.is_mapped() {
        sql = sql
            .push(
                " AND NOT EXISTS (SELECT 1 FROM rendered_task_instance_fields other \
                 WHERE other.dag_id = ? AND other.task_id = ? AND other.run_id = ? AND other.map_index <> ?)",
            )
            .bind(dag_id)
            .bind(task_id)
            .bind(run_id)
            .bind(map_index);
    }
    tx.exec(sql).await?;
    Ok(())
}

/// Stores the label of a copy of a mapped task.
///
/// # Errors
/// 422 for an empty label, 404 without the row; as any statement.
pub async fn put_rendered_map_index(db: &Db, id: Uuid, label: &str) -> Result<(), ExecutionError> {
    if label.is_empty() {
        let detail = Json::from("rendered_map_index cannot be empty");
        return Err(Refusal { status: 422, detail }.into());
    }
    let sql = db
        .sql("UPDATE task_instance SET rendered_map_index = ?, updated_at = ? WHERE id = ?")
        .bind(label)
        .bind(Utc::now())
        .bind(id);
    if db.exec(sql).await? == 0 {
        return Err(Refusal { status: 404, detail: Json::from("Task Instance not found") }.into());
    }
    Ok(())
}
