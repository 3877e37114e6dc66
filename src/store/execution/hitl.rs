//! A person in the loop: `PATCH /task-instances/{id}/state` with `awaiting_input`, and `/hitlDetails/{id}`
//! (`airflow/api_fastapi/execution_api/routes/hitl.py`).

use chrono::{TimeDelta, Utc};
use serde_json::{Map, Value as Json, json};
use slipstream_core::state::TaskState;
use uuid::Uuid;

use super::Reported;
use super::error::{ExecutionError, transact};
use super::locked::LockedTi;
use crate::store::db::{Conn, Db, Tx};
use crate::store::error::StoreError;
use crate::store::row::Row;
use crate::store::sql::Param;
use crate::store::{audit_log, encoding};

/// What is asked of a person (`HITLDetailRequest`).
#[derive(Clone, Debug)]
pub struct HitlRequest {
    /// The choices.
    pub options: Json,
    /// The question.
    pub subject: String,
    /// More about it.
    pub body: Option<String>,
    /// What is chosen when nobody answers in time.
    pub defaults: Json,
    /// Whether more than one choice may be taken.
    pub multiple: Option<bool>,
    /// What is to be filled in besides.
    pub params: Json,
    /// Who may answer.
    pub assigned_users: Json,
}

/// Stores the question of a task instance. One that is there stays; an answer to it from an earlier try is removed.
/// Returns the stored question.
///
/// # Errors
/// As any statement.
pub async fn put_request(db: &Db, id: Uuid, request: &HitlRequest) -> Result<HitlRequest, ExecutionError> {
    transact!(db, "question", |tx| {
        let sql = tx.sql("SELECT * FROM hitl_detail WHERE ti_id = ?").bind(id);
        match tx.one(sql).await? {
            None => insert(tx, id, request).await?,
            Some(row) if row.time_opt("responded_at")?.is_some() => forget_answer(tx, id).await?,
            Some(_) => {}
        }
        let sql = tx.sql("SELECT * FROM hitl_detail WHERE ti_id = ?").bind(id);
        match tx.one(sql).await? {
            Some(row) => Ok(read(&row)?),
            None => Err(StoreError::NotFound("the new question".to_owned()).into()),
        }
    })
}

async fn insert(tx: &Tx, id: Uuid, request: &HitlRequest) -> Result<(), StoreError> {
    let or_empty = |json: &Json, empty: Json| if json.is_null() { empty } else { json.clone() };
    let sql = tx
        .sql(
            "INSERT INTO hitl_detail (ti_id, options, subject, body, defaults, multiple, params, assignees, created_at, \
             params_input) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(id)
        .bind(&request.options)
        .bind(request.subject.as_str())
        .bind(request.body.as_deref())
        .bind(&request.defaults)
        .bind(request.multiple)
        .bind(or_empty(&request.params, json!({})))
        .bind(or_empty(&request.assigned_users, json!([])))
        .bind(Utc::now())
        .bind(json!({}));
    tx.exec(sql).await?;
    Ok(())
}

async fn forget_answer(tx: &Tx, id: Uuid) -> Result<(), StoreError> {
    let sql = tx
        .sql(
            "UPDATE hitl_detail SET responded_by = ?, responded_at = NULL, chosen_options = ?, params_input = ? \
             WHERE ti_id = ?",
        )
        .bind(Param::Json(Some(Json::Null)))
        .bind(Param::Json(Some(Json::Null)))
        .bind(json!({}))
        .bind(id);
    tx.exec(sql).await?;
    Ok(())
}

fn read(row: &Row) -> Result<HitlRequest, StoreError> {
    Ok(HitlRequest {
        options: row.json("options")?,
        subject: row.text("subject")?,
        body: row.text_opt("body")?,
        defaults: row.json("defaults")?,
        multiple: Some(row.bool("multiple")?),
        params: row.json("params")?,
        assigned_users: row.json("assignees")?,
    })
}

/// A wait for a person's answer.
#[derive(Clone, Debug)]
pub struct AwaitInput {
    /// How long to wait at most.
    pub timeout: Option<TimeDelta>,
    /// The method to go on with.
    pub next_method: String,
    /// Its arguments, encoded by the SDK.
    pub next_kwargs: Json,
}

/// Lets the task instance wait for the answer. If it is there already, the task instance is scheduled again with it.
///
/// # Errors
/// 404 without the row, 409 when the task instance does not run; as any statement.
pub async fn await_input(db: &Db, id: Uuid, wait: &AwaitInput) -> Result<Reported, ExecutionError> {
    transact!(db, "await input", |tx| {
        let ti = LockedTi::lock(tx, id).await?;
        if !ti.admits(TaskState::AwaitingInput)? {
            return Ok(Reported::Already);
        }
        let sql =
            tx.sql("SELECT * FROM hitl_detail WHERE ti_id = ?").push(tx.dialect().pg(" FOR UPDATE")).bind(id);
        let state = match tx.one(sql).await? {
            Some(row) if row.time_opt("responded_at")?.is_some() => resume(tx, id, wait, &row).await?,
            _ => park(tx, id, wait).await?,
        };
        audit_log::write(tx, Utc::now(), &[ti.log_entry(state, ti.hostname.as_deref())]).await?;
        Ok(Reported::Written)
    })
}

async fn park(tx: &Tx, id: Uuid, wait: &AwaitInput) -> Result<TaskState, StoreError> {
    let now = Utc::now();
    let sql = tx
        .sql(
            "UPDATE task_instance SET state = 'awaiting_input', trigger_id = NULL, next_method = ?, next_kwargs = ?, \
             trigger_timeout = ?, updated_at = ? WHERE id = ?",
        )
        .bind(wait.next_method.as_str())
        .bind(&wait.next_kwargs)
        .bind(wait.timeout.map(|timeout| now + timeout))
        .bind(now)
        .bind(id);
    tx.exec(sql).await?;
    Ok(TaskState::AwaitingInput)
}

/// `handle_event_submit` with the answer as the event.
async fn resume(tx: &Tx, id: Uuid, wait: &AwaitInput, answer: &Row) -> Result<TaskState, StoreError> {
    let now = Utc::now();
    let or_empty = |json: Json, empty: Json| if json.is_null() { empty } else { json };
    let responded_by = match answer.json("responded_by")? {
        Json::Object(user) => json!({"id": user.get("id"), "name": user.get("name")}),
        _ => Json::Null,
    };
    let event = json!({
        "chosen_options": or_empty(answer.json("chosen_options")?, json!([])),
        "params_input": or_empty(answer.json("params_input")?, json!({})),
        "responded_at": encoding::to_serde(&encoding::datetime(answer.time("responded_at")?)),
        "responded_by_user": responded_by,
        "timedout": false,
    });
    let mut kwargs = match &wait.next_kwargs {
        Json::Object(kwargs) => kwargs.clone(),
        _ => Map::new(),
    };
    kwargs.insert("event".to_owned(), event);
    let sql = tx
        .sql(
            "UPDATE task_instance SET state = 'scheduled', trigger_id = NULL, next_method = ?, next_kwargs = ?, \
             scheduled_dttm = ?, updated_at = ? WHERE id = ?",
        )
        .bind(wait.next_method.as_str())
        .bind(Json::Object(kwargs))
        .bind(now)
        .bind(now)
        .bind(id);
    tx.exec(sql).await?;
    Ok(TaskState::Scheduled)
}
