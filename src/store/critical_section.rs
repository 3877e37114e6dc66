//! Task instances from `scheduled` to `queued`: the one step of which only one scheduler may be in at a time.
//!
//! Mirrors `_critical_section_enqueue_task_instances` of `airflow/jobs/scheduler_job_runner.py`, with the same locks (the
//! advisory lock 2, all pool rows, the chosen task instances), so that stock schedulers and this one take turns.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use slipstream_core::admit::{
    ActiveCounts, Admission, Candidate, Class, PoolRoom, Refusal, Slots, TaskLimits,
};
use slipstream_core::dag::Task;
use slipstream_core::executor::{ExecutorIndex, Roster};
use slipstream_core::ids::{DagId, MapIndex, RunId, TaskId};
use uuid::Uuid;

use super::candidates::{self, Ranks, Wanted};
use super::dag_bag::{CachedDag, DagBag};
use super::ended_tis::pinned_version;
use super::execution::MultiTeam;
use super::{Conn, Db, Dialect, Param, Row, StoreError, Tx, teams};

/// What the scheduler brings into the section.
#[derive(Clone, Debug)]
pub struct Room {
    /// Free slots per executor.
    pub executors: BTreeMap<ExecutorIndex, Slots>,
    /// Which executors there are, by name.
    pub roster: Roster,
    /// Executors whose task instances get their `external_executor_id` here (`pre_assigns_external_executor_id`).
    pub pre_assigning: BTreeSet<ExecutorIndex>,
    /// Most task instances to queue in one pass: parallelism less what is occupied.
    pub free: Slots,
    /// Dags with streaming tasks; none where these take the slots of all others.
    pub streaming: BTreeSet<DagId>,
    /// The executor that keeps slots for streaming tasks, if one does.
    pub streaming_at: Option<ExecutorIndex>,
    /// Runs (`dag_run.id`) that have just been started: a pause that came meanwhile does not hold back their first tasks.
    pub launched: BTreeSet<i64>,
    /// `[core] multi_team`.
    pub multi_team: MultiTeam,
}

/// A task instance that was queued, with all that its executor has to be told.
#[derive(Clone, Debug)]
pub struct QueuedTi {
    /// `task_instance.id`.
    pub id: Uuid,
    /// Its Dag.
    pub dag_id: DagId,
    /// Its run.
    pub run_id: RunId,
    /// Its task.
    pub task_id: TaskId,
    /// Which copy of a mapped task.
    pub map_index: MapIndex,
    /// Which try, from 1.
    pub try_number: i32,
    /// Its version of the Dag.
    pub dag_version_id: Option<Uuid>,
    /// `task_instance.queue`.
    pub queue: String,
    /// `task_instance.pool_slots`.
    pub pool_slots: i32,
    /// `task_instance.priority_weight`.
    pub priority_weight: i64,
    /// `task_instance.hostname`.
    pub hostname: Option<String>,
    /// `task_instance.context_carrier`, still wrapped.
    pub context_carrier: serde_json::Value,
    /// Where it goes.
    pub executor: ExecutorIndex,
    /// Which slots it takes.
    pub class: Class,
    /// `dag.relative_fileloc`.
    pub relative_fileloc: String,
    /// `dag.bundle_name`.
    pub bundle_name: String,
    /// `dag_run.bundle_version`.
    pub bundle_version: Option<String>,
    /// When it was scheduled, if this is its first round.
    pub first_scheduled: Option<DateTime<Utc>>,
}

/// What one pass did.
#[derive(Debug, Default)]
pub struct Pass {
    /// Now in state `queued`, highest priority first.
    pub queued: Vec<QueuedTi>,
    /// Candidates turned away for lack of slots, per pool.
    pub starving_per_pool: BTreeMap<String, i64>,
    /// Whether another scheduler was in the section, so that nothing was looked at.
    pub busy: bool,
    /// How long each query for candidates took.
    pub queries: Vec<Duration>,
}

/// Most candidates that are looked at together. Each is locked until the section is left.
const PAGE: i64 = 256;
/// As many as there are slots are looked at first, and these few, in case that some cannot go.
const SPARE: i64 = 16;

