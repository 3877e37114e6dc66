//! The three ways in which CloudEvents travel over HTTP, and plain JSON as a shorthand.

use axum::body::Bytes;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use chrono::{DateTime, Utc};
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

use super::error::HttpError;
use crate::events::cloudevent::{self, Defaults};
use crate::store::events::NewEvent;

/// The source of an event that was sent as plain JSON without one.
const SOURCE: &str = "/http";

/// The events of a request.
///
/// # Errors
/// 400 with what is wrong in which event, 415 for a content type that is none of these.
pub(super) fn events(
    headers: &HeaderMap,
    body: &Bytes,
    defaults: &Defaults,
    now: DateTime<Utc>,
) -> Result<Vec<NewEvent>, HttpError> {
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match media.as_str() {
        "application/cloudevents+json" => Ok(vec![one(json(body)?, defaults, now)?]),
        "application/cloudevents-batch+json" => batch(json(body)?, defaults, now),
        _ if media.starts_with("application/cloudevents") => Err(unsupported(&media)),
        _ if headers.keys().any(|name| name.as_str().starts_with("ce-")) => {
            Ok(vec![one(binary(headers, &media, kind, body)?, defaults, now)?])
        }
        "application/json" => {
            let source = defaults.source.clone().unwrap_or_else(|| SOURCE.to_owned());
            let lenient = Defaults { source: Some(source), ..defaults.clone() };
            match json(body)? {
                list @ Value::Array(_) => batch(list, &lenient, now),
                single => Ok(vec![one(single, &lenient, now)?]),
            }
        }
        _ => Err(unsupported(&media)),
    }
}

fn unsupported(media: &str) -> HttpError {
    HttpError::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        format!(
            "content type \"{media}\" is no CloudEvent: send application/cloudevents+json, \
             application/cloudevents-batch+json, application/json, or any type with the headers ce-id, ce-source, ce-type \
             and ce-specversion"
        ),
    )
}

fn json(body: &Bytes) -> Result<Value, HttpError> {
    serde_json::from_slice(body).map_err(|error| HttpError::bad(format!("the body is not JSON: {error}")))
}

fn one(value: Value, defaults: &Defaults, now: DateTime<Utc>) -> Result<NewEvent, HttpError> {
    cloudevent::read(value, defaults, now).map_err(|error| HttpError::bad(error.to_string()))
}

fn batch(value: Value, defaults: &Defaults, now: DateTime<Utc>) -> Result<Vec<NewEvent>, HttpError> {
    let Value::Array(list) = value else { return Err(HttpError::bad("a batch must be a JSON array")) };
    let read = |(index, value)| {
        cloudevent::read(value, defaults, now)
            .map_err(|error| HttpError::bad(format!("event {index} of the batch: {error}")))
    };
    list.into_iter().enumerate().map(read).collect()
}

/// An event whose attributes are headers and whose data is the body.
fn binary(headers: &HeaderMap, media: &str, kind: &str, body: &Bytes) -> Result<Value, HttpError> {
    let mut event = Map::new();
    for (name, value) in headers {
        if let Some(name) = name.as_str().strip_prefix("ce-") {
            let text = value.to_str().map_err(|_| {
                HttpError::bad(format!(
                    "header `ce-{name}` is not plain ASCII: percent-encode it, `é` as `%C3%A9`"
                ))
            })?;
            let text = percent_decode_str(text).decode_utf8().map_err(|_| {
                HttpError::bad(format!("header `ce-{name}` is not UTF-8 when its percent signs are decoded"))
            })?;
            event.insert(name.to_owned(), text.into_owned().into());
        }
    }
    if media != "application/json" && !media.is_empty() {
        event.insert("datacontenttype".to_owned(), kind.into());
    }
    if body.is_empty() {
        return Ok(event.into());
    }
    if media.is_empty() || media == "application/json" || media.ends_with("+json") {
        event.insert("data".to_owned(), json(body)?);
    } else if let Some(text) = std::str::from_utf8(body).ok().filter(|_| media.starts_with("text/")) {
        event.insert("data".to_owned(), text.into());
    } else {
        event.insert("data_base64".to_owned(), BASE64_STANDARD.encode(body).into());
    }
    Ok(event.into())
}
