//! Task instances that wait for a person's answer and got none in time
//! (`SchedulerJobRunner.check_awaiting_input_timeouts`).

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::super::db::{Conn, Tx};
use super::super::encoding;
use super::super::error::StoreError;
use super::super::row::Row;

/// Task instances per transaction, so that answers that come meanwhile do not wait long.
const PAGE: i64 = 100;

/// How waits ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimeoutCounts {
    /// Ended with an answer, or with the defaults.
    pub resolved: u64,
    /// Ended without; the task will fail with a timeout.
    pub failed: u64,
    /// Whose stored arguments cannot be understood; the task will fail.
    pub unresumable: u64,
}

/// Ends waits whose time is over: with the answer if one came just before, with the defaults if there are any, else with
/// a timeout.
///
/// # Errors
/// As any statement.
pub async fn time_out(tx: &Tx, now: DateTime<Utc>) -> Result<TimeoutCounts, StoreError> {
    let sql = tx
        .sql(
            "SELECT ti.id, ti.next_kwargs, hitl.ti_id AS asked, hitl.responded_at, hitl.defaults, hitl.params, \
             hitl.chosen_options, hitl.params_input, hitl.responded_by FROM task_instance ti \
             LEFT JOIN hitl_detail hitl ON hitl.ti_id = ti.id \
             WHERE ti.state = 'awaiting_input' AND ti.trigger_timeout < ? LIMIT ?",
        )
        .push(tx.dialect().pg(" FOR NO KEY UPDATE OF ti SKIP LOCKED"))
        .bind(now)
        .bind(PAGE);
    let mut counts = TimeoutCounts::default();
    for row in tx.all(sql).await? {
        let id = row.uuid("id")?;
        let (event, answered) = event(tx, &row, id, now).await?;
        if !resume(tx, id, &row.json("next_kwargs")?, event, now).await? {
            counts.unresumable += 1;
        } else if answered {
            counts.resolved += 1;
        } else {
            counts.failed += 1;
        }
    }
    Ok(counts)
}

/// The event that the task resumes with, and whether it is an answer.
async fn event(tx: &Tx, row: &Row, id: Uuid, now: DateTime<Utc>) -> Result<(Value, bool), StoreError> {
    if row.uuid_opt("asked")?.is_some() {
        if let Some(at) = row.time_opt("responded_at")? {
            let (chosen, input) = (row.json("chosen_options")?, row.json("params_input")?);
            return Ok((answer(chosen, input, at, &row.json("responded_by")?, TimedOut::No), true));
        }
        let defaults = row.json("defaults")?;
        if !defaults.is_null() {
            let input = default_input(&row.json("params")?);
            let sql = tx
                .sql(
                    "UPDATE hitl_detail SET chosen_options = ?, params_input = ?, responded_by = NULL, \
                     responded_at = ? WHERE ti_id = ?",
                )
                .bind(&defaults)
                .bind(&input)
                .bind(now)
                .bind(id);
            tx.exec(sql).await?;
            return Ok((answer(defaults, input, now, &Value::Null, TimedOut::Yes), true));
        }
    }
    let error = json!({
        "error": "The Human-in-the-loop response timeout has passed without a response.",
        "error_type": "timeout",
    });
    Ok((error, false))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum TimedOut {
    Yes,
    No,
}

/// An answer as the operator gets it, in serde's form.
fn answer(chosen: Value, input: Value, at: DateTime<Utc>, by: &Value, timed_out: TimedOut) -> Value {
    let user = match by {
        Value::Object(user) => json!({"id": user.get("id"), "name": user.get("name")}),
        _ => Value::Null,
    };
    json!({
        "chosen_options": if chosen.is_null() { json!([]) } else { chosen },
        "params_input": if input.is_null() { json!({}) } else { input },
        "responded_at": encoding::serde_datetime(at),
        "responded_by_user": user,
        "timedout": timed_out == TimedOut::Yes,
    })
}

/// The values of the request's params.
fn default_input(params: &Value) -> Value {
    let Some(params) = params.as_object() else { return json!({}) };
    let value = |param: &Value| param.get("value").unwrap_or(param).clone();
    params.iter().map(|(name, param)| (name.clone(), value(param))).collect::<Map<_, _>>().into()
}

/// Puts the event to the task's arguments and hands the task instance back to the scheduler (`handle_event_submit`).
/// Returns whether the stored arguments could be understood; if not, the task will fail.
async fn resume(
    tx: &Tx,
    id: Uuid,
    stored: &Value,
    event: Value,
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let kwargs = match encoding::to_serde(stored) {
        Value::Null => Some(Map::new()),
        Value::Object(map) => Some(map),
        _ => None,
    };
    let Some(mut kwargs) = kwargs else {
        let error =
            json!({"error": "Could not resume the task: its stored next_kwargs could not be decoded"});
        let sql = tx
            .sql(
                "UPDATE task_instance SET state = 'scheduled', next_method = '__fail__', next_kwargs = ?, \
                 scheduled_dttm = ?, trigger_id = NULL, updated_at = ? WHERE id = ?",
            )
            .bind(error)
            .bind(now)
            .bind(now)
            .bind(id);
        tx.exec(sql).await?;
        return Ok(false);
    };
    kwargs.insert("event".to_owned(), event);
    let sql = tx
        .sql(
            "UPDATE task_instance SET state = 'scheduled', next_kwargs = ?, scheduled_dttm = ?, trigger_id = NULL, \
             updated_at = ? WHERE id = ?",
        )
        .bind(Value::Object(kwargs))
        .bind(now)
        .bind(now)
        .bind(id);
    tx.exec(sql).await?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_of_params_are_their_values() {
        let params = json!({"a": {"value": 1, "schema": {}}, "b": 2});
        assert_eq!(default_input(&params), json!({"a": 1, "b": 2}));
        assert_eq!(default_input(&Value::Null), json!({}));
    }
}