/// Queues what can go, in one transaction.
///
/// # Errors
/// As any statement. Another scheduler in the section is not an error but [`Pass::busy`].
pub async fn enqueue(
    db: &Db,
    bag: &DagBag,
    room: &Room,
    job_id: i64,
    now: DateTime<Utc>,
) -> Result<Pass, StoreError> {
    let tx = db.begin().await?;
    let pools = match lock_pools(&tx).await {
        Ok(Some(pools)) => pools,
        Ok(None) | Err(StoreError::Conflict(_)) => {
            tx.rollback().await?;
            return Ok(Pass { busy: true, ..Pass::default() });
        }
        Err(error) => return Err(error),
    };
    if pools.values().all(|pool| pool.open <= 0) {
        tx.rollback().await?;
        return Ok(Pass::default());
    }
    let mut admission = Admission::new(pools, active_counts(&tx).await?, room.executors.clone());
    if room.multi_team == MultiTeam::On {
        admission = admission.with_pool_teams(teams::of_pools(&tx).await?);
    }
    let mut queued: Vec<QueuedTi> = Vec::new();
    let mut queries = Vec::new();
    let mut left = room.free;
    let mut ranks = Ranks::None;
    let mut limit = left.batch.max(0).saturating_add(left.streaming.max(0)).saturating_add(SPARE).min(PAGE);
    while left.batch > 0 || (left.streaming > 0 && !room.streaming.is_empty()) {
        // Where only streaming tasks have room, the others are not looked through.
        let only = (left.batch <= 0).then_some(&room.streaming);
        let wanted = Wanted { room, starved: admission.starved(), taken: &queued, only, limit, ranks };
        let select = candidates::select(&tx, &wanted);
        let began = Instant::now();
        let rows = tx.all(select).await?;
        queries.push(began.elapsed());
        let page = page(&tx, bag, room, &rows).await?;
        let full = page.len() as i64 >= limit;
        limit = (limit * 2).min(PAGE);
        let (before, known) = (queued.len(), admission.starved().len());
        let full_runs = admission.starved().runs.len();
        for (ti, candidate) in page {
            let of_class = match candidate.class {
                Class::Batch => &mut left.batch,
                Class::Streaming => &mut left.streaming,
            };
            if *of_class <= 0 {
                continue;
            }
            match admission.admit(&candidate) {
                Ok(()) => {
                    *of_class -= 1;
                    queued.push(ti);
                }
                Err(refusal) => tell(&candidate, refusal),
            }
        }
        if admission.starved().runs.len() > full_runs {
            ranks = Ranks::Within;
        }
        // What turned out to be starved stood in the ranks before others of its run, which come into the next page.
        let cleared = admission.starved().len() > known;
        let more = full && queued.len() > before;
        if !(cleared || more) {
            break;
        }
    }
    if queued.is_empty() {
        tx.rollback().await?;
    } else {
        mark_queued(&tx, &queued, job_id, now).await?;
        pre_assign(&tx, &queued, &room.pre_assigning).await?;
        tx.commit().await?;
    }
    Ok(Pass { queued, starving_per_pool: admission.starving_per_pool().clone(), busy: false, queries })
}

fn tell(ti: &Candidate, refusal: Refusal) {
    let (dag_id, task_id, pool) = (&ti.dag_id, &ti.task_id, &ti.pool);
    match refusal {
        Refusal::NoSuchPool => {
            tracing::warn!(%dag_id, %task_id, "Tasks using non-existent pool '{pool}' will not be scheduled");
        }
        Refusal::LargerThanPool => {
            tracing::warn!(%dag_id, %task_id, "the task wants {} slots, more than pool '{pool}' has", ti.pool_slots);
        }
        Refusal::PoolOfOtherTeam => {
            tracing::debug!(%dag_id, %task_id, "not queued: pool '{pool}' is assigned to a team that is not the Dag's");
        }
        Refusal::NoSuchExecutor => {
            tracing::warn!(%dag_id, %task_id, "the task waits: the executor that it names is not in [core] executor, or not for its team");
        }
        refusal => tracing::debug!(%dag_id, %task_id, ?refusal, "not queued"),
    }
}

