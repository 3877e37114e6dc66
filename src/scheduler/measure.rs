//! Metrics and traces of what the scheduler does, under Airflow's names.

use std::time::{Duration, SystemTime};

use chrono::{DateTime, TimeDelta, Utc};
use slipstream_core::state::{RunState, RunType};

use super::tick::Scheduler;
use crate::store::critical_section::Pass;
use crate::store::dag_bag::CachedDag;
use crate::store::runs::span::traced_run;
use crate::store::snapshot::RunSnapshot;
use crate::store::{Conn, Db, Tx};
use crate::telemetry::metrics::{self, Held, normal};
use crate::telemetry::traces;

impl Scheduler {
    /// The gauges of the local executor (`BaseExecutor._emit_metrics`), and how long this round dealt with it, where
    /// Airflow's loop calls `heartbeat`; hosted executors send theirs themselves. What it was handed counts as running, as in
    /// Airflow's.
    pub(super) fn measure_executor(&mut self) {
        let took = std::mem::take(&mut self.with_executor);
        if !metrics::is_on() {
            return;
        }
        let Some((slots, name)) = self.executors.local_use() else { return };
        let class = name.class_name();
        metrics::timing("scheduler.executor_heartbeat_duration", took, &[("executor", class)]);
        let several = self.executors.roster().len() > 1;
        let gauge = |metric: &str, status: &str, value: usize| {
            let full = if several { format!("{metric}.{class}") } else { metric.to_owned() };
            let tags = [("status", status), ("executor_class_name", class)];
            metrics::gauge(&full, i64::try_from(value).unwrap_or(i64::MAX), &tags);
        };
        gauge("executor.open_slots", "open", slots.open);
        gauge("executor.queued_tasks", "queued", 0);
        gauge("executor.running_tasks", "running", slots.occupied);
    }

    /// Sends the span of a run that has ended, beside the loop.
    pub(super) fn trace(&self, run: i64, state: RunState) {
        if traces::is_on() {
            tokio::spawn(trace(self.db.clone(), run, state));
        }
    }
}

async fn trace(db: Db, id: i64, state: RunState) {
    let run = match traced_run(&db, id).await {
        Ok(Some(run)) => run,
        Ok(None) => return,
        Err(error) => return tracing::warn!(dag_run_id = id, %error, "Failed to emit dag run span"),
    };
    traces::dag_run(traces::EndedRun {
        dag_id: &run.dag_id,
        carrier: &run.carrier,
        began: run.began.map_or_else(SystemTime::now, SystemTime::from),
        end: if state == RunState::Success { traces::RunEnd::Success } else { traces::RunEnd::Failed },
        attributes: run.attributes,
    });
}

/// What one pass of the step that queues did.
pub(super) fn queued(pass: &Pass, took: Duration, now: DateTime<Utc>) {
    if !metrics::is_on() {
        return;
    }
    metrics::timing("scheduler.critical_section_duration", took, &[]);
    for query in &pass.queries {
        metrics::timing("scheduler.critical_section_query_duration", *query, &[]);
    }
    let mut starving = 0;
    for (pool, count) in &pass.starving_per_pool {
        starving += count;
        metrics::gauge("pool.starving_tasks", *count, &[("pool_name", &*normal(pool))]);
    }
    metrics::gauge("scheduler.tasks.starving", starving, &[]);
    metrics::gauge("scheduler.tasks.executable", i64::try_from(pass.queued.len()).unwrap_or(i64::MAX), &[]);
    for ti in &pass.queued {
        let Some(scheduled) = ti.first_scheduled else { continue };
        let tags =
            [("dag_id", ti.dag_id.as_str()), ("task_id", ti.task_id.as_str()), ("queue", ti.queue.as_str())];
        metrics::timing("task.scheduled_duration", length(now - scheduled), &tags);
    }
}

/// A run that has ended; sent when that is committed.
pub(super) fn ended(tx: &Tx, run: &RunSnapshot, dag: &CachedDag, state: RunState, now: DateTime<Utc>) {
    let facts = &run.facts;
    let tags = [("dag_id", facts.dag_id.as_str()), ("run_type", facts.run_type.as_str())];
    let name = if state == RunState::Success { "dagrun.duration.success" } else { "dagrun.duration.failed" };
    tx.measure(|| Held::timing(name, length(now - facts.start_date.unwrap_or(now)), &tags));
    if facts.run_type != RunType::Scheduled
        || run.clear_number > 0
        || !dag.timetable.is_periodic().unwrap_or(true)
    {
        return;
    }
    let Some(first) = run.tis.iter().filter_map(|ti| ti.start_date).min() else { return };
    let delay = |since: DateTime<Utc>| Some(first - since).filter(|delay| *delay > TimeDelta::zero());
    if let Some(delay) = delay(facts.run_after) {
        tx.measure(|| Held::timing("dagrun.first_task_scheduling_delay", length(delay), &tags));
    }
    if let Some(delay) = run.queued_at.and_then(delay) {
        tx.measure(|| Held::timing("dagrun.first_task_start_delay", length(delay), &tags));
    }
}

fn length(time: TimeDelta) -> Duration {
    time.max(TimeDelta::zero()).to_std().unwrap_or_default()
}
