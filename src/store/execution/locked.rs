//! The task instance that a request is about, locked.

use chrono::{DateTime, Utc};
use serde_json::Value as Json;
use slipstream_core::ids::{DagId, MapIndex, RunId, TaskId};
use slipstream_core::state::TaskState;
use uuid::Uuid;

use super::error::{ExecutionError, Refusal};
use crate::store::audit_log::{LogEntry, host_extra};
use crate::store::db::{Conn, Tx};

/// A locked row of `task_instance` with what belongs to it.
#[derive(Clone, Debug)]
pub(super) struct LockedTi {
    pub(super) id: Uuid,
    pub(super) dag_id: DagId,
    pub(super) task_id: TaskId,
    pub(super) run_id: RunId,
    pub(super) map_index: MapIndex,
    pub(super) state: Option<TaskState>,
    pub(super) try_number: i32,
    pub(super) max_tries: i32,
    pub(super) start_date: Option<DateTime<Utc>>,
    pub(super) hostname: Option<String>,
    pub(super) unixname: Option<String>,
    pub(super) pid: Option<i64>,
    pub(super) next_method: Option<String>,
    pub(super) next_kwargs: Json,
    pub(super) logical_date: Option<DateTime<Utc>>,
    pub(super) owners: Option<String>,
}

impl LockedTi {
    /// Locks the row. A row whose run or Dag is missing counts as missing, as in the API.
    pub(super) async fn lock(tx: &Tx, id: Uuid) -> Result<Self, ExecutionError> {
        let sql = tx
            .sql(
                "SELECT ti.dag_id, ti.task_id, ti.run_id, ti.map_index, ti.state, ti.try_number, ti.max_tries, \
                 ti.start_date, ti.hostname, ti.unixname, ti.pid, ti.next_method, ti.next_kwargs, dr.logical_date, d.owners \
                 FROM task_instance ti \
                 JOIN dag_run dr ON ti.dag_id = dr.dag_id AND ti.run_id = dr.run_id \
                 JOIN dag d ON ti.dag_id = d.dag_id WHERE ti.id = ?",
            )
            .push(tx.dialect().pg(" FOR UPDATE OF ti"))
            .bind(id);
        let Some(row) = tx.one(sql).await? else { return Err(Refusal::no_task_instance().into()) };
        Ok(Self {
            id,
            dag_id: row.id("dag_id")?,
            task_id: row.id("task_id")?,
            run_id: row.id("run_id")?,
            map_index: MapIndex(row.int32("map_index")?),
            state: row.state_opt("state")?,
            try_number: row.int32("try_number")?,
            max_tries: row.int32("max_tries")?,
            start_date: row.time_opt("start_date")?,
            hostname: row.text_opt("hostname")?,
            unixname: row.text_opt("unixname")?,
            pid: row.int_opt("pid")?,
            next_method: row.text_opt("next_method")?.filter(|method| !method.is_empty()),
            next_kwargs: row.json("next_kwargs")?,
            logical_date: row.time_opt("logical_date")?,
            owners: row.text_opt("owners")?,
        })
    }

    /// The row of the audit log that says which state it was brought to, on which host.
    pub(super) fn log_entry(&self, event: TaskState, hostname: Option<&str>) -> LogEntry {
        LogEntry {
            event: event.as_str().to_owned(),
            dag_id: self.dag_id.clone(),
            task_id: Some(self.task_id.clone()),
            run_id: Some(self.run_id.clone()),
            map_index: Some(self.map_index),
            try_number: Some(self.try_number),
            logical_date: self.logical_date,
            owner: self.owners.clone(),
            owner_display_name: None,
            extra: host_extra(hostname),
        }
    }

    /// Whether the task may be brought to `wanted` now: `Ok(true)` if so, `Ok(false)` if it is there already.
    pub(super) fn admits(&self, wanted: TaskState) -> Result<bool, Refusal> {
        match self.state {
            Some(state) if state == wanted => Ok(false),
            Some(TaskState::Running) => Ok(true),
            other => Err(Refusal::new(
                409,
                "invalid_state",
                "TI was not in the running state so it cannot be updated",
            )
            .with("previous_state", other.map(TaskState::as_str))),
        }
    }
}
