//! What executors report: tries whose process is gone, callbacks that ended.
//!
//! Mirrors `process_executor_events` of `airflow/jobs/scheduler_job_runner.py`. A try that reported its own end is settled
//! and costs no query here. One that did not ("state mismatch": killed, crashed, never started) is failed or retried.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use slipstream_core::executor::ExecutorIndex;
use slipstream_core::ids::{DagId, RunId, TiKey};
use slipstream_core::state::TaskState;
use uuid::Uuid;

use super::tick::Scheduler;
use crate::executor::{Report, WorkEvent};
use crate::store::audit_log;
use crate::store::callbacks::{self, CallbackRequest, EmailKind};
use crate::store::commands;
use crate::store::dag_bag::CachedDag;
use crate::store::ended_tis::{self, EndedTi};
use crate::store::failure::{self, FailedTask, Failure, log_entry};
use crate::store::{Conn, StoreError, Tx, retry};
use crate::telemetry::metrics::Held;

/// What an executor says about work that it was given.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Told {
    /// Who says so.
    pub(super) from: ExecutorIndex,
    /// What.
    pub(super) event: WorkEvent,
}

/// A try that ended without a word in the database.
struct Mismatch<'a> {
    ti: &'a EndedTi,
    report: Report,
    message: String,
}

/// What was reported of a try.
#[derive(Clone, Copy)]
struct Said<'a> {
    executor: ExecutorIndex,
    report: Report,
    /// The executor's words.
    info: Option<&'a str>,
}

/// What was reported of each try.
type Tries<'a> = HashMap<&'a TiKey, Said<'a>>;

/// What became of the tries that were reported.
struct Mended {
    /// Runs that are to be examined.
    runs: Vec<(DagId, RunId)>,
    /// Rows that another transaction holds.
    locked: HashSet<TiKey>,
    /// Tries that were failed, with the reason.
    failed: Vec<(Failure, String)>,
}

