//! Triggers: those that did not fire in time, and those that nothing waits for.

use chrono::{DateTime, Utc};
use serde_json::json;

use super::super::db::Conn;
use super::super::error::StoreError;

/// Wakes task instances whose trigger did not fire in time; they fail when they run
/// (`SchedulerJobRunner.check_trigger_timeouts`). Returns how many.
///
/// # Errors
/// As any statement.
pub async fn time_out<C: Conn>(conn: &C, now: DateTime<Utc>) -> Result<u64, StoreError> {
    let sql = conn
        .sql(
            "UPDATE task_instance SET state = 'scheduled', next_method = '__fail__', next_kwargs = ?, \
             scheduled_dttm = ?, trigger_id = NULL, updated_at = ? WHERE state = 'deferred' AND trigger_timeout < ?",
        )
        .bind(json!({"error": "Trigger timeout"}))
        .bind(now)
        .bind(now)
        .bind(now);
    conn.exec(sql).await
}

/// Deletes triggers that no task instance, callback or asset refers to
/// (`SchedulerJobRunner._remove_unreferenced_triggers`). Returns how many.
///
/// # Errors
/// As any statement.
pub async fn delete_unreferenced<C: Conn>(conn: &C) -> Result<u64, StoreError> {
    let sql = conn.sql(
        "DELETE FROM trigger WHERE \
         NOT EXISTS (SELECT 1 FROM asset_watcher w WHERE w.trigger_id = trigger.id) \
         AND NOT EXISTS (SELECT 1 FROM callback c WHERE c.trigger_id = trigger.id) \
         AND NOT EXISTS (SELECT 1 FROM task_instance ti WHERE ti.trigger_id = trigger.id)",
    );
    conn.exec(sql).await
}
