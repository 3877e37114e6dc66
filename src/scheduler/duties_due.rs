//! Calls the duty whose time has come, and does in memory what follows from it.
//!
//! A duty that fails is logged and comes again after its interval; it never ends the scheduler.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use slipstream_core::state::TaskState;
use uuid::Uuid;

use super::duties::orphaned_tasks::Fate;
use super::duties::{self, stuck_in_queued::StuckOptions};
use super::executor_events::Told;
use super::tick::Scheduler;
use super::timers::Duty;
use crate::config::{Config, keys};
use crate::executor::hosted::Adoptable;
use crate::executor::{Executor, Report, WorkEvent};
use crate::store::StoreError;
use crate::store::duties::orphans::Orphan;
use crate::telemetry::metrics::{self, normal};

/// What only duties have to know.
#[derive(Clone, Debug)]
pub(super) struct DutyOptions {
    /// `[connection_test] timeout`, in seconds.
    pub(super) connection_test_timeout: i64,
    /// `[connection_test] max_concurrency`.
    pub(super) connection_tests: i64,
}

impl DutyOptions {
    pub(super) fn from_config(config: &Config) -> Self {
        let timeout = config.get(&keys::connection_test::TIMEOUT).as_secs();
        Self {
            connection_test_timeout: i64::try_from(timeout).unwrap_or(i64::MAX),
            connection_tests: config.get(&keys::connection_test::MAX_CONCURRENCY),
        }
    }
}

impl Scheduler {
    /// Does one duty.
    pub(super) async fn duty(&mut self, duty: Duty, now: DateTime<Utc>) {
        if let Err(error) = self.try_duty(duty, now).await {
            tracing::error!(?duty, %error, "a periodic duty failed; it is done again after its interval");
        }
    }

    async fn try_duty(&mut self, duty: Duty, now: DateTime<Utc>) -> Result<(), StoreError> {
        match duty {
            Duty::Orphans => self.orphans(now).await?,
            Duty::TriggerTimeouts => {
                self.agenda.enqueue |= duties::trigger_timeouts::run_once(&self.db, now).await? > 0;
            }
            Duty::AwaitingInputTimeouts => {
                duties::awaiting_input_timeouts::run_once(&self.db, now).await?;
                self.agenda.enqueue = true;
            }
            Duty::Backfills => {
                duties::backfills_complete::run_once(&self.db, now).await?;
            }
            Duty::PoolMetrics => self.pool_metrics().await?,
            Duty::TiMetrics => self.ti_metrics().await?,
            Duty::RunMetrics if metrics::is_on() => {
                let running = duties::metrics::running_runs(&self.db).await?;
                metrics::gauge("scheduler.dagruns.running", running, &[]);
            }
            Duty::RunMetrics => {}
            Duty::HeartbeatTimeouts => self.heartbeat_timeouts(now).await?,
            Duty::PausedDags => {
                let runs = duties::paused_dags::run_once(&self.db).await?;
                self.examine_paused(&runs.into_iter().collect(), now).await?;
            }
            Duty::StuckInQueued => self.stuck_in_queued(now).await?,
            Duty::AssetOrphanage => {
                let counts = duties::asset_orphanage::run_once(&self.db, now).await?;
                metrics::gauge("asset.orphaned", i64::try_from(counts.orphaned).unwrap_or(i64::MAX), &[]);
            }
            Duty::UnreferencedTriggers => {
                duties::unreferenced_triggers::run_once(&self.db).await?;
            }
            Duty::ConnectionTests => self.reap_connection_tests(now).await?,
        }
        Ok(())
    }

    async fn orphans(&mut self, now: DateTime<Utc>) -> Result<(), StoreError> {
        let held: HashSet<Uuid> = self.executors.held_tasks();
        let dead_after = self.options.peer_dead_after;
        let fate =
            |orphan: &Orphan| match self.executors.of(orphan.executor.as_deref(), orphan.team.as_deref()) {
                Some((_, Executor::Local(_))) if held.contains(&orphan.id) => Fate::Adopt,
                Some((_, Executor::Local(_))) => Fate::Reset,
                Some((_, Executor::Hosted(executor))) if executor.is_ready() => Fate::Offer,
                // It is offered when the executor is there.
                Some((_, Executor::Hosted(_))) => Fate::Leave,
                // As Airflow does with what no executor stands for.
                None => Fate::Adopt,
            };
        let counts = duties::orphaned_tasks::run_once(&self.db, self.job.0, dead_after, fate, now).await?;
        counted("schedulerjobrunner_end", usize::try_from(counts.failed_schedulers).unwrap_or(usize::MAX));
        counted("scheduler.orphaned_tasks.cleared", counts.reset.len());
        counted("scheduler.orphaned_tasks.adopted", counts.adopted.len() + counts.offered.len());
        for orphan in counts.reset.iter().chain(&counts.adopted) {
            self.agenda.look_at_named(orphan.key.dag_id.clone(), orphan.key.run_id.clone());
        }
        for orphan in counts.offered {
            let to = self.executors.of(orphan.executor.as_deref(), orphan.team.as_deref());
            if let Some((_, Executor::Hosted(executor))) = to {
                executor.adopt([Adoptable {
                    ti_id: orphan.id,
                    key: orphan.key,
                    queued_by_job_id: orphan.queued_by_job_id,
                }]);
            }
        }
        Ok(())
    }

