//! Parameters of a request: which events, how many, since when.

use std::time::Duration;

use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use chrono::DateTime;
use slipstream_core::event::Position;

use super::error::HttpError;
use crate::store::events::{Filter, Glob, Match};

/// Events of one page, unless the request says otherwise.
const LIMIT: i64 = 100;
/// Most events of one page.
const MOST: i64 = 1000;
/// The longest that a request is held.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// What a request wants to read.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) filter: Filter,
    /// `None`: not said.
    pub(super) after: Option<Position>,
    pub(super) limit: i64,
    pub(super) wait: Duration,
}

impl<S: Send + Sync> FromRequestParts<S> for Wanted {
    type Rejection = HttpError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, HttpError> {
        let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(&parts.uri)
            .map_err(|error| HttpError::bad(error.body_text()))?;
        let mut wanted = Self { filter: Filter::default(), after: None, limit: LIMIT, wait: Duration::ZERO };
        for (name, value) in pairs {
            wanted.put(&name, value)?;
        }
        wanted.filter.check().map_err(HttpError::bad)?;
        Ok(wanted)
    }
}

impl Wanted {
    fn put(&mut self, name: &str, value: String) -> Result<(), HttpError> {
        let filter = &mut self.filter;
        let add = |to: &mut Match, value: String| to.0.push(Glob::from(value));
        match name {
            "namespace" => add(&mut filter.namespace, value),
            "key" | "subject" => add(&mut filter.key, value),
            "type" => add(&mut filter.event_type, value),
            "source" => add(&mut filter.source, value),
            "sender" => add(&mut filter.sender, value),
            "dag_id" => filter.dag_id = Some(value),
            "run_id" => filter.run_id = Some(value),
            "since" => {
                let time = DateTime::parse_from_rfc3339(&value)
                    .map_err(|_| wrong(name, "a time as in RFC 3339, e.g. 2026-01-31T12:00:00Z", &value))?;
                filter.since = Some(time.into());
            }
            "until" => filter.until = Some(position(name, &value)?),
            "after" => self.after = Some(position(name, &value)?),
            "limit" => {
                let limit = value.parse().ok().filter(|limit| (1..=MOST).contains(limit));
                self.limit = limit.ok_or_else(|| wrong(name, "a number from 1 to 1000", &value))?;
            }
            "wait" => {
                let wait = value.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
                self.wait = wait.ok_or_else(|| wrong(name, "a number of seconds", &value))?.min(LONGEST_WAIT);
            }
            _ => {
                return Err(HttpError::bad(format!(
                    "parameter `{name}` is not known; there are namespace, key, type, source, sender, dag_id, run_id, \
                     since, until, after, limit and wait"
                )));
            }
        }
        Ok(())
    }
}

/// A position in a parameter, a path or a header.
pub(super) fn position(name: &str, value: &str) -> Result<Position, HttpError> {
    let position = value.trim().parse().ok().filter(|position| *position >= 0);
    position.map(Position).ok_or_else(|| wrong(name, "a position: a whole number from 0 on", value))
}

fn wrong(name: &str, what: &str, value: &str) -> HttpError {
    HttpError::bad(format!("parameter `{name}` must be {what}, not \"{value}\""))
}
