//! Backfills whose runs have all ended (`_mark_backfills_complete`).

use chrono::{DateTime, Utc};

use crate::store::duties::backfills;
use crate::store::{Db, StoreError, retry};

/// Marks complete backfills; returns how many.
///
/// # Errors
/// As any statement, after a few tries.
pub async fn run_once(db: &Db, now: DateTime<Utc>) -> Result<u64, StoreError> {
    let marked = retry("mark backfills complete", async || backfills::mark_complete(db, now).await).await?;
    if marked > 0 {
        tracing::info!("marking {marked} backfills as complete");
    }
    Ok(marked)
}
