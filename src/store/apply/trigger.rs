//! A task whose first step is a trigger: it goes to the triggerer without a worker.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use slipstream_core::dag::{StartTrigger, Task};
use slipstream_core::run::TryNumber;
use slipstream_core::state::TaskState;
use uuid::Uuid;

use super::Target;
use crate::store::encoding;
use crate::store::execution::teams;
use crate::store::{Conn, StoreError};

pub use crate::store::deadlines::Encrypt;

/// Makes the trigger and defers the task instance to it (`TaskInstance.defer_task`). Returns how many rows were written.
pub(super) async fn defer(
    target: &Target<'_>,
    ti: Uuid,
    task: &Task,
    start: &StartTrigger,
    (from, try_number): (Option<TaskState>, TryNumber),
    encrypt: &impl Encrypt,
) -> Result<u64, StoreError> {
    let (tx, now) = (target.tx, target.now);
    let kwargs = encoding::to_serde(&encoding::plain(start.kwargs.as_ref().unwrap_or(&json!({}))));
    let team = teams::of_dag(tx, target.multi_team, &target.run.facts.dag_id).await?;
    let sql = tx
        .sql("INSERT INTO trigger (classpath, kwargs, created_date, team_name) VALUES (?, ?, ?, ?) RETURNING id")
        .bind(&*start.classpath)
        .bind(encrypt.encrypt(&kwargs.to_string()))
        .bind(now)
        .bind(team);
    let row = tx.one(sql).await?.ok_or_else(|| StoreError::NotFound("the new trigger".to_owned()))?;
    let trigger = row.int("id")?;
    let next_kwargs: Value =
        encoding::to_serde(&encoding::plain(start.next_kwargs.as_ref().unwrap_or(&json!({}))));
    let sql = tx
        .sql(
            "UPDATE task_instance SET state = 'deferred', trigger_id = ?, next_method = ?, next_kwargs = ?, start_date = ?, \
             trigger_timeout = ?, updated_at = ?",
        )
        .bind(trigger)
        .bind(&*start.next_method)
        .bind(next_kwargs)
        .bind(now)
        .bind(timeout(task, start, now))
        .bind(now)
        .push_if(try_number == TryNumber::Increment, ", try_number = try_number + 1")
        .push(" WHERE id = ?")
        .bind(ti);
    let sql = match from {
        Some(from) => sql.push(" AND state = ?").bind(from),
        None => sql.push(" AND state IS NULL"),
    };
    let written = tx.exec(sql).await?;
    if written == 0 {
        tx.exec(tx.sql("DELETE FROM trigger WHERE id = ?").bind(trigger)).await?;
    }
    Ok(written)
}

/// The trigger's own limit, and the task's if that is earlier.
fn timeout(task: &Task, start: &StartTrigger, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let limits = [start.timeout, task.execution_timeout];
    limits.into_iter().flatten().filter_map(|limit| now.checked_add_signed(limit)).min()
}
