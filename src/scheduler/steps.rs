//! The steps of a tick that only call and pass on: making runs, starting runs, deadlines, callbacks for executors.

use chrono::{DateTime, Utc};
use slipstream_core::ids::{DagId, RunId};
use slipstream_core::state::{RunState, RunType};

use super::create_runs::{self, More};
use super::duties::missed_deadlines;
use super::enqueue::callback_workload;
use super::start_runs::{self, StartedRuns};
use super::tick::Scheduler;
use crate::executor::Executor;
use crate::store::callbacks::ExecutorCallback;
use crate::store::{StoreError, callbacks};
use crate::telemetry::metrics::{self, team_tag};

impl Scheduler {
    /// Makes the runs that are due; comes again at once while there are more.
    pub(super) async fn create_runs(&mut self, now: DateTime<Utc>) -> Result<(), StoreError> {
        self.agenda.create_runs = false;
        // What is due and cannot be made must not keep the loop awake.
        self.clocks.next_due = None;
        self.custom.collect(&mut self.answers);
        let made = create_runs::run_once(&self.db, &self.bag, &self.create, &self.answers, now).await?;
        for created in &made.created {
            self.answers.remove(&created.run.dag_id);
            tracing::debug!(dag_id = %created.run.dag_id, run_id = %created.run.run_id, "made a run");
            if created.run.run_type == RunType::AssetTriggered && created.run.partition_key.is_none() {
                let team = metrics::team_of_dag(created.run.dag_id.as_str());
                metrics::incr("asset.triggered_dagruns", &team_tag(team.as_deref()));
            }
        }
        self.follow_started(made.started);
        self.agenda.create_runs |= made.more == More::Yes;
        if !made.created.is_empty() {
            self.poll_soon();
        }
        self.custom.ask(made.questions);
        Ok(())
    }

    /// Starts queued runs; comes again at once while there may be more.
    pub(super) async fn start_runs(&mut self, now: DateTime<Utc>) -> Result<(), StoreError> {
        self.agenda.start_runs = false;
        let page = i64::try_from(self.options.runs_per_pass).unwrap_or(i64::MAX);
        let runs = start_runs::run_once(&self.db, &self.bag, page, now).await?;
        self.follow_started(runs);
        Ok(())
    }

    fn follow_started(&mut self, runs: StartedRuns) {
        self.agenda.start_runs |= runs.page_was_full && !runs.started.is_empty();
        for run in runs.started {
            if let Some(delay) = run.schedule_delay.and_then(|delay| delay.to_std().ok()) {
                metrics::timing("dagrun.schedule_delay", delay, &[("dag_id", run.dag_id.as_str())]);
            }
            self.agenda.look_at(run.id);
            self.launched.start(run.id);
            self.announce(run.dag_id, run.run_id, RunState::Running, "started");
        }
    }

    /// Hands on the callbacks of missed deadlines, and those that wait for an executor.
    pub(super) async fn deadlines_and_callbacks(&mut self, now: DateTime<Utc>) -> Result<(), StoreError> {
        if std::mem::take(&mut self.agenda.deadlines) {
            for missed in
                missed_deadlines::run_once(&self.db, &self.fernet, self.options.multi_team, now).await?
            {
                let tags = [("dag_id", missed.dag_id.as_str()), ("dagrun_id", missed.run_id.as_str())];
                metrics::incr("deadline_alerts.deadline_missed", &tags);
            }
            self.agenda.callbacks = true;
        }
        if !std::mem::take(&mut self.agenda.callbacks) {
            return Ok(());
        }
        let free = self.executors.rooms().values().fold(0_i64, |sum, free| sum.saturating_add(free.batch));
        if free == 0 {
            return Ok(());
        }
        let tx = self.db.begin().await?;
        let mut pending = callbacks::pending_for_executors(&tx, free).await?;
        pending.retain(|callback| self.executor_of(callback).is_some());
        let ids: Vec<_> = pending.iter().map(|callback| callback.id).collect();
        callbacks::mark_queued(&tx, &ids).await?;
        tx.commit().await?;
        for callback in pending {
            match self.executor_of(&callback) {
                Some(Executor::Local(executor)) => executor.queue(vec![callback_workload(callback)]),
                Some(Executor::Hosted(executor)) => executor.queue_callbacks([callback.id]),
                None => {}
            }
        }
        Ok(())
    }

    /// Where a callback goes. As in Airflow, one for an executor that is not there stays pending.
    fn executor_of(&self, callback: &ExecutorCallback) -> Option<&Executor> {
        let found = self.executors.of(callback.executor(), callback.team.as_deref());
        if found.is_none() {
            tracing::debug!(callback = %callback.id, executor = callback.executor(), "the callback is left pending: there is no such executor");
        }
        found.map(|(_, executor)| executor)
    }

    /// Tells listeners of plugins about a run.
    pub(super) fn announce(&self, dag_id: DagId, run_id: RunId, state: RunState, message: &'static str) {
        self.listeners.dag_run(&dag_id, &run_id, state, message);
    }
}
