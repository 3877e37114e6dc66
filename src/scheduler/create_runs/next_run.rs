//! When a Dag runs next (`DagModel.calculate_dagrun_date_fields`).

use chrono::{DateTime, Utc};

use slipstream_core::dag::Dag;
use slipstream_core::schedule::{Catchup, NextRunFacts, Restriction, RunFacts};

use crate::store::create_run::NewRun;
use crate::store::dag_bag::CachedDag;

/// What bounds the runs of a Dag: the earliest start and, if every task has an end, the latest end
/// (`SerializedDAG._time_restriction`).
pub(super) fn restriction(dag: &Dag) -> Restriction {
    let starts = dag.tasks.iter().filter_map(|task| task.start_date).chain(dag.start_date);
    let ends: Vec<DateTime<Utc>> = dag.tasks.iter().filter_map(|task| task.end_date).collect();
    let latest =
        if ends.len() == dag.tasks.len() { ends.into_iter().chain(dag.end_date).max() } else { dag.end_date };
    Restriction { earliest: starts.min(), latest, catchup: Catchup::from(dag.catchup) }
}

/// The run after `last`, as the columns of `dag`. A timetable that cannot say has no next run, as in Airflow.
pub(super) fn after(cached: &CachedDag, last: &RunFacts, now: DateTime<Utc>) -> NextRunFacts {
    let next = cached
        .timetable
        .last_run(last)
        .and_then(|last| cached.timetable.next_run(Some(&last), &restriction(&cached.dag), now));
    match next {
        Ok(next) => NextRunFacts::from(next),
        Err(error) => {
            tracing::error!(dag_id = %cached.dag.dag_id, %error, "the timetable does not say when the next run is");
            NextRunFacts::default()
        }
    }
}

/// A new run as the last one.
pub(super) fn facts(run: &NewRun) -> RunFacts {
    RunFacts {
        run_after: run.run_after,
        data_interval_start: run.data_interval.map(|interval| interval.0),
        data_interval_end: run.data_interval.map(|interval| interval.1),
        partition_key: run.partition_key.clone(),
    }
}
