//! Task instances that an executor has had for too long without starting them (`_handle_tasks_stuck_in_queued`).

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use crate::store::audit_log;
use crate::store::callbacks::{self, CallbackRequest};
use crate::store::dag_bag::{DagBag, Dags};
use crate::store::duties::stuck_in_queued::{self as store, RESCHEDULE_EVENT, Stuck};
use crate::store::failure::log_entry;
use crate::store::{Db, StoreError};

/// When a task instance is stuck, and what is done about it.
#[derive(Clone, Copy, Debug)]
pub struct StuckOptions {
    /// `[scheduler] task_queued_timeout`.
    pub timeout: Duration,
    /// `[scheduler] num_stuck_in_queued_retries`: how often it is queued again before it fails.
    pub retries: i64,
}

/// What became of stuck task instances.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StuckCounts {
    /// Back in state `scheduled`.
    pub rescheduled: Vec<Stuck>,
    /// Failed; their executor has to be told.
    pub failed: Vec<Stuck>,
}

/// Task instances that this scheduler queued more than `timeout` ago: their executors are to give them back.
///
/// # Errors
/// As any statement.
pub async fn find(
    db: &Db,
    job_id: i64,
    timeout: Duration,
    now: DateTime<Utc>,
) -> Result<Vec<Stuck>, StoreError> {
    store::stuck(db, job_id, now - TimeDelta::from_std(timeout).unwrap_or(TimeDelta::MAX)).await
}

/// Queues again what executors have given back of the stuck task instances, or fails what was stuck too often
/// (`_maybe_requeue_stuck_ti`). Those of executors that cannot give back are left alone, as in Airflow.
///
/// # Errors
/// As any statement. Each task instance is a transaction of its own: those before the error are done.
pub async fn requeue(
    db: &Db,
    bag: &DagBag,
    job_id: i64,
    options: StuckOptions,
    revoked: &[Uuid],
    now: DateTime<Utc>,
) -> Result<StuckCounts, StoreError> {
    let mut counts = StuckCounts::default();
    let mut stuck = find(db, job_id, options.timeout, now).await?;
    stuck.retain(|ti| revoked.contains(&ti.id));
    if stuck.is_empty() {
        return Ok(counts);
    }
    let ids: BTreeSet<_> = stuck.iter().map(|ti| ti.key.dag_id.clone()).collect();
    let dags = bag.latest(db, &ids).await?;
    for ti in stuck {
        if store::times_stuck(db, &ti.key).await? < options.retries {
            if reschedule(db, &ti, options, now).await? {
                counts.rescheduled.push(ti);
            }
        } else if fail(db, &ti, options, &dags, now).await? {
            counts.failed.push(ti);
        }
    }
    Ok(counts)
}

async fn reschedule(
    db: &Db,
    ti: &Stuck,
    options: StuckOptions,
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    tracing::info!(ti = %ti.key, "Task stuck in queued; will try to requeue.");
    let tx = db.begin().await?;
    if !store::schedule_again(&tx, ti, now).await? {
        return Ok(false);
    }
    let extra = format!(
        "Task was in queued state for longer than {} seconds; task state will be set back to scheduled.",
        seconds(options.timeout)
    );
    audit_log::write(&tx, now, &[log_entry(&ti.key, RESCHEDULE_EVENT, Some(extra))]).await?;
    tx.commit().await?;
    Ok(true)
}

/// The timeout as Python prints the float of the option.
fn seconds(timeout: Duration) -> String {
    format!("{:?}", timeout.as_secs_f64())
}

async fn fail(
    db: &Db,
    ti: &Stuck,
    options: StuckOptions,
    dags: &Dags,
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    tracing::info!(ti = %ti.key, "Task requeue attempts exceeded max; marking failed.");
    let msg = format!("Task was requeued more than {} times and will be failed.", options.retries);
    let task = dags.get(&ti.key.dag_id).and_then(|dag| dag.dag.task_by_id(ti.key.task_id.as_str()));
    let tx = db.begin().await?;
    let entry = log_entry(&ti.key, "stuck in queued tries exceeded", Some(msg.clone()));
    audit_log::write(&tx, now, &[entry]).await?;
    if task.is_some_and(|task| task.callbacks.on_failure) {
        callbacks::send(&tx, &CallbackRequest::Task { ti: ti.id, kind: None, msg }, now).await?;
    }
    if !store::fail(&tx, ti, now).await? {
        return Ok(false);
    }
    tx.commit().await?;
    Ok(true)
}
