//! Which assets are in use (`_update_asset_orphanage`).

use chrono::{DateTime, Utc};

use crate::store::assets::orphanage::{self, OrphanageCounts};
use crate::store::{Db, StoreError, retry};

/// Brings the table of active assets up to date.
///
/// # Errors
/// As any statement, after a few tries; then nothing was done.
pub async fn run_once(db: &Db, now: DateTime<Utc>) -> Result<OrphanageCounts, StoreError> {
    retry("update active assets", async || {
        let tx = db.begin().await?;
        let counts = orphanage::update(&tx, now).await?;
        tx.commit().await?;
        Ok(counts)
    })
    .await
}
