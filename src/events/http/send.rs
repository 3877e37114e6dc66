//! `POST /events`.

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use chrono::Utc;
use serde::Deserialize;
use serde_json::{Value, json};

use super::body;
use super::error::HttpError;
use super::who::Who;
use crate::events::access::Caller;
use crate::events::cloudevent::Defaults;
use crate::events::service::Service;
use crate::store::events::{Appended, EventError, Existed, NewEvent};

/// What holds for all events of a request that do not say otherwise.
#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub(super) struct Parameters {
    namespace: Option<String>,
    sender: Option<String>,
    scope: Option<String>,
    dag_id: Option<String>,
    run_id: Option<String>,
}

pub(super) async fn send(
    State(service): State<Service>,
    Who(caller): Who,
    parameters: Result<Query<Parameters>, axum::extract::rejection::QueryRejection>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Value>, HttpError> {
    let Query(parameters) = parameters.map_err(|error| HttpError::bad(error.body_text()))?;
    let defaults = Defaults {
        namespace: parameters.namespace,
        sender: parameters.sender,
        scope: parameters.scope,
        dag_id: parameters.dag_id,
        run_id: parameters.run_id,
        source: None,
    };
    let events = body::events(&headers, &body?, &defaults, Utc::now())?;
    check(&service, &caller, &events)?;
    let done = service.ingest.send(events).await?;
    Ok(Json(json!({"events": done.iter().map(answer).collect::<Vec<_>>()})))
}

/// Whether the caller may send all of them, and whether they can be stored. One that cannot refuses the request.
fn check(service: &Service, caller: &Caller, events: &[NewEvent]) -> Result<(), HttpError> {
    for (index, event) in events.iter().enumerate() {
        caller.may_send(event)?;
        let place = if events.len() > 1 { format!("event {index} of the batch: ") } else { String::new() };
        check_one(service, event, &place)?;
    }
    Ok(())
}

/// Whether an event can be stored; `place` says which one it is.
pub(super) fn check_one(service: &Service, event: &NewEvent, place: &str) -> Result<(), HttpError> {
    event.check_with_size(service.limits.event).map_err(|error| match error {
        EventError::TooLarge { .. } => {
            HttpError::new(StatusCode::PAYLOAD_TOO_LARGE, format!("{place}{error}"))
        }
        _ => HttpError::bad(format!("{place}{error}")),
    })
}

pub(super) fn answer(done: &Appended) -> Value {
    json!({"position": done.position, "duplicate": done.existed == Existed::Duplicate})
}
