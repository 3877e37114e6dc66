//! `/events`: the log over HTTP.
//!
//! | request | what it does |
//! | --- | --- |
//! | `POST /events` | sends one CloudEvent (structured or binary) or a batch |
//! | `GET /events` | lists events; waits for one with `wait` |
//! | `GET /events/POSITION` | one event |
//! | `GET /events/latest` | the newest event that passes a filter |
//! | `GET /events/count` | how many there are |
//! | `GET /events/stream` | Server-Sent Events, resumed by `Last-Event-ID` |
//! | `POST /events/hooks/NAME` | a webhook with a signature |
//! | `/events/subscriptions…` | durable named subscriptions |
//! | `/triggers…` | triggers, see [`triggers`], and what they could not judge, see [`letters`] |

mod body;
mod error;
mod hooks;
mod letters;
mod list;
mod query;
mod send;
mod stream;
mod subscriptions;
mod triggers;
mod who;

#[cfg(test)]
mod tests;

use axum::Router;
use axum::body::Bytes;
use axum::extract::DefaultBodyLimit;
use axum::http::HeaderMap;
use axum::routing::{get, post};
use chrono::{DateTime, Utc};

use super::cloudevent::Defaults;
use super::engine::Engine;
use super::service::Service;
use crate::store::events::NewEvent;

/// The events of a request, as `POST /events` reads them.
///
/// # Errors
/// What the sender is told.
pub fn read(
    headers: &HeaderMap,
    body: &Bytes,
    defaults: &Defaults,
    now: DateTime<Utc>,
) -> Result<Vec<NewEvent>, String> {
    body::events(headers, body, defaults, now).map_err(error::HttpError::into_message)
}

/// All routes below `/events` and `/triggers`; `engine` puts events to triggers again when a person asks for it.
pub fn router(service: Service, engine: Engine) -> Router {
    let limit = DefaultBodyLimit::max(service.limits.batch);
    Router::new()
        .route("/events", get(list::list).post(send::send))
        .route("/events/latest", get(list::latest))
        .route("/events/count", get(list::count))
        .route("/events/stream", get(stream::stream))
        .route("/events/hooks/{name}", post(hooks::deliver))
        .route("/events/{position}", get(list::one))
        .merge(subscriptions::routes())
        .merge(triggers::routes())
        .merge(letters::routes(engine))
        .fallback(error::unknown)
        .method_not_allowed_fallback(error::not_allowed)
        .layer(limit)
        .with_state(service)
}
