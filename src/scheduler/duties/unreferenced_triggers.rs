//! Triggers that nothing waits for any more (`_remove_unreferenced_triggers`).

use crate::store::duties::triggers;
use crate::store::{Db, StoreError, retry};

/// Deletes them; returns how many.
///
/// # Errors
/// As any statement, after a few tries.
pub async fn run_once(db: &Db) -> Result<u64, StoreError> {
    retry("delete unreferenced triggers", async || triggers::delete_unreferenced(db).await).await
}
