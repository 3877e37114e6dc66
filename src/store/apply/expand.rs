//! Copies of mapped tasks (`airflow/models/taskmap.py`, `TaskMap.expand_mapped_task`).

use std::collections::HashMap;

use slipstream_core::ids::{MapIndex, TaskId};
use slipstream_core::run::{Expansion, TiRef, new_task_instance};
use slipstream_core::state::TaskState;
use uuid::Uuid;

use super::Target;
use crate::store::create_run::new_task_instance as row;
use crate::store::runs::insert_task_instances::{NewTaskInstance, TaskInstanceRun, insert_task_instances};
use crate::store::{Conn, StoreError, Tx};

/// How many rows an expansion wanted to write, and how many it wrote.
#[derive(Clone, Copy, Debug)]
pub(super) struct Done {
    pub(super) wanted: u64,
    pub(super) written: u64,
}

/// What the expansions of one transaction have made so far.
#[derive(Debug, Default)]
pub(super) struct Made {
    /// New rows.
    pub(super) ids: HashMap<(TaskId, MapIndex), Uuid>,
    /// The version of the Dag that a deleted row was of: its copies are of that version too.
    versions: HashMap<TaskId, Uuid>,
}

/// Writes one step of an expansion; new rows are noted in `made`.
pub(super) async fn expand(
    target: &Target<'_>,
    expansion: &Expansion,
    made: &mut Made,
) -> Result<Done, StoreError> {
    match expansion {
        Expansion::Rename { ti, from } => {
            let Some(id) = ti.id else { return Ok(Done { wanted: 1, written: 0 }) };
            made.ids.insert((ti.task_id.clone(), MapIndex(0)), id);
            let text =
                "UPDATE task_instance SET map_index = 0, updated_at = ? WHERE id = ? AND map_index = -1";
            let sql = guard(target.tx.sql(text).bind(target.now).bind(id), *from);
            Ok(Done { wanted: 1, written: target.tx.exec(sql).await? })
        }
        Expansion::Delete { ti, from } => {
            let Some(id) = ti.id else { return Ok(Done { wanted: 1, written: 0 }) };
            let sql = target.tx.sql("SELECT dag_version_id FROM task_instance WHERE id = ?").bind(id);
            if let Some(version) =
                target.tx.one(sql).await?.map(|row| row.uuid_opt("dag_version_id")).transpose()?.flatten()
            {
                made.versions.insert(ti.task_id.clone(), version);
            }
            let text = "DELETE FROM task_instance WHERE id = ? AND map_index = -1";
            let sql = guard(target.tx.sql(text).bind(id), *from);
            Ok(Done { wanted: 1, written: target.tx.exec(sql).await? })
        }
        Expansion::Add { task_id, map_indexes, state } => {
            add(target, task_id, map_indexes, *state, made).await
        }
    }
}

fn guard(sql: crate::store::Sql, from: Option<TaskState>) -> crate::store::Sql {
    match from {
        Some(from) => sql.push(" AND state = ?").bind(from),
        None => sql.push(" AND state IS NULL"),
    }
}

async fn add(
    target: &Target<'_>,
    task_id: &TaskId,
    map_indexes: &[MapIndex],
    state: Option<TaskState>,
    made: &mut Made,
) -> Result<Done, StoreError> {
    let (tx, run) = (target.tx, &target.run.facts);
    let Some(task) = target.dag.task_by_id(task_id.as_str()) else {
        return Err(StoreError::NotFound(format!("task {task_id} in Dag {}", run.dag_id)));
    };
    let of = TaskInstanceRun {
        dag_id: run.dag_id.clone(),
        run_id: run.run_id.clone(),
        dag_version_id: version_of_copies(target, task_id, made).await?,
        context_carrier: target.run.context_carrier.clone(),
    };
    let rows = map_indexes
        .iter()
        .map(|index| NewTaskInstance { task_display_name: None, ..row(new_task_instance(task, *index)) })
        .collect();
    let written = insert_task_instances(tx, &[(of, rows)], target.unixname, target.now).await?;
    let sql = tx
        .sql("SELECT id, map_index FROM task_instance WHERE dag_id = ? AND run_id = ? AND task_id = ? AND map_index >= 0")
        .bind(&run.dag_id)
        .bind(&run.run_id)
        .bind(task_id);
    let mut fresh = Vec::new();
    for row in tx.all(sql).await? {
        let (id, index) = (row.uuid("id")?, MapIndex(row.int32("map_index")?));
        // They ascend.
        if map_indexes.binary_search(&index).is_ok() {
            fresh.push(id);
        }
        made.ids.insert((task_id.clone(), index), id);
    }
    if let Some(state) = state {
        set_state(tx, &fresh, state).await?;
    }
    Ok(Done { wanted: map_indexes.len() as u64, written })
}

/// New copies are of the version of the Dag that the row they come from is of, which may be older than the run's.
async fn version_of_copies(target: &Target<'_>, task_id: &TaskId, made: &Made) -> Result<Uuid, StoreError> {
    if let Some(version) = made.versions.get(task_id) {
        return Ok(*version);
    }
    let sql = target
        .tx
        .sql(
            "SELECT dag_version_id FROM task_instance WHERE dag_id = ? AND run_id = ? AND task_id = ? \
             ORDER BY map_index LIMIT 1",
        )
        .bind(&target.run.facts.dag_id)
        .bind(&target.run.facts.run_id)
        .bind(task_id);
    let row = target.tx.one(sql).await?;
    Ok(row.map(|row| row.uuid_opt("dag_version_id")).transpose()?.flatten().unwrap_or(target.version_id))
}

async fn set_state(tx: &Tx, ids: &[Uuid], state: TaskState) -> Result<(), StoreError> {
    for chunk in ids.chunks(5_000) {
        let sql = tx
            .sql("UPDATE task_instance SET state = ? WHERE id IN (?)")
            .bind(state)
            .bind_list(chunk.iter().copied());
        tx.exec(sql).await?;
    }
    Ok(())
}

/// `TaskInstance.clear_db_references`: foreign keys to the composite key do not follow a new map index.
pub(super) async fn clear_references(target: &Target<'_>, ti: &TiRef, id: Uuid) -> Result<(), StoreError> {
    let (tx, run) = (target.tx, &target.run.facts);
    for table in ["xcom", "rendered_task_instance_fields", "task_map"] {
        let sql = tx
            .sql(&format!(
                "DELETE FROM {table} WHERE dag_id = ? AND task_id = ? AND run_id = ? AND map_index = ?"
            ))
            .bind(&run.dag_id)
            .bind(&ti.task_id)
            .bind(&run.run_id)
            .bind(ti.map_index);
        tx.exec(sql).await?;
    }
    for table in ["task_instance_note", "task_reschedule"] {
        tx.exec(tx.sql(&format!("DELETE FROM {table} WHERE ti_id = ?")).bind(id)).await?;
    }
    Ok(())
}
