//! What happens to a task instance whose worker cannot report its end any more: the executor says that it is gone, it
//! sends no heartbeat, or it never started (`TaskInstance.handle_failure`).

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use slipstream_core::ids::{DagId, MapIndex, RunId, TaskId, TiKey};
use slipstream_core::state::TaskState;

use super::audit_log::{self, LogEntry};
use super::db::{Conn, Tx};
use super::error::StoreError;
use super::history;
use super::row::Row;

/// What the Dag says about the task that failed.
#[derive(Clone, Debug, Default)]
pub struct FailedTask {
    /// The task's owner, for the audit log.
    pub owner: Option<String>,
    /// The task's retries; `None` if the Dag or the task cannot be found.
    pub retries: Option<i64>,
    /// For a Dag with `fail_fast`: its teardown tasks, which run all the same. `None` without `fail_fast`.
    pub fail_fast: Option<HashSet<TaskId>>,
}

/// What became of the task instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The try that ended.
    pub key: TiKey,
    /// The state before.
    pub previous: Option<TaskState>,
    /// `failed` or `up_for_retry`.
    pub state: TaskState,
    /// The row's id now; a new one if the try went to the history.
    pub id: Uuid,
    /// The operator's class, for the metric `operator_failures`.
    pub operator: Option<String>,
}

/// `TaskInstance.is_eligible_to_retry`.
pub fn may_retry(state: Option<TaskState>, try_number: i64, max_tries: i64, retries: Option<i64>) -> bool {
    match (state, retries) {
        (Some(TaskState::Restarting), _) => true,
        (_, Some(retries)) => retries != 0 && try_number <= max_tries,
        (_, None) => try_number <= max_tries,
    }
}

/// Ends the current try of a task instance as failed: to be retried if it may, with its history row; otherwise for good,
/// and then, in a Dag with `fail_fast`, the run's other tasks are stopped. Writes the audit log. `None` if the row is gone.
///
/// # Errors
/// As any statement.
pub async fn handle_failure(
    tx: &Tx,
    ti: Uuid,
    task: &FailedTask,
    now: DateTime<Utc>,
) -> Result<Option<Failure>, StoreError> {
    let sql = tx
        .sql(
            "SELECT ti.dag_id, ti.task_id, ti.run_id, ti.map_index, ti.try_number, ti.max_tries, ti.state, \
             ti.start_date, ti.operator, dr.logical_date FROM task_instance ti \
             JOIN dag_run dr ON dr.dag_id = ti.dag_id AND dr.run_id = ti.run_id WHERE ti.id = ?",
        )
        .push(tx.dialect().pg(" FOR NO KEY UPDATE OF ti"))
        .bind(ti);
    let Some(row) = tx.one(sql).await? else { return Ok(None) };
    let (key, previous) = (key(&row)?, row.state_opt::<TaskState>("state")?);
    log_failure(tx, &key, row.time_opt("logical_date")?, task, now).await?;

    let duration = row.time_opt("start_date")?.map(|start| seconds(start, now));
    let sql = tx
        .sql(
            "UPDATE task_instance SET end_date = ?, duration = ?, next_method = NULL, next_kwargs = NULL, \
             updated_at = ? WHERE id = ?",
        )
        .bind(now)
        .bind(duration)
        .bind(now)
        .bind(ti);
    tx.exec(sql).await?;

    let retry = may_retry(previous, i64::from(key.try_number), row.int("max_tries")?, task.retries);
    let mut id = ti;
    if retry && previous == Some(TaskState::Running) {
        // In any other state the task was cleared, and its history is written already.
        for (_, new) in history::prepare_db_for_next_try(tx, &[ti], now).await? {
            id = new;
        }
    }
    let state = if retry { TaskState::UpForRetry } else { TaskState::Failed };
    let sql = tx
        .sql("UPDATE task_instance SET state = ?, updated_at = ? WHERE id = ?")
        .bind(state)
        .bind(now)
        .bind(id);
    tx.exec(sql).await?;
    if let (TaskState::Failed, Some(teardowns)) = (state, &task.fail_fast) {
        stop_remaining_tasks(tx, &key, teardowns, now).await?;
    }
    Ok(Some(Failure { key, previous, state, id, operator: row.text_opt("operator")? }))
}

