//! The caller of a request.

use std::net::SocketAddr;

use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::header::{AUTHORIZATION, FORWARDED, HOST, ORIGIN};
use axum::http::request::Parts;

use super::error::HttpError;
use crate::events::access::{Caller, Origin};
use crate::events::service::Service;

/// Who calls; a request without the right to be made gets no further.
#[derive(Debug)]
pub(super) struct Who(pub(super) Caller);

impl FromRequestParts<Service> for Who {
    type Rejection = HttpError;

    async fn from_request_parts(parts: &mut Parts, service: &Service) -> Result<Self, HttpError> {
        let header = |name| parts.headers.get(name).and_then(|value| value.to_str().ok());
        let relayed = parts.headers.contains_key(FORWARDED)
            || parts.headers.contains_key("x-forwarded-for")
            || parts.headers.contains_key(ORIGIN);
        let origin = Origin {
            peer: parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip()),
            authorization: header(AUTHORIZATION),
            host: header(HOST),
            relayed,
        };
        Ok(Self(service.access.caller(origin).await?))
    }
}
