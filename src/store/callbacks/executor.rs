//! Callbacks that run on an executor, made by deadlines (`SchedulerJobRunner._enqueue_executor_callbacks`).

use serde_json::Value;
use uuid::Uuid;

use slipstream_core::ids::{DagId, RunId};

use super::super::db::Conn;
use super::super::encoding::plain;
use super::super::error::StoreError;

/// A callback that waits for an executor.
#[derive(Clone, Debug)]
pub struct ExecutorCallback {
    /// `callback.id`.
    pub id: Uuid,
    /// `callback.data` in plain JSON: `path`, `kwargs`, `dag_run_id`, `deadline_id`, …
    pub data: Value,
    /// How the function is found: `import_path` or `dag_attribute`.
    pub fetch_method: String,
    /// `callback.bundle_name`.
    pub bundle_name: Option<String>,
    /// The Dag of the run that it is about.
    pub dag_id: DagId,
    /// The run that it is about.
    pub run_id: RunId,
    /// `dag_run.bundle_version`.
    pub bundle_version: Option<String>,
    /// `dag.relative_fileloc`.
    pub relative_fileloc: Option<String>,
    /// The Dag's team.
    pub team: Option<String>,
}

impl ExecutorCallback {
    /// The executor that the callback asks for; `None` for the default one.
    pub fn executor(&self) -> Option<&str> {
        self.data.get("executor").and_then(Value::as_str)
    }
}

/// Pending callbacks for executors, most urgent first. A callback whose run is gone is left as it is, with a warning.
///
/// The rows are locked, so that two schedulers do not run one callback twice (stock Airflow can).
///
/// # Errors
/// As any statement.
pub async fn pending_for_executors<C: Conn>(tx: &C, limit: i64) -> Result<Vec<ExecutorCallback>, StoreError> {
    let sql = tx
        .sql(
            "SELECT id, data, fetch_method, bundle_name FROM callback WHERE type = 'executor' AND state = 'pending' \
             ORDER BY priority_weight DESC LIMIT ?",
        )
        .push(tx.dialect().pg(" FOR UPDATE OF callback SKIP LOCKED"))
        .bind(limit);
    let mut found = Vec::new();
    for row in tx.all(sql).await? {
        let id = row.uuid("id")?;
        let data = plain(&row.json("data")?);
        let run = match &data["dag_run_id"] {
            Value::String(text) => text.parse::<i64>().ok(),
            Value::Number(number) => number.as_i64(),
            _ => None,
        };
        let Some(run) = run else {
            tracing::error!(callback = %id, "the callback is left pending: it does not say which dag run it is about");
            continue;
        };
        let sql = tx
            .sql(
                "SELECT dr.dag_id, dr.run_id, dr.bundle_version, dag.bundle_name, dag.relative_fileloc, \
                 (SELECT t.team_name FROM dag_bundle_team t WHERE t.dag_bundle_name = dag.bundle_name) AS team FROM dag_run dr \
                 LEFT JOIN dag ON dag.dag_id = dr.dag_id WHERE dr.id = ?",
            )
            .bind(run);
        let Some(about) = tx.one(sql).await? else {
            tracing::warn!(callback = %id, run, "the callback is left pending: its dag run is gone");
            continue;
        };
        found.push(ExecutorCallback {
            id,
            data,
            fetch_method: row.text("fetch_method")?,
            bundle_name: row.text_opt("bundle_name")?.or(about.text_opt("bundle_name")?),
            dag_id: about.id("dag_id")?,
            run_id: about.id("run_id")?,
            bundle_version: about.text_opt("bundle_version")?,
            relative_fileloc: about.text_opt("relative_fileloc")?,
            team: about.text_opt("team")?,
        });
    }
    Ok(found)
}

/// Records that callbacks were handed to an executor.
///
/// # Errors
/// As any statement.
pub async fn mark_queued<C: Conn>(tx: &C, ids: &[Uuid]) -> Result<u64, StoreError> {
    let sql = tx
        .sql("UPDATE callback SET state = 'queued' WHERE state = 'pending' AND id IN (?)")
        .bind_list(ids.iter().copied());
    tx.exec(sql).await
}

/// Records what an executor reported about a callback: `running`, `success`, or `failed` with its output. A callback that
/// has ended is not changed.
///
/// # Errors
/// As any statement.
pub async fn set_outcome<C: Conn>(
    tx: &C,
    id: Uuid,
    state: &str,
    output: Option<&str>,
) -> Result<u64, StoreError> {
    let sql = tx
        .sql(
            "UPDATE callback SET state = ?, output = coalesce(?, output) \
             WHERE id = ? AND state NOT IN ('success', 'failed')",
        )
        .bind(state)
        .bind(output)
        .bind(id);
    tx.exec(sql).await
}
