//! Task instances of schedulers that are gone (`adopt_or_reset_orphaned_tasks`).

use std::collections::HashSet;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use crate::store::duties::orphans::{self, Orphan};
use crate::store::{Db, StoreError, retry};

/// What one call did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OrphanCounts {
    /// Schedulers that were marked as failed.
    pub failed_schedulers: u64,
    /// Task instances that our executor still has; they are ours now.
    pub adopted: Vec<Orphan>,
    /// Task instances that nobody has; they start afresh.
    pub reset: Vec<Orphan>,
}

/// Marks schedulers without a heartbeat for `dead_after` as failed, and takes over their task instances: those in `held`
/// (ids that our executor has) are adopted, the others are reset.
///
/// # Errors
/// As any statement, after a few tries; then nothing was done.
pub async fn run_once(
    db: &Db,
    job_id: i64,
    dead_after: Duration,
    held: &HashSet<Uuid>,
    now: DateTime<Utc>,
) -> Result<OrphanCounts, StoreError> {
    let limit = now - TimeDelta::from_std(dead_after).unwrap_or(TimeDelta::MAX);
    let counts = retry("adopt or reset orphaned tasks", async || {
        let tx = db.begin().await?;
        let failed_schedulers = orphans::fail_dead_schedulers(&tx, limit).await?;
        let (adopted, reset): (Vec<Orphan>, Vec<Orphan>) =
            orphans::orphans(&tx).await?.into_iter().partition(|orphan| held.contains(&orphan.id));
        orphans::reset(&tx, &ids(&reset), now).await?;
        orphans::adopt(&tx, &ids(&adopted), job_id, now).await?;
        tx.commit().await?;
        Ok(OrphanCounts { failed_schedulers, adopted, reset })
    })
    .await?;
    if counts.failed_schedulers > 0 {
        tracing::info!("Marked {} SchedulerJob instances as failed", counts.failed_schedulers);
    }
    for orphan in &counts.reset {
        tracing::info!(ti = %orphan.key, state = %orphan.state, "Reset an orphaned task instance");
    }
    Ok(counts)
}

fn ids(orphans: &[Orphan]) -> Vec<Uuid> {
    orphans.iter().map(|orphan| orphan.id).collect()
}
