//! What the gauges of the scheduler show.

use std::collections::BTreeMap;

use slipstream_core::ids::{DagId, TaskId};
use slipstream_core::state::TaskState;

use super::super::db::Conn;
use super::super::error::StoreError;

/// How a pool is used (`Pool.slots_stats`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PoolUse {
    /// Slots of the pool; -1 is no limit.
    pub total: i64,
    /// Slots of deferred task instances.
    pub deferred: i64,
    /// Slots of running task instances.
    pub running: i64,
    /// Slots of queued task instances.
    pub queued: i64,
    /// Slots of scheduled task instances.
    pub scheduled: i64,
    /// Slots that are free; `None` for a pool without a limit.
    pub open: Option<i64>,
}

/// The use of every pool.
///
/// # Errors
/// As any statement.
pub async fn pools<C: Conn>(conn: &C) -> Result<BTreeMap<String, PoolUse>, StoreError> {
    let mut pools = BTreeMap::new();
    let mut counts_deferred = BTreeMap::new();
    for row in conn.all(conn.sql("SELECT pool, slots, include_deferred FROM slot_pool")).await? {
        let name = row.text("pool")?;
        counts_deferred.insert(name.clone(), row.bool("include_deferred")?);
        pools.insert(name, PoolUse { total: row.int("slots")?, ..PoolUse::default() });
    }
    // PostgreSQL sums integers to a number of another type.
    let sum = conn.dialect().pick("CAST(sum(pool_slots) AS bigint)", "sum(pool_slots)");
    let sql = conn.sql(&format!(
        "SELECT pool, state, {sum} AS slots FROM task_instance \
         WHERE state IN ('deferred', 'running', 'queued', 'scheduled') GROUP BY pool, state"
    ));
    for row in conn.all(sql).await? {
        let Some(pool) = pools.get_mut(&row.text("pool")?) else { continue };
        let slots = row.int("slots")?;
        match row.state::<TaskState>("state")? {
            TaskState::Deferred => pool.deferred = slots,
            TaskState::Running => pool.running = slots,
            TaskState::Queued => pool.queued = slots,
            TaskState::Scheduled => pool.scheduled = slots,
            _ => {}
        }
    }
    for (name, pool) in &mut pools {
        let deferred = if counts_deferred.get(name) == Some(&true) { pool.deferred } else { 0 };
        pool.open = (pool.total != -1).then(|| pool.total - pool.running - pool.queued - deferred);
    }
    Ok(pools)
}

/// What `ti.<state>` is counted by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TiGauge {
    /// The state.
    pub state: TaskState,
    /// The Dag.
    pub dag_id: DagId,
    /// The task.
    pub task_id: TaskId,
    /// The queue.
    pub queue: Option<String>,
}

/// Task instances that wait or run, by state, task and queue.
///
/// # Errors
/// As any statement.
pub async fn task_instances<C: Conn>(conn: &C) -> Result<BTreeMap<TiGauge, i64>, StoreError> {
    let sql = conn.sql(
        "SELECT state, dag_id, task_id, queue, count(*) AS number FROM task_instance WHERE state IN \
         ('scheduled', 'queued', 'running', 'deferred', 'awaiting_input') GROUP BY state, dag_id, task_id, queue",
    );
    conn.all(sql)
        .await?
        .iter()
        .map(|row| {
            let gauge = TiGauge {
                state: row.state("state")?,
                dag_id: row.id("dag_id")?,
                task_id: row.id("task_id")?,
                queue: row.text_opt("queue")?,
            };
            Ok((gauge, row.int("number")?))
        })
        .collect()
}

/// How many runs are running.
///
/// # Errors
/// As any statement.
pub async fn running_runs<C: Conn>(conn: &C) -> Result<i64, StoreError> {
    let row = conn.one(conn.sql("SELECT count(*) AS number FROM dag_run WHERE state = 'running'")).await?;
    row.map_or(Ok(0), |row| row.int("number"))
}
