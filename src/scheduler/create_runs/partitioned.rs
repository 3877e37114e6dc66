//! Runs of Dags whose partitions are complete (`SchedulerJobRunner._create_dagruns_for_partitioned_asset_dags`).

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use serde_json::Value;

use slipstream_core::asset::{AssetKey, PartitionDate, Satisfaction};
use slipstream_core::ids::DagId;
use slipstream_core::schedule::Timetable;

use super::Step;
use super::asset_triggered::asset_run;
use crate::store::StoreError;
use crate::store::assets::events;
use crate::store::assets::lookup::Lookup;
use crate::store::assets::partitions::{self, PendingPartition};
use crate::store::create_run::{self, CreatedRun, Creation, NewRun, RunRequest};
use crate::store::dag_bag::{CachedDag, Dags};

/// Most waiting partitions that one call looks at. The oldest come first, and one that never completes stays in front, so
/// that it is noticed.
const PAGE: i64 = 500;

/// A complete partition with its Dag.
type RipePartition = (PendingPartition, Arc<CachedDag>);

impl Step<'_> {
    /// Makes a run for each waiting partition that is complete. Their Dags get no other run in this step.
    pub(super) async fn partitioned(self) -> Result<Vec<CreatedRun>, StoreError> {
        let (ripe, stale) = self.ripe_partitions().await?;
        partitions::delete_stale(self.tx, &stale).await?;
        let mut made = Vec::new();
        for (partition, cached) in &ripe {
            made.extend(self.partition_run(partition, cached).await?);
        }
        Ok(made)
    }

    /// Waiting partitions that are complete, and the ids of those that no longer fit their Dag. Writes nothing.
    pub(super) async fn ripe_partitions(self) -> Result<(Vec<RipePartition>, Vec<i64>), StoreError> {
        let mut pending = self.pending_partitions().await?;
        pending.retain(|partition| self.among.includes(&partition.dag_id));
        if pending.is_empty() {
            return Ok((Vec::new(), Vec::new()));
        }
        let ids: BTreeSet<DagId> = pending.iter().map(|partition| partition.dag_id.clone()).collect();
        let dags = self.bag.latest(self.tx, &ids).await?;
        let stale = stale(&pending, &dags);
        pending.retain(|partition| !stale.contains(&partition.id));

        let conditions = dags.values().filter_map(|dag| dag.timetable.asset_condition());
        let lookup = Lookup::load(self.tx, conditions).await?;
        let mut ripe = Vec::new();
        for partition in pending {
            let Some(cached) = dags.get(&partition.dag_id) else {
                tracing::error!(dag_id = %partition.dag_id, "Dag not found in serialized_dag table");
                continue;
            };
            if is_complete(&partition, &cached.timetable, &lookup) {
                ripe.push((partition, Arc::clone(cached)));
            }
        }
        Ok((ripe, stale))
    }

    /// Partitions that wait to be complete, the oldest first.
    pub(super) async fn pending_partitions(self) -> Result<Vec<PendingPartition>, StoreError> {
        partitions::pending_partitions(self.tx, PAGE).await
    }

    async fn partition_run(
        self,
        partition: &PendingPartition,
        cached: &Arc<CachedDag>,
    ) -> Result<Option<CreatedRun>, StoreError> {
        let run = NewRun {
            partition_key: Some(partition.partition_key.clone()),
            partition_date: partition_date(partition, &cached.timetable),
            ..asset_run(&partition.dag_id, self.now, self.options.job_id)
        };
        let request = RunRequest { run, dag: Arc::clone(cached) };
        let outcome = create_run::create(self.tx, vec![request], &self.options.runs, self.now).await?;
        match outcome.into_iter().next() {
            Some(Creation::Created(created)) => {
                let consumed = partitions::partition_events(self.tx, partition.id).await?;
                events::consume(self.tx, created.id, &consumed).await?;
                partitions::set_created(self.tx, partition.id, created.id, self.now).await?;
                Ok(Some(created))
            }
            Some(Creation::Refused(why)) => {
                tracing::error!(dag_id = %partition.dag_id, %why, "Failed creating DagRun");
                Ok(None)
            }
            Some(Creation::Exists) | None => Ok(None),
        }
    }
}

