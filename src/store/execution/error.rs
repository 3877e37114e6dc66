//! How a request is refused, and the transaction that every request runs in.

use serde_json::{Value as Json, json};

use crate::store::db::{Db, Tx, retry};
use crate::store::error::StoreError;

/// Why a request has no result.
#[derive(Debug, thiserror::Error)]
pub enum ExecutionError {
    /// The request was understood and refused, with the answer that the Execution API gives.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A refusal in the form of the Execution API.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{}", self.message())]
pub struct Refusal {
    /// The HTTP status that the API answers.
    pub status: u16,
    /// The API's `detail`: an object with `reason` and `message`, a text, or a list of what is not valid.
    pub detail: Json,
}

impl Refusal {
    /// A refusal with a reason (a word for programs) and a message (a sentence for people).
    pub fn new(status: u16, reason: &str, message: impl Into<String>) -> Self {
        Self { status, detail: json!({"reason": reason, "message": message.into()}) }
    }

    /// 404 with the reason `not_found`.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(404, "not_found", message)
    }

    /// 404 for a task instance.
    pub fn no_task_instance() -> Self {
        Self::not_found("Task Instance not found")
    }

    /// 410 for a task instance whose try was moved to the history.
    pub fn gone() -> Self {
        Self::new(
            410,
            "not_found",
            "Task Instance not found, it may have been moved to the Task Instance History table",
        )
    }

    /// 422 for a parameter that should name the state of a run, as the API's validation words it.
    pub fn no_run_state(parameter: &str, value: &str) -> Self {
        let expected = "'queued', 'running', 'success' or 'failed'";
        let detail = json!([{
            "type": "enum",
            "loc": ["query", parameter],
            "msg": format!("Input should be {expected}"),
            "input": value,
            "ctx": {"expected": expected},
        }]);
        Self { status: 422, detail }
    }

    /// 422 for an empty parameter of a path or query, as the API's validation words it.
    pub fn empty(place: &str, parameter: &str) -> Self {
        let detail = json!([{
            "type": "string_too_short",
            "loc": [place, parameter],
            "msg": "String should have at least 1 character",
            "input": "",
            "ctx": {"min_length": 1},
        }]);
        Self { status: 422, detail }
    }

    /// 422 for a field of a body that has no value, as the API's validation words it.
    pub fn null(field: &str) -> Self {
        let detail = json!([{
            "type": "value_error",
            "loc": ["body", field],
            "msg": format!("Value error, {field} cannot be null"),
            "input": null,
            "ctx": {"error": {}},
        }]);
        Self { status: 422, detail }
    }

    /// Adds a member to the detail.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<Json>) -> Self {
        if let Json::Object(detail) = &mut self.detail {
            detail.insert(key.to_owned(), value.into());
        }
        self
    }

    /// The sentence for people.
    pub fn message(&self) -> String {
        let message = match &self.detail {
            Json::Object(detail) => detail.get("message").and_then(Json::as_str),
            other => other.as_str(),
        };
        message.map_or_else(|| self.detail.to_string(), str::to_owned)
    }
}

/// Runs `work` in a transaction and commits it; a refusal rolls back. What fails in passing is tried again.
///
/// The transaction goes into the future and comes back out of it: futures that borrow it could not be shown to be `Send`.
/// [`transact!`] hides that.
pub(super) async fn run_transaction<T, F, W>(
    db: &Db,
    what: &'static str,
    work: W,
) -> Result<T, ExecutionError>
where
    W: Fn(Tx) -> F,
    F: Future<Output = (Tx, Result<T, ExecutionError>)>,
{
    let outcome = retry(what, async || {
        let (tx, done) = work(db.begin().await?).await;
        match done {
            Ok(value) => {
                tx.commit().await?;
                Ok(Ok(value))
            }
            Err(ExecutionError::Refused(refusal)) => {
                tx.rollback().await?;
                Ok(Err(refusal))
            }
            Err(ExecutionError::Store(error)) => {
                // The connection may be gone, and with it the transaction.
                let _ = tx.rollback().await;
                Err(error)
            }
        }
    })
    .await?;
    Ok(outcome?)
}

/// `transact!(db, "what", |tx| body)`: runs `body`, which sees `tx: &Tx` and copies of what it names, in a transaction
/// ([`run_transaction`]).
macro_rules! transact {
    ($db:expr, $what:expr, |$tx:ident| $body:expr) => {
        $crate::store::execution::error::run_transaction($db, $what, move |tx| async move {
            let $tx = &tx;
            let done = async { $body }.await;
            (tx, done)
        })
        .await
    };
}
pub(super) use transact;
