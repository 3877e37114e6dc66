//! What is judged about a run, from facts that were read: the half of a look that writes nothing. The loop carries it out
//! ([`look`](super::look)), `--shadow` compares it with what another scheduler does ([`shadow`](super::shadow)).

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use chrono::{DateTime, Utc};
use slipstream_core::run::{self, EventFacts, Examination, Facts};
use slipstream_core::state::UnknownState;
use uuid::Uuid;

use crate::store::dag_bag::{CachedDag, DagBag};
use crate::store::snapshot::{self, RunSnapshot};
use crate::store::{StoreError, Tx};
use crate::telemetry::metrics;

/// The judgement of a run.
#[derive(Debug)]
pub(super) enum Judgement {
    /// What is to be done.
    Is(Examination, Past),
    /// A row that it depends on, of the run before this one say, is in a state that is not known.
    Unreadable(UnknownState),
}

/// Whether a task of a run that has not begun looks at an earlier run (`depends_on_past`, `wait_for_downstream`). Nothing of the run
/// itself tells when that one has gone on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Past {
    /// None.
    Irrelevant,
    /// At least one.
    Watched,
}

/// The Dag that each run goes by, in the order of the runs.
///
/// # Errors
/// As any statement.
pub(super) async fn dags(
    tx: &Tx,
    bag: &DagBag,
    runs: &[RunSnapshot],
) -> Result<Vec<Option<Arc<CachedDag>>>, StoreError> {
    let pinned: BTreeSet<Uuid> = runs.iter().filter_map(RunSnapshot::pinned_version).collect();
    let follow = runs.iter().filter(|run| run.pinned_version().is_none());
    let newest = bag.latest(tx, &follow.map(|run| run.facts.dag_id.clone()).collect()).await?;
    let versions = bag.versions(tx, &pinned).await?;
    let dag_of = |run: &RunSnapshot| match run.pinned_version() {
        Some(version) => versions.get(&version).cloned(),
        None => newest.get(&run.facts.dag_id).cloned(),
    };
    Ok(runs.iter().map(dag_of).collect())
}

/// Loads what the judgement needs besides the run's rows, and judges.
///
/// # Errors
/// As any statement.
pub(super) async fn judge(
    tx: &Tx,
    run: &RunSnapshot,
    dag: &CachedDag,
    events: Option<EventFacts>,
    options: run::Options,
    now: DateTime<Utc>,
) -> Result<Judgement, StoreError> {
    let facts = &run.facts;
    let needs = run::needs(&dag.dag, facts, &run.tis);
    let mut loaded = match snapshot::load_needs(tx, facts, &needs).await {
        Ok(loaded) => loaded,
        Err(StoreError::UnknownState(why)) => return Ok(Judgement::Unreadable(why)),
        Err(error) => return Err(error),
    };
    loaded.events = events;
    let began = Instant::now();
    let facts = Facts { dag: &dag.dag, run: facts, tis: &run.tis, loaded: &loaded, options };
    let judged = run::examine(&facts, now);
    let past = if needs.previous_run.is_some() { Past::Watched } else { Past::Irrelevant };
    let tags = [("dag_id", facts.run.dag_id.as_str()), ("run_type", facts.run.run_type.as_str())];
    metrics::timing("dagrun.dependency-check", began.elapsed(), &tags);
    Ok(Judgement::Is(judged, past))
}
