//! Task instances of schedulers that are gone (`adopt_or_reset_orphaned_tasks`).

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
    /// Task instances of hosted executors; they are ours while their executor says whether it adopts them.
    pub offered: Vec<Orphan>,
    /// Task instances that our executor still has; they are ours now.
    pub adopted: Vec<Orphan>,
    /// Task instances that nobody has; they start afresh.
    pub reset: Vec<Orphan>,
}

/// What is done with a task instance whose scheduler is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It becomes ours.
    Adopt,
    /// It starts afresh.
    Reset,
    /// It becomes ours, and its executor is asked: the rows are never locked while it thinks.
    Offer,
    /// It stays as it is.
    Leave,
}

/// Marks schedulers without a heartbeat for `dead_after` as failed, and does with their task instances what `fate` says.
///
/// # Errors
/// As any statement, after a few tries; then nothing was done.
pub async fn run_once(
    db: &Db,
    job_id: i64,
    dead_after: Duration,
    fate: impl Fn(&Orphan) -> Fate,
    now: DateTime<Utc>,
) -> Result<OrphanCounts, StoreError> {
    let limit = now - TimeDelta::from_std(dead_after).unwrap_or(TimeDelta::MAX);
    let counts = retry("adopt or reset orphaned tasks", async || {
        let tx = db.begin().await?;
        let failed_schedulers = orphans::fail_dead_schedulers(&tx, limit).await?;
        let mut counts = OrphanCounts { failed_schedulers, ..OrphanCounts::default() };
        for orphan in orphans::orphans(&tx).await? {
            match fate(&orphan) {
                Fate::Adopt => counts.adopted.push(orphan),
                Fate::Reset => counts.reset.push(orphan),
                Fate::Offer => counts.offered.push(orphan),
                Fate::Leave => {}
            }
        }
        orphans::reset(&tx, &ids(&counts.reset), now).await?;
        orphans::adopt(&tx, &ids(&counts.adopted), job_id, now).await?;
        orphans::adopt(&tx, &ids(&counts.offered), job_id, now).await?;
        tx.commit().await?;
        Ok(counts)
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

/// Resets those of these task instances that are still this scheduler's: their executor does not adopt them.
///
/// # Errors
/// As any statement, after a few tries; then nothing was done.
pub async fn reset_refused(
    db: &Db,
    job_id: i64,
    tis: &[Uuid],
    now: DateTime<Utc>,
) -> Result<usize, StoreError> {
    let reset = retry("reset task instances that were not adopted", async || {
        let tx = db.begin().await?;
        let ours = orphans::still_held(&tx, tis, job_id).await?;
        orphans::reset(&tx, &ours, now).await?;
        tx.commit().await?;
        Ok(ours.len())
    })
    .await?;
    if reset > 0 {
        tracing::info!("Reset {reset} orphaned task instances that their executor did not adopt");
    }
    Ok(reset)
}

fn ids(orphans: &[Orphan]) -> Vec<Uuid> {
    orphans.iter().map(|orphan| orphan.id).collect()
}
