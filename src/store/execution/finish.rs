//! `PATCH /task-instances/{id}/state` with a final state other than success.

use chrono::{DateTime, Utc};
use slipstream_core::state::TaskState;
use uuid::Uuid;

use super::duration::duration_until;
use super::error::ExecutionError;
use super::locked::LockedTi;
use super::{Reported, fail_fast, transact};
use crate::store::audit_log;
use crate::store::db::{Conn, Db, Tx};
use crate::store::error::StoreError;
use crate::store::sql::Param;

/// A final state that a task reports by itself (`TerminalStateNonSuccess`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FinishState {
    /// It failed, and there is no other try.
    Failed,
    /// It skipped itself.
    Skipped,
    /// It is no longer in the Dag.
    Removed,
    /// Something before it failed.
    UpstreamFailed,
}

impl From<FinishState> for TaskState {
    fn from(state: FinishState) -> Self {
        match state {
            FinishState::Failed => Self::Failed,
            FinishState::Skipped => Self::Skipped,
            FinishState::Removed => Self::Removed,
            FinishState::UpstreamFailed => Self::UpstreamFailed,
        }
    }
}

/// The end of a task instance.
#[derive(Clone, Debug)]
pub struct Finish {
    /// Its final state.
    pub state: FinishState,
    /// When it ended.
    pub end_date: DateTime<Utc>,
    /// The label that the task gave to its copy; without one the column is emptied, as the API does.
    pub rendered_map_index: Option<String>,
}

/// Writes the end of a task instance. A failure in a Dag with `fail_fast` stops the run's other tasks.
///
/// # Errors
/// 404 without the row, 409 when the task instance does not run; as any statement.
pub async fn finish(db: &Db, id: Uuid, report: &Finish) -> Result<Reported, ExecutionError> {
    transact!(db, "finish", |tx| {
        let ti = LockedTi::lock(tx, id).await?;
        let state = TaskState::from(report.state);
        if !ti.admits(state)? {
            return Ok(Reported::Already);
        }
        if state == TaskState::Failed {
            fail_fast::stop_remaining_tasks(tx, &ti).await?;
        }
        let end = End {
            state,
            end_date: report.end_date,
            rendered_map_index: report.rendered_map_index.as_deref(),
            resume: Resume::Clear,
        };
        write_end(tx, &ti, &end).await?;
        Ok(Reported::Written)
    })
}

/// What becomes of `next_method` and `next_kwargs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Resume {
    /// They are emptied: SQL `NULL` and JSON `null`.
    Clear,
    /// They stay.
    Keep,
}

/// The end of a try as it goes into the row.
#[derive(Clone, Copy, Debug)]
pub(super) struct End<'a> {
    pub(super) state: TaskState,
    pub(super) end_date: DateTime<Utc>,
    pub(super) rendered_map_index: Option<&'a str>,
    pub(super) resume: Resume,
}

/// Writes the end of a try and the audit log's row about it.
pub(super) async fn write_end(tx: &Tx, ti: &LockedTi, end: &End<'_>) -> Result<(), StoreError> {
    let now = Utc::now();
    let sql = tx
        .sql(&format!(
            "UPDATE task_instance SET state = ?, end_date = ?, duration = {}, rendered_map_index = ?, updated_at = ?",
            duration_until(tx.dialect())
        ))
        .bind(end.state)
        .bind(end.end_date)
        .bind(end.end_date)
        .bind(end.rendered_map_index)
        .bind(now);
    let sql = match end.resume {
        Resume::Clear => {
            sql.push(", next_method = NULL, next_kwargs = ?").bind(Param::Json(Some(serde_json::Value::Null)))
        }
        Resume::Keep => sql,
    };
    tx.exec(sql.push(" WHERE id = ?").bind(ti.id)).await?;
    audit_log::write(tx, now, &[ti.log_entry(end.state, ti.hostname.as_deref())]).await
}
