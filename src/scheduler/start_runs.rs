//! Queued runs that may start (`SchedulerJobRunner._start_queued_dagruns`).

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};

use slipstream_core::ids::{DagId, RunId};
use slipstream_core::state::RunType;

use crate::store::dag_bag::{DagBag, Dags};
use crate::store::runs::queued::{self, QueuedRun};
use crate::store::{Db, StoreError, Tx, retry};

/// A run that was started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartedRun {
    /// `dag_run.id`.
    pub id: i64,
    /// The Dag.
    pub dag_id: DagId,
    /// The run.
    pub run_id: RunId,
    /// What kind of run it is.
    pub run_type: RunType,
    /// How late it started, for the metric `dagrun.schedule_delay`; only for runs that a timetable made.
    pub schedule_delay: Option<TimeDelta>,
}

/// What one call did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StartedRuns {
    /// The runs that are running now.
    pub started: Vec<StartedRun>,
    /// Whether as many runs were looked at as may be looked at once, so that there may be more.
    pub page_was_full: bool,
}

impl StartedRuns {
    /// Adds what another transaction did.
    pub fn add(&mut self, other: Self) {
        self.started.extend(other.started);
        self.page_was_full |= other.page_was_full;
    }
}

/// Starts queued runs, up to the limits of their Dags and backfills.
///
/// # Errors
/// As any statement, after a few tries; then nothing was started.
pub async fn run_once(
    db: &Db,
    bag: &DagBag,
    page: i64,
    now: DateTime<Utc>,
) -> Result<StartedRuns, StoreError> {
    retry("start queued dag runs", async || {
        // Queued runs of paused or full Dags are looked at again and again: that needs no transaction.
        if queued::queued_runs(db, &bag.long_running(), 1).await?.is_empty() {
            return Ok(StartedRuns::default());
        }
        let tx = db.begin().await?;
        let runs = in_transaction(&tx, bag, page, now).await?;
        tx.commit().await?;
        Ok(runs)
    })
    .await
}

/// The same, as a part of what else the transaction does.
///
/// # Errors
/// As any statement.
pub async fn in_transaction(
    tx: &Tx,
    bag: &DagBag,
    page: i64,
    now: DateTime<Utc>,
) -> Result<StartedRuns, StoreError> {
    let chosen = choose(tx, bag, page, now).await?;
    let ids: Vec<i64> = chosen.started.iter().map(|run| run.id).collect();
    queued::start_runs(tx, &ids, now).await?;
    Ok(chosen)
}

/// The queued runs that would be started now. Writes nothing.
///
/// # Errors
/// As any statement.
pub(super) async fn choose(
    tx: &Tx,
    bag: &DagBag,
    page: i64,
    now: DateTime<Utc>,
) -> Result<StartedRuns, StoreError> {
    let unlimited = bag.long_running();
    let runs = queued::queued_runs(tx, &unlimited, page).await?;
    let backfills = queued::lock_backfills(tx, &runs).await?;
    let mut running = queued::running_runs(tx, &runs).await?;
    let ids: BTreeSet<DagId> = runs.iter().map(|run| run.dag_id.clone()).collect();
    let dags = bag.latest(tx, &ids).await?;
    let mut started = Vec::new();
    for run in &runs {
        if !dags.contains_key(&run.dag_id) {
            tracing::error!(dag_id = %run.dag_id, "DAG '{}' not found in serialized_dag table", run.dag_id);
            continue;
        }
        if run.backfill.is_some_and(|backfill| !backfills.contains(&backfill.id)) {
            continue;
        }
        let key = (run.dag_id.clone(), run.backfill.map(|backfill| backfill.id));
        let active = running.entry(key).or_default();
        if limit(run, &unlimited).is_some_and(|limit| *active >= limit) {
            continue;
        }
        *active += 1;
        started.push(start(run, &dags, now));
    }
    Ok(StartedRuns { started, page_was_full: runs.len() as i64 >= page })
}

/// How many runs may run beside this one; `None` for any number. A Dag's limit of 0 is none here, as in Airflow.
fn limit(run: &QueuedRun, unlimited: &BTreeSet<DagId>) -> Option<i64> {
    match run.backfill {
        Some(backfill) => Some(backfill.max_active_runs),
        None if unlimited.contains(&run.dag_id) => None,
        None => run.max_active_runs.filter(|limit| *limit != 0),
    }
}

fn start(run: &QueuedRun, dags: &Dags, now: DateTime<Utc>) -> StartedRun {
    let periodic = dags.get(&run.dag_id).is_some_and(|dag| dag.timetable.is_periodic().unwrap_or(true));
    let timed = periodic && run.run_type != RunType::Manual && !run.by_asset && run.clear_number < 1;
    StartedRun {
        id: run.id,
        dag_id: run.dag_id.clone(),
        run_id: run.run_id.clone(),
        run_type: run.run_type,
        schedule_delay: timed.then(|| now - run.run_after),
    }
}
