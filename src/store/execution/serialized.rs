//! The serialised Dag of a run, as far as requests of tasks need it.

use serde_json::Value as Json;
use slipstream_core::ids::{DagId, RunId};
use uuid::Uuid;

use crate::store::dag_bag;
use crate::store::db::Conn;
use crate::store::error::StoreError;
use crate::store::row::Row;

/// A serialised Dag: the object under `dag`.
#[derive(Clone, Debug)]
pub(super) struct SerializedDag(Json);

/// The Dag that a run belongs to: its own version in a versioned bundle, else the latest
/// (`DBDagBag.get_dag_for_run`).
pub(super) async fn of_run(
    conn: &impl Conn,
    dag_id: &DagId,
    run_id: &RunId,
) -> Result<Option<SerializedDag>, StoreError> {
    let sql = conn
        .sql("SELECT bundle_version, created_dag_version_id FROM dag_run WHERE dag_id = ? AND run_id = ?")
        .bind(dag_id)
        .bind(run_id);
    let Some(run) = conn.one(sql).await? else { return Ok(None) };
    let pinned = run.text_opt("bundle_version")?.filter(|version| !version.is_empty());
    let version: Option<Uuid> = run.uuid_opt("created_dag_version_id")?;
    match (pinned, version) {
        (Some(_), Some(version)) => of_version(conn, version).await,
        _ => latest(conn, dag_id).await,
    }
}

/// The latest version of a Dag.
pub(super) async fn latest(conn: &impl Conn, dag_id: &DagId) -> Result<Option<SerializedDag>, StoreError> {
    let sql = conn
        .sql(
            "SELECT s.data, s.data_compressed FROM serialized_dag s JOIN dag_version v ON v.id = s.dag_version_id \
             WHERE s.dag_id = ? ORDER BY v.created_at DESC LIMIT 1",
        )
        .bind(dag_id);
    conn.one(sql).await?.as_ref().map(read).transpose()
}

async fn of_version(conn: &impl Conn, version: Uuid) -> Result<Option<SerializedDag>, StoreError> {
    let sql =
        conn.sql("SELECT data, data_compressed FROM serialized_dag WHERE dag_version_id = ?").bind(version);
    conn.one(sql).await?.as_ref().map(read).transpose()
}

fn read(row: &Row) -> Result<SerializedDag, StoreError> {
    let Json::Object(mut data) = dag_bag::serialized_data(row)? else {
        return Err(StoreError::Invalid("a serialised Dag is not an object".to_owned()));
    };
    match data.remove("dag") {
        Some(dag) => Ok(SerializedDag(dag)),
        None => Err(StoreError::Invalid("a serialised Dag has no member `dag`".to_owned())),
    }
}

impl SerializedDag {
    /// Its tasks, each as an object of attributes.
    pub(super) fn tasks(&self) -> impl Iterator<Item = &Json> {
        let tasks = self.0.get("tasks").and_then(Json::as_array);
        tasks.into_iter().flatten().map(|task| task.get("__var").unwrap_or(task))
    }

    /// One task.
    pub(super) fn task(&self, task_id: &str) -> Option<&Json> {
        self.tasks().find(|task| task.get("task_id").and_then(Json::as_str) == Some(task_id))
    }

    /// All tasks in a group and in the groups within it; none if there is no such group.
    pub(super) fn tasks_of_group(&self, group_id: &str) -> Option<Vec<String>> {
        let mut ids = Vec::new();
        collect(find_group(self.0.get("task_group")?, group_id)?, &mut ids);
        Some(ids)
    }

    /// A member of the Dag.
    pub(super) fn get(&self, key: &str) -> Option<&Json> {
        self.0.get(key)
    }
}

fn children(group: &Json) -> impl Iterator<Item = (&str, &Json)> {
    let children = group.get("children").and_then(Json::as_object);
    children.into_iter().flatten().filter_map(|(_, child)| Some((child.get(0)?.as_str()?, child.get(1)?)))
}

fn find_group<'a>(group: &'a Json, group_id: &str) -> Option<&'a Json> {
    if group.get("_group_id").and_then(Json::as_str) == Some(group_id) {
        return Some(group);
    }
    children(group)
        .filter(|(kind, _)| *kind == "taskgroup")
        .find_map(|(_, child)| find_group(child, group_id))
}

fn collect(group: &Json, ids: &mut Vec<String>) {
    for (kind, child) in children(group) {
        match child.as_str() {
            Some(task_id) if kind == "operator" => ids.push(task_id.to_owned()),
            _ => collect(child, ids),
        }
    }
}