/// Partitions that wait under mappers or windows that their Dag no longer has. One whose Dag cannot say what it has is kept.
fn stale(pending: &[PendingPartition], dags: &Dags) -> Vec<i64> {
    let mut fingerprints: HashMap<&DagId, Value> = HashMap::new();
    for (dag_id, cached) in dags {
        match cached.timetable.rollup_fingerprint() {
            Ok(fingerprint) => {
                fingerprints.insert(dag_id, fingerprint);
            }
            Err(error) => {
                tracing::error!(%dag_id, %error, "Failed to compute the rollup fingerprint; skipping")
            }
        }
    }
    let is_stale = |partition: &&PendingPartition| {
        fingerprints
            .get(&partition.dag_id)
            .is_some_and(|now| partition.rollup_fingerprint.is_null() || partition.rollup_fingerprint != *now)
    };
    let stale: Vec<&PendingPartition> = pending.iter().filter(is_stale).collect();
    for partition in &stale {
        tracing::info!(
            dag_id = %partition.dag_id,
            partition_key = partition.partition_key,
            "a waiting partition is dropped: the mapper or window of its Dag has changed since it was queued"
        );
    }
    stale.iter().map(|partition| partition.id).collect()
}

fn is_complete(partition: &PendingPartition, timetable: &Timetable, lookup: &Lookup) -> bool {
    let Some(condition) = timetable.asset_condition() else { return false };
    let complete: BTreeSet<AssetKey> = partition
        .received
        .values()
        .map(|received| (AssetKey { name: received.name.clone(), uri: received.uri.clone() }, &received.keys))
        .filter(|(asset, keys)| asset_is_complete(partition, timetable, asset, keys))
        .map(|(asset, _)| asset)
        .collect();
    condition.holds(&|asset| complete.contains(asset), lookup)
}

fn asset_is_complete(
    partition: &PendingPartition,
    timetable: &Timetable,
    asset: &AssetKey,
    keys: &BTreeSet<String>,
) -> bool {
    let Timetable::PartitionedAsset(assets) = timetable else { return true };
    match assets.status(asset, &partition.partition_key, keys) {
        Ok(Satisfaction::Satisfied) => true,
        Ok(Satisfaction::Waiting) => false,
        Ok(Satisfaction::Unreachable { reason }) => {
            tracing::warn!(dag_id = %partition.dag_id, asset = asset.name, "the partition can never be complete: {reason}");
            false
        }
        Err(error) => {
            tracing::error!(
                dag_id = %partition.dag_id, partition_key = partition.partition_key, asset = asset.name, %error,
                "Failed to evaluate rollup status for asset; treating as not-yet-satisfied."
            );
            false
        }
    }
}

fn partition_date(
    partition: &PendingPartition,
    timetable: &Timetable,
) -> Option<chrono::DateTime<chrono::Utc>> {
    let Timetable::PartitionedAsset(assets) = timetable else { return None };
    let contributed: Vec<AssetKey> = partition
        .received
        .values()
        .map(|received| AssetKey { name: received.name.clone(), uri: received.uri.clone() })
        .collect();
    let date = assets.partition_date(&contributed, &partition.partition_key, partition.partition_date);
    let (dag_id, partition_key) = (&partition.dag_id, partition.partition_key.as_str());
    match &date {
        PartitionDate::Resolved(_) => {}
        PartitionDate::Conflict(dates) => tracing::warn!(
            %dag_id, partition_key, ?dates,
            "the mappers of the partition's assets disagree about its date; partition_date stays unset"
        ),
        PartitionDate::Failed(error) => {
            tracing::error!(%dag_id, partition_key, %error, "Failed to resolve partition_date; it stays unset");
        }
    }
    date.date()
}