impl Scheduler {
    /// Processes what has been reported. What cannot be written now is kept for the next round; what cannot be written at
    /// all is dropped, alone: the row's heartbeat runs out then.
    pub(super) async fn process_all_ended(&mut self, now: DateTime<Utc>) -> Result<(), StoreError> {
        let ended = std::mem::take(&mut self.ended);
        let error = match self.process_ended(&ended, now).await {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        if error.is_transient() {
            self.ended.splice(..0, ended);
            return Err(error);
        }
        for (index, event) in ended.iter().enumerate() {
            match self.process_ended(std::slice::from_ref(event), now).await {
                Ok(()) => {}
                Err(error) if error.is_transient() => {
                    self.ended.splice(..0, ended.iter().skip(index).cloned());
                    return Err(error);
                }
                Err(error) => tracing::error!(?event, %error, "an executor's report cannot be processed"),
            }
        }
        Ok(())
    }

    /// Brings the database in line with what the executor reports.
    pub(super) async fn process_ended(
        &mut self,
        ended: &[Told],
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        self.process_callbacks(ended).await?;
        self.process_hosted(ended, now).await?;
        let mut tries: Tries<'_> = HashMap::new();
        for told in ended {
            if let WorkEvent::TaskEnded { key, report, info, .. } = &told.event
                && *report != Report::Settled
            {
                tries.insert(key, Said { executor: told.from, report: *report, info: info.as_deref() });
            }
        }
        if tries.is_empty() {
            return Ok(());
        }
        let held = self.executors.held_tasks();
        let this: &Self = self;
        let mended = retry("executor events", || this.mend(&tries, &held, now)).await?;
        for (failure, why) in &mended.failed {
            self.listeners.task_failed(&failure.key, failure.state, why);
        }
        for (dag_id, run_id) in mended.runs {
            self.agenda.look_at_named(dag_id, run_id);
        }
        let locked = |told: &&Told| matches!(&told.event, WorkEvent::TaskEnded { key, .. } if mended.locked.contains(key));
        self.put_off.extend(ended.iter().filter(locked).cloned());
        Ok(())
    }

    /// Fails or retries the tries that are still active in the database.
    async fn mend(
        &self,
        tries: &Tries<'_>,
        held: &HashSet<Uuid>,
        now: DateTime<Utc>,
    ) -> Result<Mended, StoreError> {
        let tx = self.db.begin().await?;
        let keys: Vec<&TiKey> = tries.keys().copied().collect();
        let rows = ended_tis::lock(&tx, &keys).await?;
        let got: HashSet<&TiKey> = rows.iter().map(|ti| &ti.key).collect();
        let missing: Vec<&TiKey> = keys.into_iter().filter(|key| !got.contains(key)).collect();
        let locked = ended_tis::existing(&tx, &missing).await?;
        let follow = rows.iter().filter(|ti| ti.pinned_version.is_none());
        let newest = self.bag.latest(&tx, &follow.map(|ti| ti.key.dag_id.clone()).collect()).await?;
        let pinned: BTreeSet<Uuid> = rows.iter().filter_map(|ti| ti.pinned_version).collect();
        let versions = self.bag.versions(&tx, &pinned).await?;
        let dag_of = |ti: &EndedTi| match ti.pinned_version {
            Some(version) => versions.get(&version),
            None => newest.get(&ti.key.dag_id),
        };
        let (mut runs, mut failed) = (Vec::new(), Vec::new());
        for ti in &rows {
            let Some(Said { executor, report, info }) = tries.get(&ti.key).copied() else { continue };
            if !self.is_mismatch(ti, report, held) {
                continue;
            }
            let message = mismatch_message(ti, report, info, &self.executors.shown(executor));
            let why = message.clone();
            let failure =
                self.settle(&tx, dag_of(ti).map(Arc::as_ref), Mismatch { ti, report, message }, now).await?;
            failed.extend(failure.map(|failure| (failure, why)));
            runs.push((ti.key.dag_id.clone(), ti.key.run_id.clone()));
        }
        tx.commit().await?;
        Ok(Mended { runs, locked, failed })
    }

    /// Whether the row still looks as if the try were going on, and nobody else has taken it over meanwhile.
    fn is_mismatch(&self, ti: &EndedTi, report: Report, held: &HashSet<Uuid>) -> bool {
        let active = matches!(
            ti.state,
            Some(TaskState::Scheduled | TaskState::Queued | TaskState::Running | TaskState::Restarting)
        );
        let resumed =
            ti.state == Some(TaskState::Scheduled) && report == Report::Success && ti.has_next_method;
        active && ti.queued_by_job_id == Some(self.job.0) && !held.contains(&ti.id) && !resumed
    }

    async fn settle(
        &self,
        tx: &Tx,
        dag: Option<&CachedDag>,
        mismatch: Mismatch<'_>,
        now: DateTime<Utc>,
    ) -> Result<Option<Failure>, StoreError> {
        let Mismatch { ti, report, message } = mismatch;
        if self.events.is_some()
            && ti.state == Some(TaskState::Restarting)
            && commands::is_being_stopped(tx, &ti.key).await?
        {
            // It ended as it was told to: no failure, and no retry. The look at its run gives it its final state.
            ended_tis::restart(tx, ti.id, ti.max_tries, now).await?;
            return Ok(None);
        }
        let (dag_id, task_id) = (ti.key.dag_id.as_str(), ti.key.task_id.as_str());
        let tags = [("dag_id", dag_id), ("task_id", task_id)];
        tx.measure(|| Held::count("scheduler.tasks.killed_externally", 1, &tags));
        tracing::warn!(dag_id, task_id, run_id = %ti.key.run_id, map_index = ti.key.map_index.0, "{message}");
        audit_log::write(tx, now, &[log_entry(&ti.key, "state mismatch", Some(message.clone()))]).await?;
        let Some((dag, task)) = dag.and_then(|dag| Some((dag, dag.dag.task_by_id(task_id)?))) else {
            ended_tis::set_state(tx, ti.id, executor_state(report), now).await?;
            return Ok(None);
        };
        let may_retry = failure::may_retry(
            ti.state,
            i64::from(ti.key.try_number),
            i64::from(ti.max_tries),
            Some(i64::from(task.retry.retries)),
        );
        let calls_back = task.callbacks.on_retry || task.callbacks.on_failure;
        if calls_back {
            let kind = if may_retry { TaskState::UpForRetry } else { TaskState::Failed };
            let request = CallbackRequest::Task { ti: ti.id, kind: Some(kind), msg: message.clone() };
            callbacks::send(tx, &request, now).await?;
        }
        if ti.state == Some(TaskState::Restarting) && report == Report::Success {
            // Airflow's session ends when a callback is asked for, so that the row is read anew and its number of tries stays.
            let max_tries = if calls_back { ti.max_tries } else { ti.key.try_number + task.retry.retries };
            ended_tis::restart(tx, ti.id, max_tries, now).await?;
            return Ok(None);
        }
        if task.email.to.is_some() && (task.email.on_failure || task.email.on_retry) {
            let kind = if may_retry { EmailKind::Retry } else { EmailKind::Failure };
            callbacks::send(tx, &CallbackRequest::Email { ti: ti.id, kind, msg: message }, now).await?;
        }
        let failure = failure::handle_failure(tx, ti.id, &failed_task(dag, task), now).await?;
        let operator = failure.as_ref().and_then(|failure| failure.operator.as_deref()).unwrap_or_default();
        let tags = [("dag_id", dag_id), ("task_id", task_id), ("operator_name", operator)];
        tx.measure(|| Held::count("operator_failures", 1, &tags));
        tx.measure(|| Held::count("ti_failures", 1, &tags[..2]));
        Ok(failure)
    }

    /// What only hosted executors say.
    async fn process_hosted(&mut self, ended: &[Told], now: DateTime<Utc>) -> Result<(), StoreError> {
        let mut revoked = Vec::new();
        for Told { event, .. } in ended {
            match event {
                WorkEvent::Placed { key, info } => {
                    ended_tis::set_external_id(&self.db, key, info.as_deref(), now).await?;
                }
                WorkEvent::Revoked { ti_id } => revoked.push(*ti_id),
                WorkEvent::NotAdopted { tis } => self.reset_not_adopted(tis, now).await?,
                _ => {}
            }
        }
        if !revoked.is_empty() {
            self.revoked(&revoked, now).await?;
        }
        Ok(())
    }

    async fn process_callbacks(&self, ended: &[Told]) -> Result<(), StoreError> {
        for Told { event, .. } in ended {
            let (id, state, output) = match event {
                WorkEvent::TaskEnded { .. }
                | WorkEvent::ConnectionTested { .. }
                | WorkEvent::Placed { .. }
                | WorkEvent::Revoked { .. }
                | WorkEvent::NotAdopted { .. } => continue,
                WorkEvent::CallbackStarted { id } => (*id, "running", None),
                WorkEvent::CallbackEnded { id, report: Report::Failed, info } => {
                    (*id, "failed", Some(info.as_deref().unwrap_or("Execution failed")))
                }
                WorkEvent::CallbackEnded { id, .. } => (*id, "success", None),
            };
            tracing::info!(callback = %id, "the callback is now in state {state}");
            callbacks::set_outcome(&self.db, id, state, output).await?;
        }
        Ok(())
    }
}

/// What the Dag says about a task that failed.
pub(super) fn failed_task(dag: &CachedDag, task: &slipstream_core::dag::Task) -> FailedTask {
    let teardowns =
        || dag.dag.tasks.iter().filter(|t| t.traits.is_teardown).map(|t| t.task_id.clone()).collect();
    FailedTask {
        owner: Some(task.owner.to_string()),
        retries: Some(i64::from(task.retry.retries)),
        fail_fast: dag.dag.fail_fast.then(teardowns),
    }
}

fn executor_state(report: Report) -> TaskState {
    match report {
        Report::Settled | Report::Success => TaskState::Success,
        Report::Failed => TaskState::Failed,
    }
}

/// Airflow's own words, which people search for.
fn mismatch_message(ti: &EndedTi, report: Report, info: Option<&str>, executor: &str) -> String {
    let state = ti.state.map_or("None", TaskState::as_str);
    let index =
        if ti.key.map_index.is_mapped() { format!("map_index={} ", ti.key.map_index) } else { String::new() };
    let mut text = format!(
        "Executor {executor} reported that the task instance <TaskInstance: {}.{} {} {index}[{state}]> \
         finished with state {}, but the task instance's state attribute is {state}. Learn more: \
         https://airflow.apache.org/docs/apache-airflow/stable/troubleshooting.html#task-state-changed-externally",
        ti.key.dag_id,
        ti.key.task_id,
        ti.key.run_id,
        executor_state(report),
    );
    if let Some(info) = info {
        text.push_str(" Extra info: ");
        text.push_str(info);
    }
    text
}
