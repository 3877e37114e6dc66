//! What the calls do with events.

use std::time::Duration;

use chrono::Utc;
use slipstream_core::event::{Event, Position};
use tokio::time::Instant;
use tonic::Status;

use super::convert::{Asked, new_event, proto};
use super::messages::*;
use super::rpc::status;
use super::server::Shared;
use crate::events::access::Caller;
use crate::events::service::Service;
use crate::store::StoreError;
use crate::store::events::{self, Existed, Filter, clients};

/// Events that are read at once.
const BATCH: i64 = 1000;
/// Most events of one answer; a client that listens asks for the rest with its next call.
const MOST: usize = 100_000;
/// The longest that a call is held.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

const SUCCESS: i32 = ReturnStatus::Success as i32;
const ERROR: i32 = ReturnStatus::Error as i32;

/// The message that AIFlow's server sends for a duplicate.
const IGNORED: &str = "Ignored because event already exists.";

pub(super) async fn send_event(
    shared: Shared,
    caller: Caller,
    request: SendEventRequest,
) -> Result<SendEventsResponse, Status> {
    let service = shared.service;
    let refused = |why: String| SendEventsResponse { event: None, return_code: ERROR, return_msg: why };
    let event = new_event(request, Utc::now());
    caller.may_send(&event).map_err(|denied| status(&denied))?;
    if let Err(error) = event.check_with_size(service.limits.event) {
        return Ok(refused(error.to_string()));
    }
    let done = match service.ingest.send(vec![event.clone()]).await {
        Ok(done) => done[0],
        Err(error) => {
            tracing::error!(%error, "An event of an AIFlow client is lost to it; it may send it again");
            return Ok(refused(error.to_string()));
        }
    };
    let (event, note) = match done.existed {
        Existed::New => (Some(event.at(done.position)), ""),
        Existed::Duplicate => (events::get(&service.db, done.position).await.map_err(store)?, IGNORED),
    };
    Ok(SendEventsResponse {
        event: event.as_ref().map(proto),
        return_code: SUCCESS,
        return_msg: note.to_owned(),
    })
}

pub(super) async fn list_events(
    shared: Shared,
    caller: Caller,
    request: ListEventsRequest,
) -> Result<ListEventsResponse, Status> {
    let no_key = request.keys.is_empty();
    let asked = Asked {
        keys: request.keys,
        event_type: request.event_type,
        namespace: request.namespace,
        sender: request.sender,
        start_time: request.start_time,
        end_version: 0,
    };
    if no_key {
        // An empty list of keys is no key, as in AIFlow.
        return Ok(listed(&[]));
    }
    let filter = restricted(&caller, asked)?;
    let wait = seconds(request.timeout_seconds);
    Ok(listed(&all(&shared.service, request.start_version, &filter, wait).await?))
}

pub(super) async fn list_all_events(
    shared: Shared,
    caller: Caller,
    request: ListAllEventsRequest,
) -> Result<ListEventsResponse, Status> {
    let from_version = request.start_version > 0;
    let asked = Asked {
        // One or the other, as in AIFlow.
        start_time: if from_version { 0 } else { request.start_time },
        end_version: if from_version { request.end_version } else { 0 },
        ..Asked::default()
    };
    let filter = restricted(&caller, asked)?;
    let wait = seconds(request.timeout_seconds);
    Ok(listed(&all(&shared.service, request.start_version, &filter, wait).await?))
}

pub(super) async fn count_events(
    shared: Shared,
    caller: Caller,
    request: CountEventsRequest,
) -> Result<CountEventsResponse, Status> {
    let no_key = request.keys.is_empty();
    let asked = Asked {
        keys: request.keys,
        event_type: request.event_type,
        namespace: request.namespace,
        sender: request.sender,
        start_time: request.start_time,
        end_version: 0,
    };
    let filter = restricted(&caller, asked)?;
    let mut answer = CountEventsResponse::default();
    if no_key {
        return Ok(answer);
    }
    let counts = events::count(&shared.service.db, Position(request.start_version), &filter);
    let counts = counts.await.map_err(store)?;
    answer.event_count = counts.total;
    answer.sender_event_counts = counts
        .by_sender
        .into_iter()
        .map(|(sender, event_count)| SenderEventCountProto {
            sender: sender.unwrap_or_default(),
            event_count,
        })
        .collect();
    Ok(answer)
}

