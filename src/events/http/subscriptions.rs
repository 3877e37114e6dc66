//! `/events/subscriptions`: readers whose place the server keeps.

use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use chrono::{SecondsFormat, Utc};
use serde::Deserialize;
use serde_json::{Value, json};
use slipstream_core::event::Position;
use tokio::time::Instant;

use super::error::HttpError;
use super::list;
use super::query::Wanted;
use super::who::Who;
use crate::events::access::{Caller, Denied};
use crate::events::service::{Page, Service};
use crate::store::StoreError;
use crate::store::events::subscriptions::{self as store, Subscription};
use crate::store::events::{self, Filter, Glob};

pub(super) fn routes() -> Router<Service> {
    Router::new()
        .route("/events/subscriptions", get(all).post(create))
        .route("/events/subscriptions/{name}", get(one).delete(remove))
        .route("/events/subscriptions/{name}/events", get(poll))
        .route("/events/subscriptions/{name}/ack", post(acknowledge))
}

#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
struct New {
    name: String,
    #[serde(default)]
    filter: Filter,
    /// After which position it begins; without it, now.
    after: Option<Position>,
}

async fn create(
    State(service): State<Service>,
    Who(caller): Who,
    new: Result<Json<New>, JsonRejection>,
) -> Result<(StatusCode, Json<Value>), HttpError> {
    let Json(mut new) = new?;
    new.filter.check().map_err(|why| HttpError::bad(format!("`filter`: {why}")))?;
    if new.name.is_empty() || new.name.len() > 250 || new.name.contains('/') {
        return Err(HttpError::bad("`name` must have 1 to 250 bytes and no slash"));
    }
    caller.may_read_all(&mut new.filter)?;
    let head = events::head(&service.db).await?;
    let after = new.after.unwrap_or(head);
    if after > head || after < Position(0) {
        return Err(HttpError::bad(format!("`after` must be between 0 and {head}, the last position")));
    }
    match store::create(&service.db, &new.name, &new.filter, after, Utc::now()).await {
        Err(StoreError::Refused(_)) => Err(HttpError::new(
            StatusCode::CONFLICT,
            format!("there is a subscription `{}` already; delete it first to change its filter", new.name),
        )),
        done => {
            done?;
            Ok((StatusCode::CREATED, Json(shown(&find(&service, &caller, &new.name).await?))))
        }
    }
}

async fn all(State(service): State<Service>, Who(caller): Who) -> Result<Json<Value>, HttpError> {
    let all = store::list(&service.db).await?;
    let visible = all.iter().filter(|one| may_use(&caller, one).is_ok());
    Ok(Json(json!({"subscriptions": visible.map(shown).collect::<Vec<_>>()})))
}

async fn one(
    State(service): State<Service>,
    Who(caller): Who,
    Path(name): Path<String>,
) -> Result<Json<Value>, HttpError> {
    Ok(Json(shown(&find(&service, &caller, &name).await?)))
}

async fn remove(
    State(service): State<Service>,
    Who(caller): Who,
    Path(name): Path<String>,
) -> Result<StatusCode, HttpError> {
    find(&service, &caller, &name).await?;
    store::delete(&service.db, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What is not acknowledged; waits for it up to `wait`.
async fn poll(
    State(service): State<Service>,
    Who(caller): Who,
    Path(name): Path<String>,
    wanted: Wanted,
) -> Result<Json<Value>, HttpError> {
    if wanted.after.is_some() || wanted.filter != Filter::default() {
        return Err(HttpError::bad(
            "a subscription has its own filter and place; only `limit` and `wait` can be given",
        ));
    }
    let deadline = Instant::now() + wanted.wait;
    loop {
        let head = events::head(&service.db).await?;
        let subscription = find(&service, &caller, &name).await?;
        let events = store::poll(&service.db, &subscription, wanted.limit, Utc::now()).await?;
        if let Some(last) = events.last() {
            let next = last.position;
            return Ok(list::page(Page { events, next }));
        }
        if tokio::time::timeout_at(deadline, service.wake.beyond(head)).await.is_err() {
            return Ok(list::page(Page { events, next: head }));
        }
    }
}

#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
struct Acknowledged {
    position: Position,
}

async fn acknowledge(
    State(service): State<Service>,
    Who(caller): Who,
    Path(name): Path<String>,
    acknowledged: Result<Json<Acknowledged>, JsonRejection>,
) -> Result<Json<Value>, HttpError> {
    let Json(acknowledged) = acknowledged?;
    find(&service, &caller, &name).await?;
    let head = events::head(&service.db).await?;
    if acknowledged.position > head {
        return Err(HttpError::bad(format!("`position` is after {head}, the last position of the log")));
    }
    let position = store::acknowledge(&service.db, &name, acknowledged.position, Utc::now()).await?;
    Ok(Json(json!({"position": position})))
}

/// A subscription that the caller may read.
async fn find(service: &Service, caller: &Caller, name: &str) -> Result<Subscription, HttpError> {
    let found = store::get(&service.db, name).await?;
    let found = found.ok_or_else(|| HttpError::not_found(format!("there is no subscription `{name}`")))?;
    may_use(caller, &found)?;
    Ok(found)
}

/// Reading moves a subscription on: only for those who may read all that it wants.
fn may_use(caller: &Caller, subscription: &Subscription) -> Result<(), Denied> {
    let mut filter = subscription.filter.clone();
    if filter.namespace.0.is_empty() {
        filter.namespace.0.push(Glob::Any);
    }
    caller.may_read_all(&mut filter)
}

fn shown(subscription: &Subscription) -> Value {
    let time = |time: chrono::DateTime<Utc>| time.to_rfc3339_opts(SecondsFormat::Micros, true);
    json!({
        "name": subscription.name,
        "filter": subscription.filter,
        "position": subscription.position,
        "created_at": time(subscription.created_at),
        "updated_at": time(subscription.updated_at),
    })
}