/// Takes the section's locks and sums up the pools. `None` when another scheduler is in it.
async fn lock_pools(tx: &Tx) -> Result<Option<BTreeMap<String, PoolRoom>>, StoreError> {
    if tx.dialect() == Dialect::Postgres {
        let row = tx.one(tx.sql("SELECT pg_try_advisory_xact_lock(2) AS got")).await?;
        if !row.map_or(Ok(false), |row| row.bool("got"))? {
            return Ok(None);
        }
    }
    let lock = tx.dialect().pg(" FOR NO KEY UPDATE NOWAIT");
    let pools = tx.all(tx.sql("SELECT pool, slots, include_deferred FROM slot_pool").push(lock)).await?;
    let held = tx
        .all(tx.sql(
            "SELECT pool, sum(CASE WHEN state = 'deferred' THEN 0 ELSE pool_slots END) AS active, \
             sum(CASE WHEN state = 'deferred' THEN pool_slots ELSE 0 END) AS deferred FROM task_instance \
             WHERE state IN ('running', 'queued', 'deferred') GROUP BY pool",
        ))
        .await?;
    let mut in_use: BTreeMap<String, (i64, i64)> = BTreeMap::new();
    for row in &held {
        let sum = |column| Ok::<_, StoreError>(row.int_opt(column)?.unwrap_or(0));
        in_use.insert(row.text("pool")?, (sum("active")?, sum("deferred")?));
    }
    let mut rooms = BTreeMap::new();
    for row in &pools {
        let name = row.text("pool")?;
        let (active, deferred) = in_use.get(&name).copied().unwrap_or_default();
        let held = if row.bool("include_deferred")? { active + deferred } else { active };
        rooms.insert(name, PoolRoom::new(row.int("slots")?, held));
    }
    Ok(Some(rooms))
}

async fn active_counts<C: Conn>(conn: &C) -> Result<ActiveCounts, StoreError> {
    let sql = conn.sql(
        "SELECT dag_id, run_id, task_id, sum(CASE WHEN state IN ('running', 'queued') THEN 1 ELSE 0 END) AS executing, \
         count(*) AS active FROM task_instance \
         WHERE state IN ('running', 'queued', 'deferred', 'awaiting_input') GROUP BY dag_id, run_id, task_id",
    );
    let mut counts = ActiveCounts::default();
    for row in conn.all(sql).await? {
        let (dag, run, task): (DagId, RunId, TaskId) =
            (row.id("dag_id")?, row.id("run_id")?, row.id("task_id")?);
        let active = row.int("active")?;
        *counts.per_run.entry((dag.clone(), run.clone())).or_default() += row.int("executing")?;
        *counts.per_task.entry((dag.clone(), task.clone())).or_default() += active;
        *counts.per_task_in_run.entry((dag, run, task)).or_default() += active;
    }
    Ok(counts)
}

/// The candidates of these rows, in their order.
async fn page(
    tx: &Tx,
    bag: &DagBag,
    room: &Room,
    rows: &[Row],
) -> Result<Vec<(QueuedTi, Candidate)>, StoreError> {
    let (mut limited, mut pinned) = (BTreeSet::<DagId>::new(), BTreeSet::new());
    for row in rows {
        let dag_id = row.id("dag_id")?;
        if row.bool("has_task_concurrency_limits")? || room.streaming.contains(&dag_id) {
            match pinned_version(row)? {
                Some(version) => pinned.insert(version),
                None => limited.insert(dag_id),
            };
        }
    }
    let (newest, versions) = (bag.latest(tx, &limited).await?, bag.versions(tx, &pinned).await?);
    let read = |row: &Row| {
        let dag = match pinned_version(row)? {
            Some(version) => versions.get(&version),
            None => newest.get(&row.id::<DagId>("dag_id")?),
        };
        let team = if room.multi_team == MultiTeam::On { row.text_opt("team")? } else { None };
        let executor = room.roster.resolve(row.text_opt("executor")?.as_deref(), team.as_deref());
        let candidate = Candidate { team, ..read_candidate(row, executor, dag.map(Arc::as_ref), room)? };
        Ok((QueuedTi { class: candidate.class, ..read_ti(row, executor)? }, candidate))
    };
    rows.iter().map(read).collect()
}

