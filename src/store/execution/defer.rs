//! `PATCH /task-instances/{id}/state` with `deferred`: the task waits for a trigger.

use chrono::{TimeDelta, Utc};
use serde_json::Value as Json;
use slipstream_core::state::TaskState;
use uuid::Uuid;

use super::error::{ExecutionError, transact};
use super::locked::LockedTi;
use super::{MultiTeam, Reported, python_json, teams};
use crate::store::audit_log;
use crate::store::db::{Conn, Db, Tx};
use crate::store::error::StoreError;

/// A deferral.
#[derive(Clone, Debug)]
pub struct Deferral {
    /// The trigger's class.
    pub classpath: String,
    /// Its arguments: encoded by the SDK, or a text that is encrypted already.
    pub trigger_kwargs: Json,
    /// How long to wait at most.
    pub trigger_timeout: Option<TimeDelta>,
    /// The triggerers that may run it.
    pub queue: Option<String>,
    /// The method to go on with.
    pub next_method: String,
    /// Its arguments, encoded by the SDK.
    pub next_kwargs: Json,
}

/// Writes the trigger and lets the task instance wait for it.
///
/// # Errors
/// 404 without the row, 409 when the task instance does not run; as any statement.
pub async fn defer(
    db: &Db,
    id: Uuid,
    deferral: &Deferral,
    multi_team: MultiTeam,
) -> Result<Reported, ExecutionError> {
    transact!(db, "defer", |tx| {
        let ti = LockedTi::lock(tx, id).await?;
        if !ti.admits(TaskState::Deferred)? {
            return Ok(Reported::Already);
        }
        let now = Utc::now();
        let team = teams::of_dag(tx, multi_team, &ti.dag_id).await?;
        let trigger = insert_trigger(tx, deferral, team).await?;
        let sql = tx
            .sql(
                "UPDATE task_instance SET state = 'deferred', trigger_id = ?, next_method = ?, next_kwargs = ?, \
                 trigger_timeout = ?, updated_at = ? WHERE id = ?",
            )
            .bind(trigger)
            .bind(deferral.next_method.as_str())
            .bind(&deferral.next_kwargs)
            .bind(deferral.trigger_timeout.map(|timeout| now + timeout))
            .bind(now)
            .bind(id);
        tx.exec(sql).await?;
        audit_log::write(tx, now, &[ti.log_entry(TaskState::Deferred, ti.hostname.as_deref())]).await?;
        Ok(Reported::Written)
    })
}

async fn insert_trigger(tx: &Tx, deferral: &Deferral, team: Option<String>) -> Result<i64, StoreError> {
    let kwargs = match &deferral.trigger_kwargs {
        Json::String(encrypted) => encrypted.clone(),
        Json::Null => "{}".to_owned(),
        plain => python_json::dumps(plain),
    };
    let sql = tx
        .sql(
            "INSERT INTO trigger (classpath, kwargs, created_date, queue, team_name) VALUES (?, ?, ?, ?, ?) RETURNING id",
        )
        .bind(deferral.classpath.as_str())
        .bind(kwargs)
        .bind(Utc::now())
        .bind(deferral.queue.as_deref())
        .bind(team);
    let row = tx.one(sql).await?;
    row.ok_or_else(|| StoreError::NotFound("the new trigger".to_owned()))?.int("id")
}
