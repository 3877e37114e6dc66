//! `GET /events/stream`: events as they come, as Server-Sent Events.
//!
//! The id of each is its position: a client that connects again sends the last one as `Last-Event-ID`, as browsers do by
//! themselves, and misses nothing.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::IntoResponse;
use axum::response::sse::{Event as Message, KeepAlive, Sse};
use futures_util::stream;
use slipstream_core::event::{Event, Position};

use super::error::HttpError;
use super::query::{Wanted, position};
use super::who::Who;
use crate::events::access::Caller;
use crate::events::cloudevent;
use crate::events::service::Service;
use crate::store::events::{self, Filter};

/// Events that are read at once.
const BATCH: i64 = 200;
/// How long one question to the log waits.
const WAIT: Duration = Duration::from_secs(30);
/// Proxies hold a connection for dead that says nothing.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

struct Reader {
    service: Service,
    filter: Filter,
    after: Position,
    caller: Caller,
    ready: VecDeque<Event>,
}

pub(super) async fn stream(
    State(service): State<Service>,
    Who(caller): Who,
    headers: HeaderMap,
    mut wanted: Wanted,
) -> Result<impl IntoResponse, HttpError> {
    caller.restrict(&mut wanted.filter)?;
    let resumed = headers.get("last-event-id").and_then(|value| value.to_str().ok());
    let after = match resumed.map(|value| position("Last-Event-ID", value)).transpose()?.or(wanted.after) {
        Some(after) => after,
        // From now on.
        None => events::head(&service.db).await?,
    };
    let reader = Reader { service, filter: wanted.filter, after, caller, ready: VecDeque::new() };
    let messages = stream::unfold(reader, |mut reader| async move {
        let event = reader.next().await?;
        Some((Ok::<_, Infallible>(message(&event)), reader))
    });
    Ok(Sse::new(messages).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

impl Reader {
    /// The next event, however long it takes. `None` ends the stream; the client connects again.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            match self.service.next(self.after, BATCH, &self.filter, WAIT).await {
                Ok(page) => {
                    if let Err(denied) = self.service.access.still(&self.caller).await {
                        tracing::info!("A stream of events ends: {denied}");
                        return None;
                    }
                    self.after = page.next;
                    self.ready = page.events.into();
                }
                Err(error) => {
                    tracing::warn!(%error, "A stream of events ends; its reader may connect again");
                    return None;
                }
            }
            if self.ready.is_empty() && self.filter.until.is_some_and(|until| until <= self.after) {
                return None;
            }
        }
    }
}

fn message(event: &Event) -> Message {
    Message::default().id(event.position.to_string()).data(cloudevent::write(event).to_string())
}