    /// Task instances that a hosted executor was offered and did not adopt start afresh.
    pub(super) async fn reset_not_adopted(
        &mut self,
        tis: &[Uuid],
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let reset = duties::orphaned_tasks::reset_refused(&self.db, self.job.0, tis, now).await?;
        counted("scheduler.orphaned_tasks.cleared", reset);
        // What they belong to is found by the look at running runs.
        self.poll_soon();
        Ok(())
    }

    /// Task instances that were stuck and that a hosted executor has given back.
    pub(super) async fn revoked(&mut self, tis: &[Uuid], now: DateTime<Utc>) -> Result<(), StoreError> {
        let counts =
            duties::stuck_in_queued::requeue(&self.db, &self.bag, self.job.0, self.stuck_options(), tis, now)
                .await?;
        self.agenda.enqueue |= !counts.rescheduled.is_empty();
        for ti in &counts.failed {
            self.agenda.look_at_named(ti.key.dag_id.clone(), ti.key.run_id.clone());
            let of = self.executors.of(ti.executor.as_deref(), ti.team.as_deref());
            if let Some((_, Executor::Hosted(executor))) = of {
                executor.fail(ti.key.clone());
            }
        }
        Ok(())
    }

    fn stuck_options(&self) -> StuckOptions {
        StuckOptions { timeout: self.options.queued_timeout, retries: self.options.stuck_retries }
    }

    async fn heartbeat_timeouts(&mut self, now: DateTime<Utc>) -> Result<(), StoreError> {
        let timeout = self.options.heartbeat_timeout;
        for ti in duties::heartbeat_timeouts::run_once(&self.db, self.job.0, timeout, now).await? {
            let tags = [("dag_id", ti.key.dag_id.as_str()), ("task_id", ti.key.task_id.as_str())];
            metrics::incr("task_instances_without_heartbeats_killed", &tags);
            let Some((index, executor)) = self.executors.of(ti.executor.as_deref(), ti.team.as_deref())
            else {
                tracing::warn!(ti = %ti.key, executor = ti.executor, "a task instance without a heartbeat cannot be cleaned up: there is no such executor");
                continue;
            };
            executor.give_up(ti.id, &ti.key);
            let event =
                WorkEvent::TaskEnded { key: ti.key, ti_id: ti.id, report: Report::Failed, info: None };
            self.ended.push(Told { from: index, event });
        }
        Ok(())
    }

    async fn stuck_in_queued(&mut self, now: DateTime<Utc>) -> Result<(), StoreError> {
        for ti in
            duties::stuck_in_queued::find(&self.db, self.job.0, self.options.queued_timeout, now).await?
        {
            // The local executor cannot take a task back, as Airflow's; what it holds waits for a slot.
            let of = self.executors.of(ti.executor.as_deref(), ti.team.as_deref());
            if let Some((_, Executor::Hosted(executor))) = of {
                executor.revoke(ti.id, ti.key);
            }
        }
        Ok(())
    }

    async fn pool_metrics(&self) -> Result<(), StoreError> {
        if !metrics::is_on() {
            return Ok(());
        }
        for (pool, slots) in duties::metrics::pools(&self.db).await? {
            let tags = [("pool_name", &*normal(&pool))];
            if let Some(open) = slots.open {
                metrics::gauge("pool.open_slots", open, &tags);
            }
            metrics::gauge("pool.queued_slots", slots.queued, &tags);
            metrics::gauge("pool.running_slots", slots.running, &tags);
            metrics::gauge("pool.deferred_slots", slots.deferred, &tags);
            metrics::gauge("pool.scheduled_slots", slots.scheduled, &tags);
        }
        Ok(())
    }

    async fn ti_metrics(&mut self) -> Result<(), StoreError> {
        if !metrics::is_on() {
            return Ok(());
        }
        for (ti, count) in self.ti_gauges.run_once(&self.db).await? {
            let queue = ti.queue.as_deref().unwrap_or_default();
            let tags = [("queue", queue), ("dag_id", ti.dag_id.as_str()), ("task_id", ti.task_id.as_str())];
            let tags = if queue.is_empty() { &tags[1..] } else { &tags[..] };
            let name = match ti.state {
                TaskState::Scheduled => "ti.scheduled",
                TaskState::Queued => "ti.queued",
                TaskState::Running => "ti.running",
                TaskState::Deferred => "ti.deferred",
                TaskState::AwaitingInput => "ti.awaiting_input",
                // No others are counted.
                _ => continue,
            };
            metrics::gauge(name, count, tags);
        }
        Ok(())
    }
}

/// Counts, where there is anything to count.
fn counted(name: &str, by: usize) {
    if by == 0 {
        return;
    }
    metrics::count(name, i64::try_from(by).unwrap_or(i64::MAX), &[]);
}
