//! Deadlines of dag runs (AIP-86; `airflow/models/deadline.py`, `airflow/serialization/definitions/deadline.py`).

mod create;
mod miss;
mod prune;
mod reference;
mod requeue;
mod response;

pub use create::{NewDeadlines, create};
pub use miss::{Encrypt, MissedDeadline, handle_expired};
pub use prune::prune;
pub use requeue::requeued;
