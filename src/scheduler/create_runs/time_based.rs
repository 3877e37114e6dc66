//! Runs of Dags whose time has come (`SchedulerJobRunner._create_dag_runs`).

use std::collections::HashMap;
use std::sync::Arc;

use slipstream_core::ids::DagId;
use slipstream_core::run::Counting;
use slipstream_core::schedule::NextRunFacts;
use slipstream_core::state::{RunState, RunType};

use super::{CreatedRuns, CustomQuestion, More, Step, next_run};
use crate::store::StoreError;
use crate::store::create_run::{self, Creation, NewRun, RunRequest, TriggeredBy};
use crate::store::dag_bag::{CachedDag, Dags};
use crate::store::runs::active::active_runs;
use crate::store::runs::due::{self, DueDag, existing_runs};
use crate::store::runs::run_id::random_end;

/// What is to be done about one due Dag.
pub(super) enum Plan {
    /// Make this run.
    Create(NewRun),
    /// Its run exists already: only say when the next one is.
    Advance(NextRunFacts),
    /// Ask Python first.
    Ask(CustomQuestion),
}

impl Step<'_> {
    /// Makes the announced run of each due Dag and writes when its next one is.
    pub(super) async fn time_based(self, due: Vec<DueDag>, dags: &Dags) -> Result<CreatedRuns, StoreError> {
        let mut made = CreatedRuns::default();
        if due.is_empty() {
            return Ok(made);
        }
        let mut next: Vec<(DagId, NextRunFacts)> = Vec::new();
        let mut requests = Vec::new();
        let mut of_request: Vec<&DueDag> = Vec::new();
        for (dag, plan) in self.plans(&due, dags).await? {
            match plan {
                Plan::Create(run) => {
                    requests.push(RunRequest { run, dag: Arc::clone(&dags[&dag.dag_id]) });
                    of_request.push(dag);
                }
                Plan::Advance(facts) => next.push((dag.dag_id.clone(), facts)),
                Plan::Ask(question) => made.questions.push(question),
            }
        }

        let mut active = active_runs(self.tx, of_request.iter().map(|dag| &dag.dag_id)).await?;
        let mut full = Vec::new();
        let outcomes = create_run::create(self.tx, requests, &self.options.runs, self.now).await?;
        for (dag, outcome) in of_request.into_iter().zip(outcomes) {
            let created = match outcome {
                Creation::Created(created) => created,
                Creation::Refused(why) => {
                    tracing::error!(dag_id = %dag.dag_id, %why, "Failed creating DagRun");
                    continue;
                }
                Creation::Exists => {
                    tracing::error!(dag_id = %dag.dag_id, "Failed creating DagRun: its run_id is taken");
                    continue;
                }
            };
            let facts = self.next_of(dag, &dags[&dag.dag_id], &created.run);
            let count = active.entry(dag.dag_id.clone()).or_default();
            *count += 1;
            let counted = dags[&dag.dag_id].counting == Counting::Counted;
            if counted && *count >= dag.max_active_runs {
                full.push(dag.dag_id.clone());
            } else if facts.create_after.is_some_and(|at| at <= self.now) {
                made.more = More::Yes;
            }
            next.push((dag.dag_id.clone(), facts));
            made.created.push(created);
        }
        due::set_next_runs(self.tx, &next).await?;
        due::set_full(self.tx, &full).await?;
        Ok(made)
    }

    /// What is to be done about each due Dag; one for which there is nothing to do is left out. Writes nothing.
    pub(super) async fn plans<'d>(
        self,
        due: &'d [DueDag],
        dags: &Dags,
    ) -> Result<Vec<(&'d DueDag, Plan)>, StoreError> {
        let existing: HashMap<DagId, _> =
            existing_runs(self.tx, due).await?.into_iter().map(|found| (found.dag_id, found.run)).collect();
        let mut plans = Vec::with_capacity(due.len());
        for dag in due {
            let Some(cached) = dags.get(&dag.dag_id) else {
                tracing::error!(dag_id = %dag.dag_id, "Dag not found in serialized_dag table");
                continue;
            };
            plans.extend(self.plan(dag, cached, existing.get(&dag.dag_id)).map(|plan| (dag, plan)));
        }
        Ok(plans)
    }

    /// What to do about a due Dag; `None`, with a line in the log, for nothing.
    fn plan(
        self,
        dag: &DueDag,
        cached: &CachedDag,
        existing: Option<&slipstream_core::schedule::RunFacts>,
    ) -> Option<Plan> {
        let dag_id = &dag.dag_id;
        let missing = match dag {
            DueDag { partitioned: true, next, .. } if next.partition_key.is_none() => {
                Some("next_dagrun_partition_key")
            }
            DueDag { partitioned: false, next, .. } if next.next_dagrun.is_none() => Some("next_dagrun"),
            DueDag { next, .. } if next.create_after.is_none() => Some("next_dagrun_create_after"),
            _ => None,
        };
        if let Some(column) = missing {
            tracing::error!(%dag_id, column, "the Dag's next run is not complete in table `dag`; its file must be parsed again");
            return None;
        }
        let custom = cached.timetable.properties().is_err_and(|error| error.is_custom());
        if let Some(run) = existing {
            tracing::warn!(%dag_id, "run already exists; skipping dagrun creation");
            return Some(if custom {
                match self.answer(dag) {
                    Some(answer) => Plan::Advance(answer.next.clone()),
                    None => Plan::Ask(question(dag)),
                }
            } else {
                Plan::Advance(next_run::after(cached, run, self.now))
            });
        }
        if !dag.allows_scheduled() {
            tracing::warn!(%dag_id, "Dag does not allow scheduled runs; skipping");
            return None;
        }
        if custom && self.answer(dag).is_none() {
            return Some(Plan::Ask(question(dag)));
        }
        let announced = match cached.timetable.announced_run(&dag.next) {
            Ok(announced) => announced?,
            Err(error) => {
                tracing::error!(%dag_id, %error, "Failed creating DagRun");
                return None;
            }
        };
        let key = announced.partition_key.as_deref();
        let run_id = match self.answer(dag).filter(|_| custom) {
            Some(answer) => Ok(answer.run_id.clone()),
            None => {
                cached.timetable.generate_run_id(RunType::Scheduled, announced.run_after, key, &random_end())
            }
        };
        let run_id =
            run_id.inspect_err(|error| tracing::error!(%dag_id, %error, "Failed creating DagRun")).ok()?;
        Some(Plan::Create(NewRun {
            dag_id: dag_id.clone(),
            run_id: run_id.into(),
            run_type: RunType::Scheduled,
            triggered_by: TriggeredBy::Timetable,
            triggering_user_name: None,
            logical_date: announced.logical_date(),
            data_interval: announced.data_interval.map(|interval| (interval.start, interval.end)),
            run_after: announced.run_after,
            state: RunState::Queued,
            conf: None,
            creating_job_id: Some(self.options.job_id),
            backfill_id: None,
            partition_date: announced.partition_date,
            partition_key: announced.partition_key,
        }))
    }

    /// The answer of Python about this very run.
    fn answer(&self, dag: &DueDag) -> Option<&super::CustomAnswer> {
        self.answers.get(&dag.dag_id).filter(|answer| answer.due == dag.next)
    }

    /// The run after one that was made.
    fn next_of(self, dag: &DueDag, cached: &CachedDag, run: &NewRun) -> NextRunFacts {
        match self.answer(dag) {
            Some(answer) => answer.next.clone(),
            None => next_run::after(cached, &next_run::facts(run), self.now),
        }
    }
}

fn question(dag: &DueDag) -> CustomQuestion {
    CustomQuestion { dag_id: dag.dag_id.clone(), due: dag.next.clone() }
}