fn read_ti(row: &Row, executor: Option<ExecutorIndex>) -> Result<QueuedTi, StoreError> {
    Ok(QueuedTi {
        id: row.uuid("id")?,
        dag_id: row.id("dag_id")?,
        run_id: row.id("run_id")?,
        task_id: row.id("task_id")?,
        map_index: MapIndex(row.int32("map_index")?),
        try_number: row.int32("try_number")?,
        dag_version_id: row.uuid_opt("dag_version_id")?,
        queue: row.text_opt("queue")?.unwrap_or_else(|| "default".to_owned()),
        pool_slots: row.int32("pool_slots")?,
        priority_weight: row.int_opt("priority_weight")?.unwrap_or(1),
        hostname: row.text_opt("hostname")?,
        context_carrier: row.json("context_carrier")?,
        // Without one it is not admitted.
        executor: executor.unwrap_or(ExecutorIndex(0)),
        class: Class::Batch,
        relative_fileloc: row.text_opt("relative_fileloc")?.unwrap_or_default(),
        bundle_name: row.text("bundle_name")?,
        bundle_version: row.text_opt("bundle_version")?,
        first_scheduled: match row.time_opt("end_date")? {
            Some(_) => None,
            None => row.time_opt("scheduled_dttm")?,
        },
    })
}

fn read_candidate(
    row: &Row,
    executor: Option<ExecutorIndex>,
    dag: Option<&CachedDag>,
    room: &Room,
) -> Result<Candidate, StoreError> {
    let (dag_id, task_id): (DagId, TaskId) = (row.id("dag_id")?, row.id("task_id")?);
    let task = dag.and_then(|dag| dag.dag.task_by_id(task_id.as_str()));
    let limits = task.map_or_else(TaskLimits::default, |task| TaskLimits {
        per_dag: task.max_active_tis_per_dag,
        per_run: task.max_active_tis_per_dagrun,
    });
    // Only an executor that keeps slots for streaming tasks tells them from others.
    let apart = executor.is_some() && executor == room.streaming_at && room.streaming.contains(&dag_id);
    let is_streaming = apart && task.is_some_and(Task::is_streaming);
    Ok(Candidate {
        class: if is_streaming { Class::Streaming } else { Class::Batch },
        team: None,
        ti_id: row.uuid("id")?,
        run_id: row.id("run_id")?,
        pool: row.text("pool")?,
        pool_slots: row.int("pool_slots")?,
        max_active_tasks: row.int("max_active_tasks")?,
        limits,
        executor,
        dag_id,
        task_id,
    })
}

async fn mark_queued(tx: &Tx, tis: &[QueuedTi], job_id: i64, now: DateTime<Utc>) -> Result<(), StoreError> {
    for chunk in tis.chunks(1000) {
        let sql = tx
            .sql(
                "UPDATE task_instance SET state = 'queued', queued_dttm = ?, queued_by_job_id = ?, updated_at = ? \
                 WHERE state = 'scheduled' AND id IN (?)",
            )
            .bind(now)
            .bind(job_id)
            .bind(now)
            .bind_list(chunk.iter().map(|ti| ti.id));
        tx.exec(sql).await?;
    }
    Ok(())
}

/// Names the task instances of executors that want it: the name must not be lost with this process.
async fn pre_assign(
    tx: &Tx,
    tis: &[QueuedTi],
    executors: &BTreeSet<ExecutorIndex>,
) -> Result<(), StoreError> {
    let named: Vec<&QueuedTi> = tis.iter().filter(|ti| executors.contains(&ti.executor)).collect();
    for chunk in named.chunks(400) {
        let rows = chunk.iter().map(|ti| vec![Param::from(ti.id), Param::from(Uuid::new_v4().to_string())]);
        let sql = tx
            .sql("UPDATE task_instance SET external_executor_id = named.column2 FROM (VALUES ?) AS named WHERE task_instance.id = named.column1")
            .bind_rows(rows);
        tx.exec(sql).await?;
    }
    Ok(())
}
