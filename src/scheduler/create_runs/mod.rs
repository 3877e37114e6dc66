//! Making the runs that are due (`SchedulerJobRunner._create_dagruns_for_dags`).
//!
//! Stock Airflow makes at most one run per Dag and ten Dags per loop, row by row. Here one call makes the next run of
//! each of many Dags with a few statements; a backlog of one Dag takes one call per run. What is made, in which order and
//! up to which limits is the same.
//!
//! What is made starts in the same transaction, if it may: a Dag that is paused in that moment leaves no queued run behind,
//! which would then wait until the Dag goes on.

mod asset_triggered;
mod custom;
mod foresee;
mod next_run;
mod partitioned;
#[cfg(test)]
mod tests;
mod time_based;

use std::collections::{BTreeSet, HashSet};
use std::ops::Deref;

use chrono::{DateTime, Utc};

use slipstream_core::ids::DagId;

use super::start_runs::{self, StartedRuns};
use crate::store::create_run::{CreatedRun, RunOptions};
use crate::store::dag_bag::{DagBag, Dags};
use crate::store::runs::due::{self, DueDag};
use crate::store::{Db, StoreError, Tx, retry};

pub use custom::{CustomAnswer, CustomAnswers, CustomQuestion};
pub(super) use foresee::{Announced, ForeseenRuns, after, chain, foresee};

/// What the making of runs has to know.
#[derive(Clone, Debug)]
pub struct CreateOptions {
    /// Rules for new runs.
    pub runs: RunOptions,
    /// `job.id` of this scheduler.
    pub job_id: i64,
    /// Most Dags that get a run in one transaction.
    pub batch: i64,
    /// Most queued runs that start with those that are made; 0 leaves them queued.
    pub start: i64,
}

/// Dags per transaction, if `[scheduler] max_dagruns_to_create_per_loop` does not ask for more. That option is there to
/// bound the time of a transaction that works row by row.
pub const BATCH: i64 = 256;

/// What one call made.
#[derive(Debug, Default)]
pub struct CreatedRuns {
    /// The new runs.
    pub created: Vec<CreatedRun>,
    /// The queued runs, new ones or others, that were started.
    pub started: StartedRuns,
    /// Whether another call would find more.
    pub more: More,
    /// Dags with a timetable of the user's: their answers are needed before their runs can be made.
    pub questions: Vec<CustomQuestion>,
}

impl CreatedRuns {
    fn add(&mut self, other: Self) {
        self.created.extend(other.created);
        self.started.add(other.started);
        self.questions.extend(other.questions);
        if other.more == More::Yes {
            self.more = More::Yes;
        }
    }
}

/// Whether there is more to do at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum More {
    /// Call again at once.
    Yes,
    /// Nothing is due now.
    #[default]
    No,
}

/// Makes runs for partitions that are complete, for Dags whose time has come, and for Dags whose assets were updated.
///
/// A Dag whose run the database refuses does not keep the others from theirs: then each Dag gets a transaction of its own.
///
/// # Errors
/// As any statement, after a few tries, if it may succeed later; then nothing was made, or only a part of it.
pub async fn run_once(
    db: &Db,
    bag: &DagBag,
    options: &CreateOptions,
    answers: &CustomAnswers,
    now: DateTime<Utc>,
) -> Result<CreatedRuns, StoreError> {
    let context = Context { bag, options, answers, now };
    match transaction(db, context, Among::All).await {
        Err(error) if !error.is_transient() => {
            tracing::error!(%error, "dag runs could not be made together; each Dag gets a transaction of its own");
            apart(db, context).await
        }
        made => made,
    }
}

/// One transaction for each Dag; what fails for one of them is logged.
async fn apart(db: &Db, context: Context<'_>) -> Result<CreatedRuns, StoreError> {
    let tx = db.begin().await?;
    let candidates = Step { tx: &tx, context, among: Among::All }.candidates().await;
    tx.rollback().await?;
    let mut all = CreatedRuns::default();
    for dag_id in candidates? {
        match transaction(db, context, Among::Only(&dag_id)).await {
            Ok(made) => all.add(made),
            Err(error) if error.is_transient() => return Err(error),
            Err(error) => tracing::error!(%dag_id, %error, "Failed creating DagRun"),
        }
    }
    Ok(all)
}

