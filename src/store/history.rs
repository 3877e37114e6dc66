//! `task_instance_history`: what a try leaves behind when the next one is prepared
//! (`airflow/models/taskinstancehistory.py`, `TaskInstance.prepare_db_for_next_try`).

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::db::{Conn, Tx};
use super::error::StoreError;

/// Columns that both tables have under the same name and that are copied as they are.
const SAME: &str = "task_id, dag_id, run_id, map_index, try_number, start_date, end_date, duration, max_tries, hostname, \
     unixname, pool, pool_slots, queue, priority_weight, operator, custom_operator_name, queued_dttm, scheduled_dttm, \
     queued_by_job_id, pid, executor, executor_config, span_status, external_executor_id, \
     trigger_id, next_method, dag_version_id, retry_delay_override, retry_reason";

/// States in which a try is over; in any other one its history says `failed`.
const FINISHED: &str = "('success', 'failed', 'skipped', 'upstream_failed', 'removed')";

/// Prepares the next try of task instances: records the try that ends in the history, forgets its reschedules, and gives
/// each row a new id. Returns the pairs (old id, new id). The state is the caller's to write, under the new id.
///
/// The rows must be locked by this transaction. Values of the ending try that the caller knows (`end_date`, `duration`, …)
/// must have been written before.
///
/// # Errors
/// As any statement.
pub async fn prepare_db_for_next_try(
    tx: &Tx,
    ids: &[Uuid],
    now: DateTime<Utc>,
) -> Result<Vec<(Uuid, Uuid)>, StoreError> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    record(tx, ids, now).await?;
    let sql = tx.sql("DELETE FROM task_reschedule WHERE ti_id IN (?)").bind_list(ids.iter().copied());
    tx.exec(sql).await?;
    let pairs: Vec<_> = ids.iter().map(|id| (*id, Uuid::now_v7())).collect();
    let mut sql = tx.sql("UPDATE task_instance SET id = CASE id");
    for (old, new) in &pairs {
        sql = sql.push(" WHEN ? THEN ?").bind(*old).bind(*new);
    }
    let sql = sql.push(" END, updated_at = ? WHERE id IN (?)").bind(now).bind_list(ids.iter().copied());
    tx.exec(sql).await?;
    Ok(pairs)
}

/// Copies task instances (and a person's request that belongs to them) into the history. A try that is recorded already
/// is left as it is. An unfinished try without an end gets the end `now`, in both tables.
///
/// # Errors
/// As any statement.
pub async fn record(tx: &Tx, ids: &[Uuid], now: DateTime<Utc>) -> Result<(), StoreError> {
    let duration = tx.dialect().pick(
        "EXTRACT(EPOCH FROM (? - start_date))",
        "round((julianday(?) - julianday(start_date)) * 86400, 6)",
    );
    let sql = tx
        .sql(&format!(
            "UPDATE task_instance SET end_date = ?, duration = {duration} WHERE id IN (?) AND end_date IS NULL \
             AND (state IS NULL OR state NOT IN {FINISHED}) AND {NOT_RECORDED}"
        ))
        .bind(now)
        .bind(now)
        .bind_list(ids.iter().copied());
    tx.exec(sql).await?;
    let json_null = tx.dialect().pick("'null'::jsonb", "'null'");
    let naive = tx.dialect().pick("trigger_timeout AT TIME ZONE 'UTC'", "trigger_timeout");
    let index = tx.dialect().pick("map_index::varchar", "CAST(map_index AS VARCHAR)");
    let sql = tx
        .sql(&format!(
            "INSERT INTO task_instance_history (task_instance_id, state, rendered_map_index, task_display_name, \
             next_kwargs, context_carrier, trigger_timeout, updated_at, {SAME}) \
             SELECT id, CASE WHEN state IN {FINISHED} THEN state ELSE 'failed' END, \
             COALESCE(rendered_map_index, CASE WHEN map_index >= 0 THEN {index} END), \
             COALESCE(NULLIF(task_display_name, ''), task_id), COALESCE(next_kwargs, {json_null}), \
             COALESCE(context_carrier, {json_null}), {naive}, COALESCE(updated_at, ?), {SAME} \
             FROM task_instance WHERE id IN (?) AND {NOT_RECORDED}"
        ))
        .bind(now)
        .bind_list(ids.iter().copied());
    tx.exec(sql).await?;
    let sql = tx
        .sql(&format!(
            "INSERT INTO hitl_detail_history (ti_history_id, {HITL}) SELECT ti_id, {HITL} FROM hitl_detail \
             WHERE ti_id IN (?) AND EXISTS (SELECT 1 FROM task_instance_history h WHERE h.task_instance_id = ti_id) \
             AND NOT EXISTS (SELECT 1 FROM hitl_detail_history d WHERE d.ti_history_id = ti_id)"
        ))
        .bind_list(ids.iter().copied());
    tx.exec(sql).await?;
    Ok(())
}

/// Columns of a person's request and answer.
const HITL: &str = "options, subject, body, defaults, multiple, params, assignees, created_at, responded_at, \
     responded_by, chosen_options, params_input";

const NOT_RECORDED: &str = "NOT EXISTS (SELECT 1 FROM task_instance_history h WHERE h.dag_id = task_instance.dag_id \
     AND h.task_id = task_instance.task_id AND h.run_id = task_instance.run_id \
     AND h.map_index = task_instance.map_index AND h.try_number = task_instance.try_number)";
