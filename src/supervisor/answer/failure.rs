//! Failures in the forms that the SDK knows (`ErrorResponse` in `airflow/sdk/execution_time/comms.py`).

use rmpv::Value;
use serde_json::{Value as Json, json};

use super::super::value::{BadMessage, IntoWire, Message};
use super::Asker;
use crate::store::error::StoreError;
use crate::store::execution::{ExecutionError, Refusal};

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// The message is not what the SDK sends.
    #[error(transparent)]
    Bad(#[from] BadMessage),
    /// The request was refused or the database failed.
    #[error(transparent)]
    Execution(#[from] ExecutionError),
    /// Something that raises in Airflow's supervisor, where the task is told so.
    #[error("{exception_type}: {message}")]
    Raised {
        /// The exception's text.
        message: &'static str,
        /// The exception's class.
        exception_type: &'static str,
    },
    /// No handler answers this kind of message to this kind of process.
    #[error("Unhandled request")]
    Unhandled,
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Execution(error.into())
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::Execution(refusal.into())
    }
}

impl Failure {
    /// The error of the response frame.
    pub(super) fn response(&self, asker: Asker) -> Value {
        match self {
            Self::Bad(BadMessage::NotFinite) => raised(&BadMessage::NotFinite.to_string(), "ValueError"),
            Self::Raised { message, exception_type } => raised(message, exception_type),
            Self::Bad(bad) => unreadable(&bad.to_string()),
            Self::Execution(ExecutionError::Refused(refusal)) => refused(refusal),
            Self::Execution(ExecutionError::Store(error)) => broken(error),
            Self::Unhandled => {
                let kind = match asker {
                    Asker::Task { .. } => "API_SERVER_ERROR",
                    Asker::DagFile => "GENERIC_ERROR",
                };
                error(kind, json!({"status_code": 400, "message": "Unhandled request"})).done()
            }
        }
    }
}

/// What the supervisor makes of a refusal by the API.
fn refused(refusal: &Refusal) -> Value {
    let message = match &refusal.detail {
        Json::String(text) => text.as_str(),
        Json::Array(_) => "Remote server returned validation error",
        _ => "Server returned error",
    };
    api_error(json!({
        "status_code": refusal.status,
        "message": message,
        "detail": {"detail": refusal.detail},
    }))
}

/// What the supervisor makes of an error of the database (`airflow/api_fastapi/common/exceptions.py`).
fn broken(error: &StoreError) -> Value {
    let (status, reason) = match error {
        StoreError::Value(_) => (422, "Value rejected by database"),
        _ => (500, "Internal Server Error"),
    };
    api_error(json!({
        "status_code": status,
        "message": "Server returned error",
        "detail": {"detail": {"reason": reason, "message": error.to_string()}},
    }))
}

/// The error for a message that cannot be understood. Stock Airflow only logs it and lets the process wait for ever.
pub(super) fn unreadable(why: &str) -> Value {
    api_error(json!({"status_code": 400, "message": format!("Unable to decode message: {why}")}))
}

fn raised(message: &str, exception_type: &str) -> Value {
    api_error(json!({"status_code": null, "message": message, "exception_type": exception_type}))
}

fn api_error(detail: Json) -> Value {
    error("API_SERVER_ERROR", detail).done()
}

/// An `ErrorResponse`; as a body for what the SDK expects to miss, as an error for the rest.
pub(super) fn error(kind: &str, detail: impl IntoWire) -> Message {
    Message::new("ErrorResponse").with("error", kind).with("detail", detail)
}
