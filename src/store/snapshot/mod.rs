//! The facts of one tick: running dag runs with their task instances, in a few set-based queries.
//!
//! The runs are locked until the transaction ends (`FOR NO KEY UPDATE SKIP LOCKED`), which is what makes one scheduler own
//! a run while it decides about it.

mod needs;

use std::collections::{BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use slipstream_core::ids::{DagId, MapIndex, RunId};
use slipstream_core::run::{Pausing, RunFacts, TiFacts};
use slipstream_core::state::UnknownState;
use uuid::Uuid;

use super::watch::Marks;
use super::{Conn, Param, Row, StoreError, Tx};

pub use needs::load_needs;

/// A running dag run with everything that is read for every run.
#[derive(Clone, Debug)]
pub struct RunSnapshot {
    /// `dag_run.id`.
    pub id: i64,
    /// What decisions are made of.
    pub facts: RunFacts,
    /// `bundle_version`: set for runs that are pinned to the version they started with.
    pub bundle_version: Option<String>,
    /// `created_dag_version_id`.
    pub created_dag_version_id: Option<Uuid>,
    /// `clear_number`.
    pub clear_number: i64,
    /// When it was queued, the last time.
    pub queued_at: Option<DateTime<Utc>>,
    /// `context_carrier`, still wrapped.
    pub context_carrier: serde_json::Value,
    /// Its task instances, by task and map index.
    pub tis: Vec<TiFacts>,
    /// Every version of the Dag that a task instance of the run was made from.
    pub ti_versions: BTreeSet<Uuid>,
    /// The newest `updated_at` of its task instances.
    pub touched_at: Option<DateTime<Utc>>,
    /// Their number and states, as they were read.
    pub marks: Marks,
    /// Why it cannot be decided about: a task instance is in a state that this version does not know.
    pub unreadable: Option<UnknownState>,
}

impl RunSnapshot {
    /// The version of the Dag that the run goes by: its own if it is pinned, else `None` for the newest
    /// (`airflow/models/dagbag.py`, `_version_from_dag_run`).
    pub fn pinned_version(&self) -> Option<Uuid> {
        self.bundle_version.as_ref().and(self.created_dag_version_id)
    }
}

const SELECT_RUNS: &str = "SELECT dr.id, dr.dag_id, dr.run_id, dr.run_type, dr.state, dr.logical_date, \
     dr.data_interval_start, dr.data_interval_end, dr.run_after, dr.start_date, dr.bundle_version, \
     dr.created_dag_version_id, dr.clear_number, dr.queued_at, dr.context_carrier, bdr.sort_ordinal FROM dag_run dr \
     JOIN dag ON dag.dag_id = dr.dag_id LEFT JOIN backfill_dag_run bdr ON bdr.dag_run_id = dr.id";

/// Locks and reads those of the named runs that may be examined now: running, due, of a Dag that is neither paused nor
/// stale (or is paused, and stale or not), and not locked by another scheduler. Of the runs that have just been started here (`launched`) it does not matter
/// whether their Dag was paused meanwhile. Their task instances are left to [`load_task_instances`].
///
/// # Errors
/// As any statement.
pub async fn lock_runs(
    tx: &Tx,
    ids: &BTreeSet<i64>,
    keys: &BTreeSet<(DagId, RunId)>,
    launched: &BTreeSet<i64>,
    pausing: Pausing,
    now: DateTime<Utc>,
) -> Result<Vec<RunSnapshot>, StoreError> {
    let mut sql = tx
        .sql(SELECT_RUNS)
        .push(" WHERE dr.state = 'running' AND (dag.is_paused = ?")
        .bind(pausing == Pausing::Paused);
    if !launched.is_empty() {
        sql = sql.push(" OR dr.id IN (?)").bind_list(launched.iter().copied());
    }
    sql = sql
        .push(")")
        .push_if(pausing == Pausing::Unpaused, " AND NOT dag.is_stale")
        .push(" AND dr.run_after <= ? AND (dr.id IN (?)")
        .bind(now)
        .bind_list(ids.iter().copied());
    if !keys.is_empty() {
        let rows = keys.iter().map(|(dag, run)| vec![Param::from(dag), Param::from(run)]);
        sql = sql.push(" OR (dr.dag_id, dr.run_id) IN (VALUES ?)").bind_rows(rows);
    }
    let sql = sql
        .push(
            ") ORDER BY bdr.sort_ordinal NULLS FIRST, dr.last_scheduling_decision NULLS FIRST, dr.run_after, dr.id",
        )
        .push(tx.lock(" FOR NO KEY UPDATE OF dr SKIP LOCKED"));
    let mut runs = Vec::new();
    for row in tx.all(sql).await? {
        match read_run(&row) {
            Ok(run) => runs.push(run),
            // One row that a newer program wrote must not stop the other runs.
            Err(StoreError::UnknownState(why)) => tracing::error!(
                dag_id = row.text("dag_id")?,
                run_id = row.text("run_id")?,
                "{why}: the run is left alone until the row is corrected"
            ),
            Err(error) => return Err(error),
        }
    }
    // A run that several backfills have processed is found once for each.
    let mut seen = BTreeSet::new();
    runs.retain(|run| seen.insert(run.id));
    Ok(runs)
}

/// Reads these runs in whatever state, without a lock; those that are not there are left out, as are those in a state that is
/// not known.
///
/// # Errors
/// As any statement.
pub async fn load_in_any_state(tx: &Tx, ids: &BTreeSet<i64>) -> Result<Vec<RunSnapshot>, StoreError> {
    let sql = tx.sql(SELECT_RUNS).push(" WHERE dr.id IN (?) ORDER BY dr.id").bind_list(ids.iter().copied());
    let mut runs: Vec<RunSnapshot> = tx.all(sql).await?.iter().filter_map(|row| read_run(row).ok()).collect();
    runs.dedup_by_key(|run| run.id);
    load_task_instances(tx, &mut runs).await?;
    Ok(runs)
}

/// Reads one run in whatever state, without a lock. `None` if it is not there.
///
/// # Errors
/// As any statement.
pub async fn load_run(tx: &Tx, id: i64) -> Result<Option<RunSnapshot>, StoreError> {
    let Some(row) = tx.one(tx.sql(SELECT_RUNS).push(" WHERE dr.id = ? LIMIT 1").bind(id)).await? else {
        return Ok(None);
    };
    let mut runs = [read_run(&row)?];
    load_task_instances(tx, &mut runs).await?;
    Ok(runs.into_iter().next())
}

fn read_run(row: &Row) -> Result<RunSnapshot, StoreError> {
    Ok(RunSnapshot {
        id: row.int("id")?,
        facts: RunFacts {
            dag_id: row.id("dag_id")?,
            run_id: row.id("run_id")?,
            run_type: row.state("run_type")?,
            state: row.state("state")?,
            logical_date: row.time_opt("logical_date")?,
            data_interval_start: row.time_opt("data_interval_start")?,
            data_interval_end: row.time_opt("data_interval_end")?,
            run_after: row.time("run_after")?,
            start_date: row.time_opt("start_date")?,
            backfill_ordinal: row.int_opt("sort_ordinal")?.and_then(|ordinal| i32::try_from(ordinal).ok()),
        },
        bundle_version: row.text_opt("bundle_version")?,
        created_dag_version_id: row.uuid_opt("created_dag_version_id")?,
        clear_number: row.int("clear_number")?,
        queued_at: row.time_opt("queued_at")?,
        context_carrier: row.json("context_carrier")?,
        tis: Vec::new(),
        ti_versions: BTreeSet::new(),
        touched_at: None,
        marks: Marks::default(),
        unreadable: None,
    })
}

/// Reads the task instances of these runs, also again after some were added or changed.
///
/// # Errors
/// As any statement.
pub async fn load_task_instances(tx: &Tx, runs: &mut [RunSnapshot]) -> Result<(), StoreError> {
    let mut at: HashMap<i64, usize> = HashMap::with_capacity(runs.len());
    for (index, run) in runs.iter_mut().enumerate() {
        run.tis.clear();
        run.ti_versions.clear();
        run.marks = Marks::default();
        run.unreadable = None;
        at.insert(run.id, index);
    }
    if runs.is_empty() {
        return Ok(());
    }
    let sql = tx
        .sql(
            "SELECT dr.id AS run, ti.id, ti.task_id, ti.map_index, ti.state, ti.try_number, ti.max_tries, ti.start_date, \
             ti.end_date, ti.retry_delay_override, ti.dag_version_id, ti.updated_at FROM dag_run dr \
             JOIN task_instance ti ON ti.dag_id = dr.dag_id AND ti.run_id = dr.run_id WHERE dr.id IN (?) \
             ORDER BY dr.id, ti.task_id, ti.map_index",
        )
        .bind_list(runs.iter().map(|run| run.id));
    for row in tx.all(sql).await? {
        let Some(run) = at.get(&row.int("run")?).and_then(|index| runs.get_mut(*index)) else { continue };
        run.ti_versions.extend(row.uuid_opt("dag_version_id")?);
        run.touched_at = run.touched_at.max(row.time_opt("updated_at")?);
        run.marks.add(row.text_opt("state")?.as_deref());
        match read_ti(&row) {
            Ok(ti) => run.tis.push(ti),
            Err(StoreError::UnknownState(why)) => run.unreadable = Some(why),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn read_ti(row: &Row) -> Result<TiFacts, StoreError> {
    Ok(TiFacts {
        id: row.uuid("id")?,
        task_id: row.id("task_id")?,
        map_index: MapIndex(row.int32("map_index")?),
        state: row.state_opt("state")?,
        try_number: row.int32("try_number")?,
        max_tries: row.int32("max_tries")?,
        start_date: row.time_opt("start_date")?,
        end_date: row.time_opt("end_date")?,
        retry_delay_override: row.float_opt("retry_delay_override")?,
    })
}
