//! `GET /events` and what else reads the log once.

use axum::Json;
use axum::extract::{Path, State};
use serde_json::{Map, Value, json};
use slipstream_core::event::Position;

use super::error::HttpError;
use super::query::{Wanted, position};
use super::who::Who;
use crate::events::cloudevent;
use crate::events::service::{Page, Service};
use crate::store::events;

pub(super) async fn list(
    State(service): State<Service>,
    Who(caller): Who,
    mut wanted: Wanted,
) -> Result<Json<Value>, HttpError> {
    caller.restrict(&mut wanted.filter)?;
    let after = wanted.after.unwrap_or_default();
    Ok(page(service.next(after, wanted.limit, &wanted.filter, wanted.wait).await?))
}

/// Events, and the value of `after` with which to go on.
pub(super) fn page(page: Page) -> Json<Value> {
    let events: Vec<_> = page.events.iter().map(cloudevent::write).collect();
    Json(json!({"events": events, "next": page.next}))
}

pub(super) async fn one(
    State(service): State<Service>,
    Who(caller): Who,
    Path(path): Path<String>,
) -> Result<Json<Value>, HttpError> {
    let position = position("position", &path)?;
    let event = events::get(&service.db, position).await?;
    let event =
        event.ok_or_else(|| HttpError::not_found(format!("there is no event at position {position}")))?;
    caller.may_read(&event.namespace)?;
    Ok(Json(cloudevent::write(&event)))
}

pub(super) async fn latest(
    State(service): State<Service>,
    Who(caller): Who,
    mut wanted: Wanted,
) -> Result<Json<Value>, HttpError> {
    caller.restrict(&mut wanted.filter)?;
    let event = events::latest(&service.db, &wanted.filter).await?;
    let event = event.ok_or_else(|| HttpError::not_found("there is no such event"))?;
    Ok(Json(cloudevent::write(&event)))
}

pub(super) async fn count(
    State(service): State<Service>,
    Who(caller): Who,
    mut wanted: Wanted,
) -> Result<Json<Value>, HttpError> {
    caller.restrict(&mut wanted.filter)?;
    let counts = events::count(&service.db, wanted.after.unwrap_or(Position(0)), &wanted.filter).await?;
    let by_sender: Map<String, Value> = counts
        .by_sender
        .into_iter()
        .map(|(sender, count)| (sender.unwrap_or_default(), count.into()))
        .collect();
    Ok(Json(json!({"count": counts.total, "by_sender": by_sender})))
}