pub(super) async fn get_latest_version_by_key(
    shared: Shared,
    caller: Caller,
    request: GetLatestVersionByKeyRequest,
) -> Result<GetLatestVersionResponse, Status> {
    let keys = if request.key.is_empty() { vec!["*".to_owned()] } else { vec![request.key] };
    let filter = restricted(&caller, Asked { keys, namespace: request.namespace, ..Asked::default() })?;
    let service = shared.service;
    let deadline = Instant::now() + seconds(request.timeout_seconds);
    loop {
        let head = events::head(&service.db).await.map_err(store)?;
        let latest = events::latest(&service.db, &filter).await.map_err(store)?;
        let late =
            latest.is_some() || tokio::time::timeout_at(deadline, service.wake.beyond(head)).await.is_err();
        if late {
            return Ok(GetLatestVersionResponse {
                return_code: SUCCESS.to_string(),
                return_msg: String::new(),
                version: latest.map_or(0, |event| event.position.0),
            });
        }
    }
}

pub(super) async fn register_client(
    shared: Shared,
    _: Caller,
    request: RegisterClientRequest,
) -> Result<RegisterClientResponse, Status> {
    let about = request.client_meta.unwrap_or_default();
    let id = clients::register(&shared.service.db, &about.namespace, &about.sender, Utc::now()).await;
    Ok(RegisterClientResponse { client_id: id.map_err(store)?, ..RegisterClientResponse::default() })
}

pub(super) async fn delete_client(
    shared: Shared,
    _: Caller,
    request: ClientIdRequest,
) -> Result<CommonResponse, Status> {
    let deleted = clients::delete(&shared.service.db, request.client_id, Utc::now()).await.map_err(store)?;
    Ok(match deleted {
        Some(()) => CommonResponse::default(),
        None => CommonResponse {
            return_code: ERROR,
            return_msg: format!("there is no client {}", request.client_id),
        },
    })
}

pub(super) async fn is_client_exists(
    shared: Shared,
    _: Caller,
    request: ClientIdRequest,
) -> Result<IsClientExistsResponse, Status> {
    let is_exists = clients::exists(&shared.service.db, request.client_id).await.map_err(store)?;
    Ok(IsClientExistsResponse { is_exists, ..IsClientExistsResponse::default() })
}

fn restricted(caller: &Caller, asked: Asked) -> Result<Filter, Status> {
    let mut filter = asked.into();
    caller.restrict(&mut filter).map_err(|denied| status(&denied))?;
    Ok(filter)
}

/// All events after a version; AIFlow's answers have no pages.
async fn all(service: &Service, after: i64, filter: &Filter, wait: Duration) -> Result<Vec<Event>, Status> {
    let mut page = service.next(Position(after), BATCH, filter, wait).await.map_err(store)?;
    let mut all = std::mem::take(&mut page.events);
    let mut full = all.len();
    while full == usize::try_from(BATCH).unwrap_or(0) && all.len() < MOST {
        page = service.next(page.next, BATCH, filter, Duration::ZERO).await.map_err(store)?;
        full = page.events.len();
        all.append(&mut page.events);
    }
    Ok(all)
}

fn listed(events: &[Event]) -> ListEventsResponse {
    ListEventsResponse { events: events.iter().map(proto).collect(), ..ListEventsResponse::default() }
}

fn seconds(seconds: i32) -> Duration {
    Duration::from_secs(u64::try_from(seconds).unwrap_or(0)).min(LONGEST_WAIT)
}

/// What the database says is for the log of the server.
pub(super) fn store(error: StoreError) -> Status {
    tracing::error!(%error, "A call of an AIFlow client fails");
    Status::unavailable("the metadata database is not available now: try again")
}
