//! Task instances that run and send no heartbeat (`_find_and_purge_task_instances_without_heartbeats`).
//!
//! As in Airflow this takes two steps: here a callback is requested, the audit log is written and the executor is told
//! that the try is over; that report then meets a task instance that still looks alive, which ends the try.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use slipstream_core::state::TaskState;

use crate::store::audit_log;
use crate::store::callbacks::{self, CallbackRequest, Sent};
use crate::store::duties::heartbeats::{self, Silent};
use crate::store::failure::{log_entry, may_retry};
use crate::store::{Db, StoreError};

/// Requests the callbacks of this scheduler's task instances without a heartbeat and returns them: the caller has to
/// tell their executor that they failed.
///
/// # Errors
/// As any statement. Each task instance is a transaction of its own: those before the error are done.
pub async fn run_once(
    db: &Db,
    job_id: i64,
    timeout: Duration,
    now: DateTime<Utc>,
) -> Result<Vec<Silent>, StoreError> {
    let limit = now - TimeDelta::from_std(timeout).unwrap_or(TimeDelta::MAX);
    let silent = heartbeats::silent(db, job_id, limit).await?;
    if !silent.is_empty() {
        tracing::warn!("Failing {} TIs without heartbeat after {limit}", silent.len());
    }
    let mut purged = Vec::with_capacity(silent.len());
    for ti in silent {
        if purge(db, &ti, timeout, now).await? == Sent::Yes {
            purged.push(ti);
        }
    }
    Ok(purged)
}

async fn purge(db: &Db, ti: &Silent, timeout: Duration, now: DateTime<Utc>) -> Result<Sent, StoreError> {
    // Airflow has no task at hand here and judges by `max_tries` alone.
    let retry =
        ti.max_tries > 0 && may_retry(Some(ti.state), i64::from(ti.key.try_number), ti.max_tries, None);
    let kind = if retry { TaskState::UpForRetry } else { TaskState::Failed };
    let tx = db.begin().await?;
    let request = CallbackRequest::Task { ti: ti.id, kind: Some(kind), msg: details(ti) };
    let sent = callbacks::send(&tx, &request, now).await?;
    if sent == Sent::Yes {
        let extra = format!(
            "Task did not emit heartbeat within time limit ({} seconds) and will be terminated. See \
             https://airflow.apache.org/docs/apache-airflow/stable/core-concepts/tasks.html\
             #task-instance-heartbeat-timeout",
            timeout.as_secs()
        );
        audit_log::write(&tx, now, &[log_entry(&ti.key, "heartbeat timeout", Some(extra))]).await?;
        tracing::error!(ti = %ti.key, "Detected a task instance without a heartbeat");
    }
    tx.commit().await?;
    Ok(sent)
}

/// What the callback's message says: a Python dictionary in Python's words.
fn details(ti: &Silent) -> String {
    let mut parts = vec![
        format!("'DAG Id': '{}'", ti.key.dag_id),
        format!("'Task Id': '{}'", ti.key.task_id),
        format!("'Run Id': '{}'", ti.key.run_id),
    ];
    if ti.key.map_index.is_mapped() {
        parts.push(format!("'Map Index': {}", ti.key.map_index));
    }
    if let Some(hostname) = ti.hostname.as_deref().filter(|name| !name.is_empty()) {
        parts.push(format!("'Hostname': '{hostname}'"));
    }
    if let Some(id) = ti.external_executor_id.as_deref().filter(|id| !id.is_empty()) {
        parts.push(format!("'External Executor Id': '{id}'"));
    }
    format!("{{{}}}", parts.join(", "))
}
