//! Runs of Dags whose assets were updated (`SchedulerJobRunner._create_dag_runs_asset_triggered`).

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use chrono::{DateTime, Utc};

use slipstream_core::asset::AssetKey;
use slipstream_core::ids::DagId;
use slipstream_core::run::Counting;
use slipstream_core::state::{RunState, RunType};

use super::Step;
use crate::store::StoreError;
use crate::store::assets::events::{self, Backlog};
use crate::store::assets::lookup::Lookup;
use crate::store::assets::queue;
use crate::store::create_run::{self, CreatedRun, Creation, NewRun, RunRequest, TriggeredBy};
use crate::store::dag_bag::Dags;
use crate::store::runs::active::recompute_exceeds_of;
use crate::store::runs::due::DueDag;
use crate::store::runs::run_id;

/// A run that asset events make.
pub(super) fn asset_run(dag_id: &DagId, run_after: DateTime<Utc>, job_id: i64) -> NewRun {
    NewRun {
        dag_id: dag_id.clone(),
        run_id: run_id::generate(RunType::AssetTriggered, None, run_after).into(),
        run_type: RunType::AssetTriggered,
        triggered_by: TriggeredBy::Asset,
        triggering_user_name: None,
        logical_date: None,
        data_interval: None,
        run_after,
        state: RunState::Queued,
        conf: None,
        creating_job_id: Some(job_id),
        backfill_id: None,
        partition_key: None,
        partition_date: None,
    }
}

impl Step<'_> {
    /// Dags with queued assets that satisfy their condition, and with room for another run.
    pub(super) async fn asset_ready(self) -> Result<Vec<DagId>, StoreError> {
        let queued = queue::queued_assets(self.tx).await?;
        if queued.is_empty() {
            return Ok(Vec::new());
        }
        let ids: BTreeSet<DagId> = queued.keys().cloned().collect();
        let dags = self.bag.latest(self.tx, &ids).await?;
        let conditions = dags.values().filter_map(|dag| dag.timetable.asset_condition());
        let lookup = Lookup::load(self.tx, conditions).await?;
        let mut ready = Vec::new();
        for (dag_id, assets) in queued {
            let Some(dag) = dags.get(&dag_id) else {
                tracing::info!(%dag_id, "asset events wait for the Dag to be serialised");
                continue;
            };
            let updated: HashSet<AssetKey> =
                assets.into_iter().map(|asset| AssetKey { name: asset.name, uri: asset.uri }).collect();
            let condition = dag.timetable.asset_condition();
            if condition.is_some_and(|condition| condition.holds(&|key| updated.contains(key), &lookup)) {
                ready.push(dag_id);
            }
        }
        let full = queue::at_limit(self.tx, &ready).await?;
        ready.retain(|dag_id| !full.contains(dag_id));
        Ok(ready)
    }

    /// Makes a run of each of these Dags, with the events that it consumes.
    pub(super) async fn asset_triggered(
        self,
        due: &[DueDag],
        dags: &Dags,
    ) -> Result<Vec<CreatedRun>, StoreError> {
        let mut made = Vec::new();
        for dag in due {
            let dag_id = &dag.dag_id;
            let Some(cached) = dags.get(dag_id) else {
                tracing::error!(%dag_id, "Dag not found in serialized_dag table");
                continue;
            };
            if !cached.timetable.is_asset_triggered() {
                tracing::error!(%dag_id, "the Dag was asset-scheduled, but has no AssetTriggeredTimetable");
                continue;
            }
            let queued = queue::lock_queued(self.tx, dag_id).await?;
            // Another scheduler may have taken them.
            let Some((_, until)) = queued.first().copied() else { continue };
            let backlog = if cached.dag.catchup { Backlog::Replayed } else { Backlog::Skipped };
            let consumed = events::events_for_run(self.tx, dag_id, until, backlog).await?;
            let run = asset_run(dag_id, until, self.options.job_id);
            let request = RunRequest { run, dag: Arc::clone(cached) };
            let outcome = create_run::create(self.tx, vec![request], &self.options.runs, self.now).await?;
            match outcome.into_iter().next() {
                Some(Creation::Created(created)) => {
                    events::consume(self.tx, created.id, &consumed).await?;
                    queue::delete_queued(self.tx, dag_id, &queued).await?;
                    tracing::info!(
                        %dag_id, run_id = %created.run.run_id, events = consumed.len(), "Created asset-triggered DagRun"
                    );
                    made.push(created);
                }
                Some(Creation::Refused(why)) => tracing::error!(%dag_id, %why, "Failed creating DagRun"),
                Some(Creation::Exists) | None => {}
            }
        }
        if !made.is_empty() {
            let counted =
                |dag_id: &&DagId| dags.get(*dag_id).is_none_or(|dag| dag.counting == Counting::Counted);
            let made = made.iter().map(|created| &created.run.dag_id).filter(counted);
            recompute_exceeds_of(self.tx, made).await?;
        }
        Ok(made)
    }
}