fn key(row: &Row) -> Result<TiKey, StoreError> {
    Ok(TiKey {
        dag_id: row.id::<DagId>("dag_id")?,
        task_id: row.id::<TaskId>("task_id")?,
        run_id: row.id::<RunId>("run_id")?,
        try_number: row.int32("try_number")?,
        map_index: MapIndex(row.int32("map_index")?),
    })
}

/// Seconds between two moments, as Airflow stores a duration.
pub(super) fn seconds(start: DateTime<Utc>, end: DateTime<Utc>) -> f64 {
    (end - start).num_microseconds().unwrap_or(0) as f64 / 1e6
}

async fn log_failure(
    tx: &Tx,
    key: &TiKey,
    logical_date: Option<DateTime<Utc>>,
    task: &FailedTask,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let mut entry = log_entry(key, "failed", None);
    entry.logical_date = logical_date;
    entry.owner = task.owner.clone();
    audit_log::write(tx, now, &[entry]).await
}

/// A row of the audit log about the key of a task instance: no owner, no logical date.
pub fn log_entry(key: &TiKey, event: &str, extra: Option<String>) -> LogEntry {
    LogEntry {
        event: event.to_owned(),
        dag_id: key.dag_id.clone(),
        task_id: Some(key.task_id.clone()),
        run_id: Some(key.run_id.clone()),
        map_index: Some(key.map_index),
        try_number: Some(key.try_number),
        logical_date: None,
        owner: None,
        owner_display_name: None,
        extra,
    }
}

/// Stops the other tasks of a run whose Dag fails fast: running ones fail, all others that have not ended in success or
/// failure are skipped. Teardown tasks are left alone.
///
/// # Errors
/// As any statement.
pub async fn stop_remaining_tasks(
    tx: &Tx,
    failed: &TiKey,
    teardowns: &HashSet<TaskId>,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let sql = tx
        .sql(
            "SELECT id, dag_id, task_id, run_id, map_index, try_number, state, start_date, end_date FROM task_instance \
             WHERE dag_id = ? AND run_id = ? AND task_id <> ? AND (state IS NULL OR state NOT IN ('success', 'failed'))",
        )
        .push(tx.dialect().pg(" FOR NO KEY UPDATE"))
        .bind(&failed.dag_id)
        .bind(&failed.run_id)
        .bind(&failed.task_id);
    let mut log = Vec::new();
    let mut to_fail = Vec::new();
    for row in tx.all(sql).await? {
        let ti = key(&row)?;
        if teardowns.contains(&ti.task_id) {
            continue;
        }
        let state = row.state_opt::<TaskState>("state")?;
        if state == Some(TaskState::Running) {
            to_fail.push(row.uuid("id")?);
            let extra = "Forcing task to fail due to dag's `fail_fast` setting.";
            log.push(log_entry(&ti, "fail task", Some(extra.to_owned())));
        } else {
            if state != Some(TaskState::Skipped) {
                let start = row.time_opt("start_date")?.unwrap_or(now);
                let end = row.time_opt("end_date")?.unwrap_or(now);
                skip(tx, row.uuid("id")?, start, end, now).await?;
            }
            let extra = "Skipping task due to dag's `fail_fast` setting.";
            log.push(log_entry(&ti, "skip task", Some(extra.to_owned())));
        }
    }
    let sql = tx
        .sql("UPDATE task_instance SET state = 'failed', updated_at = ? WHERE id IN (?)")
        .bind(now)
        .bind_list(to_fail);
    tx.exec(sql).await?;
    audit_log::write(tx, now, &log).await
}