async fn transaction(db: &Db, context: Context<'_>, among: Among<'_>) -> Result<CreatedRuns, StoreError> {
    retry("create dag runs", async || {
        let tx = db.begin().await?;
        let mut made = Step { tx: &tx, context, among }.make().await?;
        if !made.created.is_empty() && context.options.start > 0 {
            made.started =
                start_runs::in_transaction(&tx, context.bag, context.options.start, context.now).await?;
        }
        tx.commit().await?;
        Ok(made)
    })
    .await
}

/// What every transaction of one call works with.
#[derive(Clone, Copy, Debug)]
struct Context<'a> {
    bag: &'a DagBag,
    options: &'a CreateOptions,
    answers: &'a CustomAnswers,
    now: DateTime<Utc>,
}

/// Which Dags a transaction is about.
#[derive(Clone, Copy, Debug)]
enum Among<'a> {
    All,
    Only(&'a DagId),
}

impl Among<'_> {
    fn includes(self, dag_id: &DagId) -> bool {
        match self {
            Self::All => true,
            Self::Only(only) => only == dag_id,
        }
    }
}

/// One transaction and what it works with.
#[derive(Clone, Copy, Debug)]
struct Step<'a> {
    tx: &'a Tx,
    context: Context<'a>,
    among: Among<'a>,
}

impl<'a> Deref for Step<'a> {
    type Target = Context<'a>;

    fn deref(&self) -> &Context<'a> {
        &self.context
    }
}

/// Dags that need a run.
struct Due {
    by_asset: Vec<DueDag>,
    by_time: Vec<DueDag>,
    dags: Dags,
    page: Page,
}

/// Whether there may be more Dags than were read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Page {
    Full,
    Last,
}

impl Step<'_> {
    async fn make(self) -> Result<CreatedRuns, StoreError> {
        let mut made = CreatedRuns { created: self.partitioned().await?, ..CreatedRuns::default() };
        let by_partition: HashSet<DagId> =
            made.created.iter().map(|created| created.run.dag_id.clone()).collect();

        let Due { by_asset, by_time, dags, page } = self.due(&by_partition).await?;
        let timed = self.time_based(by_time, &dags).await?;
        if !timed.created.is_empty() && (page == Page::Full || timed.more == More::Yes) {
            made.more = More::Yes;
        }
        made.created.extend(timed.created);
        made.questions = timed.questions;
        made.created.extend(self.asset_triggered(&by_asset, &dags).await?);
        Ok(made)
    }

    /// The Dags that need a run now, without those that got one for a partition.
    async fn due(self, by_partition: &HashSet<DagId>) -> Result<Due, StoreError> {
        let ready = self.asset_ready().await?;
        let mut due = due::dags_needing_runs(self.tx, &ready, self.options.batch).await?;
        let page = if due.len() as i64 >= self.options.batch { Page::Full } else { Page::Last };
        due.retain(|dag| self.among.includes(&dag.dag_id));
        let ids: BTreeSet<DagId> = due.iter().map(|dag| dag.dag_id.clone()).collect();
        let dags = self.bag.latest(self.tx, &ids).await?;
        let ready: HashSet<DagId> = ready.into_iter().collect();
        let (by_asset, by_time) = due
            .into_iter()
            .filter(|dag| !by_partition.contains(&dag.dag_id))
            .partition(|dag| ready.contains(&dag.dag_id));
        Ok(Due { by_asset, by_time, dags, page })
    }

    /// The Dags for which [`Step::make`] may make something.
    async fn candidates(self) -> Result<BTreeSet<DagId>, StoreError> {
        let ready = self.asset_ready().await?;
        let due = due::dags_needing_runs(self.tx, &ready, self.options.batch).await?;
        let mut ids: BTreeSet<DagId> = due.into_iter().map(|dag| dag.dag_id).collect();
        ids.extend(self.pending_partitions().await?.into_iter().map(|partition| partition.dag_id));
        Ok(ids)
    }
}
