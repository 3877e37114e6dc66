//! `POST /events/hooks/NAME`: a webhook, with a signature instead of a token.

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use chrono::Utc;
use serde_json::{Value, json};

use super::error::HttpError;
use super::send;
use crate::events::hooks::HookError;
use crate::events::service::Service;

pub(super) async fn deliver(
    State(service): State<Service>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Value>, HttpError> {
    let hook = service.hooks.get(&name);
    let hook = hook.ok_or_else(|| HttpError::not_found(format!("there is no webhook `{name}`")))?;
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let event = hook.event(&name, &body?, header, Utc::now()).map_err(|error| {
        let status = match error {
            HookError::BadSignature => StatusCode::UNAUTHORIZED,
            HookError::NotJson | HookError::NoId => StatusCode::BAD_REQUEST,
        };
        HttpError::new(status, error.to_string())
    })?;
    send::check_one(&service, &event, "")?;
    let done = service.ingest.send(vec![event]).await?;
    Ok(Json(json!({"events": done.iter().map(send::answer).collect::<Vec<_>>()})))
}
