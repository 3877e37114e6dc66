//! `/triggers`: what `slipstream triggers` does, over HTTP.
//!
//! | request | what it does |
//! | --- | --- |
//! | `GET /triggers` | lists triggers |
//! | `POST /triggers` | adds one: `{"name", "dag_id", "task_id"?, "spec"}` |
//! | `GET /triggers/NAME` | one trigger |
//! | `DELETE /triggers/NAME` | deletes one that was added from outside |
//! | `POST /triggers/NAME/pause`, `…/resume` | pauses, resumes |
//! | `POST /triggers/NAME/test` | says what it would make of events: `{"positions": [1, 2]}` |
//! | `GET /triggers/explain?event=P`, `?dag_id=D&run_id=R`, `?dag_id=D&task_id=T` | says why |
//!
//! Names are percent-encoded (`#` is `%23`). Triggers act on Dags, so this is for callers who may read, or send, in every
//! namespace.

use std::collections::BTreeSet;

use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use chrono::Utc;
use serde::Deserialize;
use serde_json::{Value, json};
use slipstream_core::event::{Event, Position, TriggerSpec};

use super::error::HttpError;
use super::who::Who;
use crate::events::engine::Asker;
use crate::events::service::Service;
use crate::events::triggers::{self, About, NewExternal, TriggerError};
use crate::store::StoreError;
use crate::store::events as log;
use crate::store::events::tokens::Right;
use crate::store::triggers::registry::{self, TriggerRow};

pub(super) fn routes() -> Router<Service> {
    Router::new()
        .route("/triggers", get(list).post(add))
        .route("/triggers/explain", get(explain))
        .route("/triggers/{name}", get(one).delete(delete))
        .route("/triggers/{name}/pause", post(pause))
        .route("/triggers/{name}/resume", post(resume))
        .route("/triggers/{name}/test", post(test))
}

impl From<TriggerError> for HttpError {
    fn from(error: TriggerError) -> Self {
        match error {
            TriggerError::Store(StoreError::NotFound(what)) => Self::not_found(format!("{what} not found")),
            TriggerError::Store(error) => error.into(),
            other => Self::bad(other.to_string()),
        }
    }
}

fn told(row: &TriggerRow) -> Value {
    json!({
        "name": row.name, "dag_id": row.dag_id, "task_id": row.task_id, "origin": row.origin.as_str(),
        "status": row.status.as_str(), "from_position": row.from_position, "spec": row.spec, "left_out": triggers::left_out(row),
        "created_at": row.created_at, "updated_at": row.updated_at,
    })
}

async fn list(State(service): State<Service>, Who(caller): Who) -> Result<Json<Value>, HttpError> {
    caller.may_everywhere(Right::Read)?;
    let rows = registry::all(&service.db).await?;
    Ok(Json(json!({"triggers": rows.iter().map(told).collect::<Vec<_>>()})))
}

async fn one(
    State(service): State<Service>,
    Who(caller): Who,
    Path(name): Path<String>,
) -> Result<Json<Value>, HttpError> {
    caller.may_everywhere(Right::Read)?;
    let row = registry::named(&service.db, &name).await.map_err(TriggerError::from)?;
    Ok(Json(told(&row)))
}

/// A trigger to be added.
#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
struct New {
    name: String,
    dag_id: String,
    task_id: Option<String>,
    spec: Value,
}

async fn add(
    State(service): State<Service>,
    Who(caller): Who,
    new: Result<Json<New>, JsonRejection>,
) -> Result<(StatusCode, Json<Value>), HttpError> {
    caller.may_everywhere(Right::Send)?;
    let Json(New { name, dag_id, task_id, spec }) = new.map_err(|error| HttpError::bad(error.body_text()))?;
    let new = NewExternal { name, dag_id: dag_id.into(), task_id: task_id.map(Into::into), spec };
    triggers::add(&service.db, &new, Utc::now()).await?;
    let row = registry::named(&service.db, &new.name).await?;
    Ok((StatusCode::CREATED, Json(told(&row))))
}

async fn pause(
    State(service): State<Service>,
    Who(caller): Who,
    Path(name): Path<String>,
) -> Result<Json<Value>, HttpError> {
    caller.may_everywhere(Right::Send)?;
    triggers::pause(&service.db, &name, Utc::now()).await?;
    Ok(Json(told(&registry::named(&service.db, &name).await?)))
}

async fn resume(
    State(service): State<Service>,
    Who(caller): Who,
    Path(name): Path<String>,
) -> Result<Json<Value>, HttpError> {
    caller.may_everywhere(Right::Send)?;
    triggers::resume(&service.db, &name, Utc::now()).await?;
    Ok(Json(told(&registry::named(&service.db, &name).await?)))
}

/// Events that a trigger is to be tried on.
#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
struct Tries {
    positions: BTreeSet<i64>,
}

async fn test(
    State(service): State<Service>,
    Who(caller): Who,
    Path(name): Path<String>,
    tries: Result<Json<Tries>, JsonRejection>,
) -> Result<Json<Value>, HttpError> {
    caller.may_everywhere(Right::Read)?;
    let Json(Tries { positions }) = tries.map_err(|error| HttpError::bad(error.body_text()))?;
    let row = registry::named(&service.db, &name).await.map_err(TriggerError::from)?;
    let spec = TriggerSpec::from_json(&row.spec).map_err(TriggerError::from)?;
    let positions: BTreeSet<Position> = positions.into_iter().map(Position).collect();
    let events = log::at(&service.db, &positions).await?;
    // Functions are asked by `slipstream triggers test` only: a server runs no code of users'.
    let place = (&row.dag_id, None, row.id);
    let tried = triggers::try_out(&spec, place, &events, &Asker::nobody(), Utc::now()).await;
    let told = |(event, tried): (&Event, triggers::Tried)| json!({"position": event.position, "verdict": tried.verdict, "reason": tried.reason});
    Ok(Json(json!({"events": events.iter().zip(tried).map(told).collect::<Vec<_>>()})))
}

async fn delete(
    State(service): State<Service>,
    Who(caller): Who,
    Path(name): Path<String>,
) -> Result<StatusCode, HttpError> {
    caller.may_everywhere(Right::Send)?;
    triggers::delete(&service.db, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What is to be explained.
#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
struct Asked {
    event: Option<i64>,
    dag_id: Option<String>,
    run_id: Option<String>,
    task_id: Option<String>,
}

async fn explain(
    State(service): State<Service>,
    Who(caller): Who,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Result<Json<Value>, HttpError> {
    caller.may_everywhere(Right::Read)?;
    let Query(asked) = asked.map_err(|error| HttpError::bad(error.body_text()))?;
    let about = match asked {
        Asked { event: Some(position), .. } => About::Event(Position(position)),
        Asked { dag_id: Some(dag), task_id: Some(task), run_id, .. } => {
            About::Task(dag.into(), task.into(), run_id.map(Into::into))
        }
        Asked { dag_id: Some(dag), run_id: Some(run), .. } => About::Run(dag.into(), run.into()),
        _ => return Err(HttpError::bad("ask for event=POSITION, dag_id=…&run_id=… or dag_id=…&task_id=…")),
    };
    let lines = triggers::explain(&service.db, &about, Utc::now()).await?;
    Ok(Json(json!({"lines": lines})))
}
