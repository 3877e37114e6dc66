//! Deadlines that have passed (the deadline step of `_run_scheduler_loop`).

use chrono::{DateTime, Utc};

use crate::store::deadlines::{self, Encrypt, MissedDeadline};
use crate::store::execution::MultiTeam;
use crate::store::{Db, StoreError, retry};

/// Hands the callbacks of passed deadlines on; returns the deadlines.
///
/// # Errors
/// As any statement, after a few tries; then nothing was done.
pub async fn run_once(
    db: &Db,
    encrypt: &impl Encrypt,
    multi_team: MultiTeam,
    now: DateTime<Utc>,
) -> Result<Vec<MissedDeadline>, StoreError> {
    retry("handle missed deadlines", async || deadlines::handle_expired(db, encrypt, multi_team, now).await)
        .await
}
