//! Which runs would be made now, without making them: what `--shadow` compares another scheduler with.

use std::collections::HashSet;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use slipstream_core::ids::DagId;
use slipstream_core::schedule::{NextRunFacts, RunFacts};
use slipstream_core::state::RunType;

use super::time_based::Plan;
use super::{Among, Context, CreateOptions, CustomAnswers, Due, Step, next_run};
use crate::store::create_run::{NewRun, RunRequest, check};
use crate::store::dag_bag::{CachedDag, DagBag};
use crate::store::{StoreError, Tx};

/// Runs that would be made now.
#[derive(Debug, Default)]
pub(crate) struct ForeseenRuns {
    /// Because their time has come. Of a Dag with a timetable of the user's there is no name of the run.
    pub(crate) timed: Vec<Announced>,
    /// Because their assets were updated.
    pub(crate) by_asset: Vec<DagId>,
    /// Because a partition is complete: the Dag and the partition's key.
    pub(crate) by_partition: Vec<(DagId, String)>,
}

/// A run by a timetable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Announced {
    pub(crate) dag_id: DagId,
    /// `None` where only chance or users' Python knows it.
    pub(crate) run_id: Option<String>,
    pub(crate) logical_date: Option<DateTime<Utc>>,
    pub(crate) data_interval: Option<(DateTime<Utc>, DateTime<Utc>)>,
    pub(crate) run_after: DateTime<Utc>,
    pub(crate) partition_key: Option<String>,
}

impl Announced {
    fn of(run: NewRun) -> Self {
        let named = run.partition_key.is_none();
        Self {
            run_id: named.then(|| run.run_id.to_string()),
            dag_id: run.dag_id,
            logical_date: run.logical_date,
            data_interval: run.data_interval,
            run_after: run.run_after,
            partition_key: run.partition_key,
        }
    }
}

/// What [`super::run_once`] would make. Reads only.
///
/// # Errors
/// As any statement.
pub(crate) async fn foresee(
    tx: &Tx,
    bag: &DagBag,
    options: &CreateOptions,
    now: DateTime<Utc>,
) -> Result<ForeseenRuns, StoreError> {
    let answers = CustomAnswers::new();
    let step = Step { tx, context: Context { bag, options, answers: &answers, now }, among: Among::All };
    let (ripe, _) = step.ripe_partitions().await?;
    let by_partition: Vec<(DagId, String)> =
        ripe.into_iter().map(|(partition, _)| (partition.dag_id, partition.partition_key)).collect();
    let taken: HashSet<DagId> = by_partition.iter().map(|(dag_id, _)| dag_id.clone()).collect();
    let Due { by_asset, by_time, dags, .. } = step.due(&taken).await?;
    let mut timed = Vec::new();
    for (dag, plan) in step.plans(&by_time, &dags).await? {
        match plan {
            Plan::Create(run) => {
                let request = RunRequest { run, dag: Arc::clone(&dags[&dag.dag_id]) };
                if check(&request, &options.runs.run_ids).is_ok() {
                    timed.push(Announced::of(request.run));
                }
            }
            Plan::Ask(_) => timed.extend(announced(&dag.dag_id, &dags[&dag.dag_id], &dag.next)),
            Plan::Advance(_) => {}
        }
    }
    let scheduled_on_assets =
        |dag_id: &DagId| dags.get(dag_id).is_some_and(|dag| dag.timetable.is_asset_triggered());
    let by_asset = by_asset.into_iter().map(|dag| dag.dag_id).filter(scheduled_on_assets).collect();
    Ok(ForeseenRuns { timed, by_asset, by_partition })
}

/// The runs that follow one another from the one that the columns `next` of a Dag announce, up to `until` and at most
/// `most`.
pub(crate) fn chain(
    dag_id: &DagId,
    cached: &CachedDag,
    next: &NextRunFacts,
    until: DateTime<Utc>,
    most: usize,
) -> Vec<Announced> {
    let mut runs = Vec::new();
    let mut next = next.clone();
    while runs.len() < most && next.create_after.is_some_and(|at| at <= until) {
        let Some(run) = announced(dag_id, cached, &next) else { break };
        next = after(cached, &run, until);
        runs.push(run);
    }
    runs
}

/// The run after `run`, as asked at that moment, as columns of `dag`.
pub(crate) fn after(cached: &CachedDag, run: &Announced, now: DateTime<Utc>) -> NextRunFacts {
    let facts = RunFacts {
        run_after: run.run_after,
        data_interval_start: run.data_interval.map(|interval| interval.0),
        data_interval_end: run.data_interval.map(|interval| interval.1),
        partition_key: run.partition_key.clone(),
    };
    next_run::after(cached, &facts, now)
}

fn announced(dag_id: &DagId, cached: &CachedDag, next: &NextRunFacts) -> Option<Announced> {
    let run = cached.timetable.announced_run(next).ok()??;
    let id = cached.timetable.generate_run_id(RunType::Scheduled, run.run_after, None, "");
    Some(Announced {
        dag_id: dag_id.clone(),
        run_id: id.ok().filter(|_| run.partition_key.is_none()),
        logical_date: run.logical_date(),
        data_interval: run.data_interval.map(|interval| (interval.start, interval.end)),
        run_after: run.run_after,
        partition_key: run.partition_key,
    })
}
