//! An event as a run's conf and tasks see it.

use serde_json::{Value, json};
use slipstream_core::event::Event;

/// The event as a JSON object.
pub(super) fn told(event: &Event) -> Value {
    json!({
        "position": event.position,
        "namespace": event.namespace,
        "key": event.key,
        "type": event.event_type,
        "source": event.source,
        "id": event.id,
        "sender": event.sender,
        "time": event.time.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true),
        "data": event.data,
        "extensions": event.extensions,
    })
}
