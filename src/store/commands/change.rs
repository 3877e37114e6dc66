//! What a command does to a task instance at once.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use slipstream_core::dag::Dag;
use slipstream_core::event::Mark;
use slipstream_core::event::command::{Change, state_of};
use slipstream_core::ids::{MapIndex, TaskId};
use slipstream_core::state::TaskState;
use uuid::Uuid;

use crate::store::execution::clear_run::ClearedTi;
use crate::store::{Conn, Row, StoreError, Tx, audit_log, failure, history};

/// Makes changes of locked instances in their order.
///
/// # Errors
/// As any statement.
pub async fn make(
    tx: &Tx,
    dag: &Dag,
    changes: &[(Uuid, Change)],
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    // A new try gives the row a new id.
    let mut renamed: HashMap<Uuid, Uuid> = HashMap::new();
    for (first, change) in changes {
        let id = renamed.get(first).copied().unwrap_or(*first);
        let Some(ti) = Ti::read(tx, id).await? else { continue };
        let id = match change {
            Change::Halt => halt(tx, id, now).await?,
            Change::Renew | Change::Clear => clear(tx, dag, &ti, now).await?,
            Change::End(mark) => end(tx, &ti, *mark, now).await?,
        };
        renamed.insert(*first, id);
        note(tx, &ti, *change, now).await?;
    }
    Ok(())
}

/// An instance before its change.
struct Ti {
    id: Uuid,
    key: slipstream_core::ids::TiKey,
    state: Option<TaskState>,
    max_tries: i64,
    trigger: Option<i64>,
}

impl Ti {
    async fn read(tx: &Tx, id: Uuid) -> Result<Option<Self>, StoreError> {
        let sql = tx
            .sql(
                "SELECT dag_id, task_id, run_id, map_index, try_number, max_tries, state, trigger_id FROM task_instance \
                 WHERE id = ?",
            )
            .bind(id);
        tx.one(sql).await?.map(|row| Self::of(id, &row)).transpose()
    }

    fn of(id: Uuid, row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            id,
            key: slipstream_core::ids::TiKey {
                dag_id: row.id("dag_id")?,
                task_id: row.id::<TaskId>("task_id")?,
                run_id: row.id("run_id")?,
                try_number: row.int32("try_number")?,
                map_index: MapIndex(row.int32("map_index")?),
            },
            state: row.state_opt("state")?,
            max_tries: row.int("max_tries")?,
            trigger: row.int_opt("trigger_id")?,
        })
    }
}

/// The supervisor of the task finds a state that is not `running`, and ends the process.
async fn halt(tx: &Tx, id: Uuid, now: DateTime<Utc>) -> Result<Uuid, StoreError> {
    let sql = tx
        .sql("UPDATE task_instance SET state = 'restarting', updated_at = ? WHERE id = ?")
        .bind(now)
        .bind(id);
    tx.exec(sql).await?;
    Ok(id)
}

/// As a person who clears the one task: the try goes to the history, and retries are counted afresh.
async fn clear(tx: &Tx, dag: &Dag, ti: &Ti, now: DateTime<Utc>) -> Result<Uuid, StoreError> {
    let mut id = ti.id;
    if ti.key.try_number > 0 {
        for (_, new) in history::prepare_db_for_next_try(tx, &[id], now).await? {
            id = new;
        }
    }
    drop_trigger(tx, id, ti.trigger).await?;
    let cleared = ClearedTi {
        id,
        task_id: ti.key.task_id.clone(),
        map_index: ti.key.map_index,
        state: ti.state,
        try_number: i64::from(ti.key.try_number),
        max_tries: ti.max_tries,
    };
    cleared.clear(tx, id, Some(dag), None, now).await?;
    Ok(id)
}

async fn end(tx: &Tx, ti: &Ti, mark: Mark, now: DateTime<Utc>) -> Result<Uuid, StoreError> {
    drop_trigger(tx, ti.id, ti.trigger).await?;
    let duration = tx.dialect().pick(
        "EXTRACT(EPOCH FROM (COALESCE(end_date, CAST(? AS timestamptz)) - COALESCE(start_date, CAST(? AS timestamptz))))",
        "round((julianday(COALESCE(end_date, ?)) - julianday(COALESCE(start_date, ?))) * 86400, 3)",
    );
    let sql = tx
        .sql(&format!(
            "UPDATE task_instance SET state = ?, start_date = COALESCE(start_date, ?), end_date = COALESCE(end_date, ?), \
             duration = {duration}, next_method = NULL, next_kwargs = NULL, updated_at = ? WHERE id = ?"
        ))
        .bind(state_of(mark))
        .bind(now)
        .bind(now)
        .bind(now)
        .bind(now)
        .bind(now)
        .bind(ti.id);
    tx.exec(sql).await?;
    Ok(ti.id)
}

/// The triggerer ends what it runs for a trigger without a row.
async fn drop_trigger(tx: &Tx, id: Uuid, trigger: Option<i64>) -> Result<(), StoreError> {
    let Some(trigger) = trigger else { return Ok(()) };
    let sql =
        tx.sql("UPDATE task_instance SET trigger_id = NULL, trigger_timeout = NULL WHERE id = ?").bind(id);
    tx.exec(sql).await?;
    let sql = tx
        .sql(
            "DELETE FROM trigger WHERE id = ? AND NOT EXISTS \
             (SELECT 1 FROM task_instance ti WHERE ti.trigger_id = trigger.id)",
        )
        .bind(trigger);
    tx.exec(sql).await?;
    Ok(())
}

/// The audit log says that it was an event, which the UI shows with the task.
async fn note(tx: &Tx, ti: &Ti, change: Change, now: DateTime<Utc>) -> Result<(), StoreError> {
    let event = match change {
        Change::Halt | Change::End(_) => "stopped by event",
        Change::Renew => "restarted by event",
        Change::Clear => "cleared by event",
    };
    audit_log::write(tx, now, &[failure::log_entry(&ti.key, event, None)]).await
}
