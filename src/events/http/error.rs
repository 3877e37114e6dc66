//! Answers to requests that cannot be answered as asked: a status and one sentence, as JSON.

use axum::Json;
use axum::extract::rejection::{BytesRejection, JsonRejection};
use axum::http::header::WWW_AUTHENTICATE;
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::events::access::Denied;
use crate::events::ingest::IngestError;
use crate::store::StoreError;

/// A status and what is wrong.
#[derive(Debug)]
pub(super) struct HttpError {
    status: StatusCode,
    message: String,
}

impl HttpError {
    pub(super) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }

    /// The request is wrong.
    pub(super) fn bad(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    pub(super) fn into_message(self) -> String {
        self.message
    }

    pub(super) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, message)
    }
}

/// The answer to a path that is not there.
pub(super) async fn unknown(uri: Uri) -> HttpError {
    HttpError::not_found(format!("there is no `{}` here", uri.path()))
}

/// The answer to a method that a path does not have.
pub(super) async fn not_allowed(method: Method, uri: Uri) -> HttpError {
    let message = format!("`{}` does not answer {method}", uri.path());
    HttpError::new(StatusCode::METHOD_NOT_ALLOWED, message)
}

impl IntoResponse for HttpError {
    fn into_response(self) -> Response {
        let body = Json(json!({"error": self.message}));
        if self.status == StatusCode::UNAUTHORIZED {
            return (self.status, [(WWW_AUTHENTICATE, "Bearer")], body).into_response();
        }
        (self.status, body).into_response()
    }
}

impl From<Denied> for HttpError {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::NoToken | Denied::BadToken => Self::new(StatusCode::UNAUTHORIZED, denied.to_string()),
            Denied::Store(error) => error.into(),
            refused => Self::new(StatusCode::FORBIDDEN, refused.to_string()),
        }
    }
}

impl From<StoreError> for HttpError {
    fn from(error: StoreError) -> Self {
        of_store(&error)
    }
}

impl From<IngestError> for HttpError {
    fn from(error: IngestError) -> Self {
        match error {
            IngestError::Store(error) => match error.as_ref() {
                missing @ StoreError::NotFound(_) => Self::not_found(missing.to_string()),
                error => of_store(error),
            },
            IngestError::Stopping => Self::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string()),
        }
    }
}

impl From<JsonRejection> for HttpError {
    fn from(rejection: JsonRejection) -> Self {
        match rejection.status() {
            StatusCode::UNPROCESSABLE_ENTITY => Self::bad(rejection.body_text()),
            status => Self::new(status, rejection.body_text()),
        }
    }
}

impl From<BytesRejection> for HttpError {
    fn from(rejection: BytesRejection) -> Self {
        match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => Self::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "the request is larger than [slipstream] event_max_batch_bytes allows: send fewer events at once",
            ),
            status => Self::new(status, rejection.body_text()),
        }
    }
}

/// What the database says is for the log of the server, not for its clients.
fn of_store(error: &StoreError) -> HttpError {
    match error {
        StoreError::Invalid(why) => HttpError::bad(why),
        StoreError::Unreachable(_) | StoreError::Conflict(_) | StoreError::Pooler(_) => {
            tracing::warn!(%error, "A request for events fails; the client may try again");
            HttpError::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "the metadata database is not available now: try again",
            )
        }
        _ => {
            tracing::error!(%error, "A request for events fails");
            HttpError::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "the request failed; the scheduler's log says why",
            )
        }
    }
}
