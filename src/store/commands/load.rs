//! Reading a run's commands, and the instances that they are about, locked.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde_json::Value;
use slipstream_core::event::command::{Instance, Log};
use slipstream_core::event::order::{Command, Order, Status};
use slipstream_core::ids::{DagId, RunId, TaskId};
use uuid::Uuid;

use crate::store::{Conn, Row, StoreError, Tx};

/// A command with what is needed to carry it out.
#[derive(Clone, Debug, PartialEq)]
pub struct Stored {
    /// What is decided about.
    pub command: Command,
    /// The firing that asked.
    pub firing: Uuid,
    /// Its options, with what has been noted in them since.
    pub options: Value,
}

/// The commands of one run that have not had their effect, by task, in the order of their numbers.
pub type ByTask = BTreeMap<TaskId, Vec<Stored>>;

/// Key in a command's options: further firings whose events it carries.
pub(super) const ALSO: &str = "also";

impl Stored {
    /// All firings whose events it carries.
    pub fn firings(&self) -> Vec<Uuid> {
        std::iter::once(self.firing).chain(also(&self.options)).collect()
    }
}

/// The further firings in a command's options.
pub fn also(options: &Value) -> Vec<Uuid> {
    let also = options.get(ALSO).and_then(Value::as_array).into_iter().flatten();
    also.filter_map(|id| Uuid::parse_str(id.as_str()?).ok()).collect()
}

/// The commands of a run that have not had their effect. A command that this version does not understand stays.
///
/// # Errors
/// As any statement.
pub async fn load(tx: &Tx, dag_id: &DagId, run_id: &RunId) -> Result<ByTask, StoreError> {
    let sql = tx
        .sql(
            "SELECT id, firing_id, task_id, map_index, action, options, status FROM slipstream_command \
             WHERE status IN ('pending', 'waiting', 'stopping', 'open') AND dag_id = ? AND run_id = ? ORDER BY id",
        )
        .bind(dag_id)
        .bind(run_id);
    let mut commands = ByTask::new();
    for row in tx.all(sql).await? {
        match read(&row)? {
            Some(stored) => commands.entry(row.id("task_id")?).or_default().push(stored),
            None => tracing::error!(
                command = row.int("id")?,
                action = row.text("action")?,
                "a command on a task is not understood and stays where it is; it was written by another version"
            ),
        }
    }
    Ok(commands)
}

fn read(row: &Row) -> Result<Option<Stored>, StoreError> {
    let options = row.json("options")?;
    let order = Order::from_json(&row.text("action")?, &options);
    let (Some(order), Some(status)) = (order, Status::from_text(&row.text("status")?)) else {
        return Ok(None);
    };
    let command = Command { id: row.int("id")?, map_index: row.int32("map_index")?, order, status };
    Ok(Some(Stored { command, firing: row.uuid("firing_id")?, options }))
}

/// Instances that could be locked.
#[derive(Clone, Debug, Default)]
pub struct Locked {
    /// By task.
    pub instances: BTreeMap<TaskId, Vec<Instance>>,
    /// Tasks of which another transaction holds an instance: their commands are taken later.
    pub busy: BTreeSet<TaskId>,
}

/// Locks and reads the instances of these tasks. One that another transaction holds is not waited for: whoever holds it
/// may be waiting for the run, which we hold. What has not changed since `patience` is not waited for by anybody either: the
/// event engine should have told it.
///
/// # Errors
/// As any statement.
pub async fn lock(
    tx: &Tx,
    dag_id: &DagId,
    run_id: &RunId,
    tasks: &BTreeSet<&TaskId>,
    patience: DateTime<Utc>,
) -> Result<Locked, StoreError> {
    let mut locked = Locked::default();
    if tasks.is_empty() {
        return Ok(locked);
    }
    let select = |tx: &Tx, end: &str| {
        tx.sql(
            "SELECT ti.id, ti.task_id, ti.map_index, ti.state, ti.try_number, ti.updated_at, \
             (SELECT count(*) FROM slipstream_observed o WHERE o.dag_id = ti.dag_id AND o.run_id = '' \
             AND o.task_id = '' AND o.map_index = -1) AS watched, \
             (SELECT count(*) FROM slipstream_observed o WHERE o.dag_id = ti.dag_id AND o.run_id = ti.run_id \
             AND o.task_id = ti.task_id AND o.map_index = ti.map_index AND o.state = ti.state \
             AND o.try_number = ti.try_number) AS told \
             FROM task_instance ti WHERE ti.dag_id = ? AND ti.run_id = ? \
             AND (ti.state IS NULL OR ti.state <> 'removed') AND ti.task_id IN (?)",
        )
        .bind(dag_id)
        .bind(run_id)
        .bind_list(tasks.iter().copied())
        .push(" ORDER BY ti.task_id, ti.map_index")
        .push(end)
    };
    let mut ids = BTreeSet::new();
    for row in tx.all(select(tx, tx.dialect().pg(" FOR UPDATE OF ti SKIP LOCKED"))).await? {
        let instance = Instance {
            id: row.uuid("id")?,
            map_index: row.int32("map_index")?,
            state: row.state_opt("state")?,
            try_number: row.int32("try_number")?,
            log: log_of(&row, patience)?,
        };
        ids.insert(instance.id);
        locked.instances.entry(row.id("task_id")?).or_default().push(instance);
    }
    if tx.dialect() == crate::store::Dialect::Postgres {
        for row in tx.all(select(tx, "")).await? {
            if !ids.contains(&row.uuid("id")?) {
                locked.busy.insert(row.id("task_id")?);
            }
        }
    }
    Ok(locked)
}

/// Whether the observer of the Dag's runs has told the state of this instance.
fn log_of(row: &Row, patience: DateTime<Utc>) -> Result<Log, StoreError> {
    Ok(if row.int("watched")? == 0 {
        Log::Unwatched
    } else if row.int("told")? > 0 {
        Log::HasIt
    } else if row.time_opt("updated_at")?.is_none_or(|changed| changed < patience) {
        Log::Unwatched
    } else {
        Log::LacksIt
    })
}

/// Those of these periodic tasks of a run that a command has stopped.
///
/// # Errors
/// As any statement.
pub async fn stopped<'a>(
    tx: &Tx,
    dag_id: &DagId,
    run_id: &RunId,
    tasks: impl IntoIterator<Item = &'a TaskId>,
) -> Result<BTreeSet<TaskId>, StoreError> {
    let sql = tx
        .sql(
            "SELECT DISTINCT task_id FROM slipstream_command WHERE status = 'done' AND action = 'stop' \
             AND dag_id = ? AND run_id = ? AND task_id IN (?)",
        )
        .bind(dag_id)
        .bind(run_id)
        .bind_list(tasks);
    tx.all(sql).await?.iter().map(|row| row.id("task_id")).collect()
}
