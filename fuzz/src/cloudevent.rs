//! A request that sends events: headers, one to a line, an empty line, the body. Structured, batched, binary and plain JSON
//! are told apart by the headers, as over HTTP.

use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use chrono::DateTime;
use slipstream::events::cloudevent::{Defaults, write};
use slipstream::events::http;
use slipstream_core::event::{Event, Position};

const LIMIT: usize = 262_144;

/// Reads its events, checks whether they can be stored, and writes those that can as they will be read.
pub fn run(data: &[u8]) {
    let end = data.windows(2).position(|pair| pair == b"\n\n");
    let (head, body) = end.map_or((data, &b""[..]), |end| (&data[..end], &data[end + 2..]));
    let mut headers = HeaderMap::new();
    for line in head.split(|byte| *byte == b'\n') {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let (name, value) =
            (HeaderName::from_bytes(&line[..colon]), HeaderValue::from_bytes(line[colon + 1..].trim_ascii()));
        if let (Ok(name), Ok(value)) = (name, value) {
            headers.append(name, value);
        }
    }
    let now = DateTime::UNIX_EPOCH;
    let read = http::read(&headers, &Bytes::copy_from_slice(body), &Defaults::default(), now);
    for event in read.unwrap_or_default() {
        if event.check_with_size(LIMIT).is_err() {
            continue;
        }
        let written = write(&Event {
            position: Position(1),
            namespace: event.namespace,
            key: event.key,
            event_type: event.event_type,
            source: event.source,
            id: event.id,
            sender: event.sender,
            time: event.time,
            scope: event.scope,
            data: event.data,
            extensions: event.extensions,
        });
        let mut structured = HeaderMap::new();
        structured.insert("content-type", HeaderValue::from_static("application/cloudevents+json"));
        let again = http::read(&structured, &written.to_string().into(), &Defaults::default(), now);
        assert!(again.is_ok(), "what is read can be sent on as it is: {again:?}");
    }
}
