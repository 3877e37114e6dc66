//! `/triggers/NAME/letters`: what a trigger could not judge, or could not do, over HTTP.
//!
//! | request | what it does |
//! | --- | --- |
//! | `GET /triggers/NAME/letters` | parked events |
//! | `POST /triggers/NAME/retry` | puts parked events to the trigger again, and makes runs that could not be made |
//! | `POST /triggers/NAME/skip` | lets them be |
//!
//! The body `{"position": P}` means one event, `{}` all of them.

use std::sync::Arc;

use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use chrono::Utc;
use serde::Deserialize;
use serde_json::{Value, json};
use slipstream_core::event::Position;
use tokio::sync::Mutex;

use super::error::HttpError;
use super::who::Who;
use crate::events::engine::Engine;
use crate::events::service::Service;
use crate::events::triggers::{self, TriggerError, Which};
use crate::store::events::tokens::Right;
use crate::store::triggers::{dead_letters, registry};

/// The engine that judges again. One at a time: a person asks, and the events are few.
type Judge = Extension<Arc<Mutex<Engine>>>;

/// The routes; `engine` is asked for nothing else.
pub(super) fn routes(engine: Engine) -> Router<Service> {
    Router::new()
        .route("/triggers/{name}/letters", get(list))
        .route("/triggers/{name}/retry", post(retry))
        .route("/triggers/{name}/skip", post(skip))
        .layer(Extension(Arc::new(Mutex::new(engine))))
}

/// Which events are meant.
#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
struct Asked {
    position: Option<i64>,
}

impl Asked {
    fn which(body: Result<Json<Self>, JsonRejection>) -> Result<Which, HttpError> {
        let Json(asked) = body.map_err(|error| HttpError::bad(error.body_text()))?;
        Ok(asked.position.map_or(Which::All, |position| Which::At(Position(position))))
    }
}

async fn list(
    State(service): State<Service>,
    Who(caller): Who,
    Path(name): Path<String>,
) -> Result<Json<Value>, HttpError> {
    caller.may_everywhere(Right::Read)?;
    let row = registry::named(&service.db, &name).await.map_err(TriggerError::from)?;
    let letters = dead_letters::parked(&service.db, row.id).await?;
    let told = letters.iter().map(|letter| {
        json!({
            "position": letter.position, "run_id": letter.run_id, "error": letter.error,
            "attempts": letter.attempts, "created_at": letter.created_at,
        })
    });
    Ok(Json(json!({"letters": told.collect::<Vec<_>>()})))
}

async fn retry(
    Who(caller): Who,
    Path(name): Path<String>,
    Extension(engine): Judge,
    asked: Result<Json<Asked>, JsonRejection>,
) -> Result<Json<Value>, HttpError> {
    caller.may_everywhere(Right::Send)?;
    let which = Asked::which(asked)?;
    let tried = triggers::retry(&mut *engine.lock().await, &name, which, Utc::now()).await?;
    Ok(Json(json!({"tried": tried})))
}

async fn skip(
    State(service): State<Service>,
    Who(caller): Who,
    Path(name): Path<String>,
    asked: Result<Json<Asked>, JsonRejection>,
) -> Result<Json<Value>, HttpError> {
    caller.may_everywhere(Right::Send)?;
    let skipped = triggers::skip(&service.db, &name, Asked::which(asked)?, Utc::now()).await?;
    Ok(Json(json!({"skipped": skipped})))
}