async fn skip(
    tx: &Tx,
    id: Uuid,
    start: DateTime<Utc>,
    end: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let sql = tx
        .sql(
            "UPDATE task_instance SET state = 'skipped', start_date = ?, end_date = ?, duration = ?, updated_at = ? \
             WHERE id = ?",
        )
        .bind(start)
        .bind(end)
        .bind(seconds(start, end))
        .bind(now)
        .bind(id);
    tx.exec(sql).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::{NewTi, at, count, first, on_each_database, one_task};

    #[test]
    fn a_task_without_retries_is_not_tried_again_unless_it_was_cleared() {
        assert!(!may_retry(Some(TaskState::Running), 1, 3, Some(0)));
        assert!(may_retry(Some(TaskState::Running), 1, 3, Some(2)));
        assert!(!may_retry(Some(TaskState::Running), 4, 3, Some(2)));
        assert!(may_retry(Some(TaskState::Restarting), 9, 0, Some(0)));
        assert!(may_retry(Some(TaskState::Queued), 1, 1, None));
    }

    #[test]
    fn a_running_task_that_may_retry_leaves_its_try_in_the_history() {
        on_each_database(async |db| {
            one_task(db, TaskState::Success).await;
            let ti = NewTi::new("d", "r", "again").state(TaskState::Running).retries(1).insert(db).await;
            let tx = db.begin().await.unwrap();
            let task = FailedTask { owner: Some("me".into()), retries: Some(1), fail_fast: None };
            let failure = handle_failure(&tx, ti, &task, at(30)).await.unwrap().unwrap();
            tx.commit().await.unwrap();
            assert_eq!(failure.state, TaskState::UpForRetry);
            assert_ne!(failure.id, ti);
            let row =
                first(db, "SELECT id, state, duration FROM task_instance WHERE task_id = 'again'").await;
            assert_eq!(row.uuid("id").unwrap(), failure.id);
            assert_eq!(row.text("state").unwrap(), "up_for_retry");
            assert_eq!(row.float_opt("duration").unwrap(), Some(20.0));
            let row = first(db, "SELECT task_instance_id, state FROM task_instance_history").await;
            assert_eq!(row.uuid("task_instance_id").unwrap(), ti);
            assert_eq!(row.text("state").unwrap(), "failed");
            let row = first(db, "SELECT event, owner, try_number, logical_date FROM log").await;
            assert_eq!(
                (row.text("event").unwrap(), row.text("owner").unwrap()),
                ("failed".into(), "me".into())
            );
            assert_eq!(row.time("logical_date").unwrap(), at(0));
        });
    }

    #[test]
    fn in_a_dag_that_fails_fast_the_others_stop_and_teardowns_run() {
        on_each_database(async |db| {
            let ti = one_task(db, TaskState::Running).await;
            NewTi::new("d", "r", "running").state(TaskState::Running).insert(db).await;
            NewTi::new("d", "r", "waiting").state(None).insert(db).await;
            NewTi::new("d", "r", "done").state(TaskState::Success).insert(db).await;
            NewTi::new("d", "r", "teardown").state(None).insert(db).await;
            let tx = db.begin().await.unwrap();
            let fail_fast = Some(["teardown".into()].into());
            let task = FailedTask { owner: None, retries: Some(0), fail_fast };
            let failure = handle_failure(&tx, ti, &task, at(30)).await.unwrap().unwrap();
            tx.commit().await.unwrap();
            assert_eq!((failure.state, failure.id), (TaskState::Failed, ti));
            let state = async |task: &str| {
                first(db, &format!("SELECT state FROM task_instance WHERE task_id = '{task}'"))
                    .await
                    .text_opt("state")
                    .unwrap()
            };
            assert_eq!(state("running").await.as_deref(), Some("failed"));
            assert_eq!(state("waiting").await.as_deref(), Some("skipped"));
            assert_eq!(state("done").await.as_deref(), Some("success"));
            assert_eq!(state("teardown").await, None);
            assert_eq!(count(db, "log").await, 3);
        });
    }
}
