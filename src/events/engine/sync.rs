//! The triggers in Dag files become rows: those of each Dag's newest serialised version.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use sha2::{Digest, Sha256};
use slipstream_core::dag::Dag;
use slipstream_core::event::{Declared, Position, TriggerSpec};
use slipstream_core::ids::{DagId, TaskId};

use super::batch::Care;
use super::catalog::{Catalog, default_name};
use super::pairing::{Names, pair};
use super::savepoint;
use crate::store::dag_bag::DagBag;
use crate::store::events as log;
use crate::store::triggers::registry::{self, NewTrigger, Origin, Status, TriggerRow};
use crate::store::triggers::{cursor, progress, with_triggers};
use crate::store::{Db, StoreError, Tx};

/// A trigger of a Dag.
#[derive(Debug)]
pub(super) struct Found<'a> {
    /// What it is called if no other trigger is.
    pub(super) name: String,
    /// Its task; `None` for the Dag.
    pub(super) task_id: Option<TaskId>,
    /// As it is written, and what it means.
    pub(super) declared: &'a Declared,
    /// Hash of what it says.
    pub(super) hash: String,
}

impl Found<'_> {
    /// Whether its file gives it a name.
    pub(super) fn is_named(&self) -> bool {
        self.declared.json.get("name").is_some_and(Value::is_string)
    }
}

/// The triggers of a version of a Dag; also those that mean nothing, so that they can be shown.
pub(super) fn triggers_of(dag: &Dag) -> Vec<Found<'_>> {
    let of_dag = dag.event_triggers.iter().enumerate().map(|(ordinal, one)| (None, ordinal, one));
    let of_tasks = dag.iter().flat_map(|(_, task)| {
        let triggers = task.slipstream.iter().flat_map(|events| &events.triggers).enumerate();
        triggers.map(|(ordinal, one)| (Some(task.task_id.clone()), ordinal, one))
    });
    of_dag
        .chain(of_tasks)
        .map(|(task_id, ordinal, declared)| {
            let name = match (declared.json.get("name").and_then(Value::as_str), &task_id) {
                (Some(name), Some(task_id)) => format!("{}.{task_id}:{name}", dag.dag_id),
                (Some(name), None) => format!("{}:{name}", dag.dag_id),
                (None, task_id) => default_name(&dag.dag_id, task_id.as_ref(), ordinal),
            };
            Found { name, task_id, hash: hash(&declared.json), declared }
        })
        .collect()
}

/// A hash that two equal specs share.
pub fn hash(spec: &Value) -> String {
    hex::encode(&Sha256::digest(canonical(spec).to_string())[..16])
}

/// The same JSON with its names in order.
fn canonical(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let sorted: BTreeMap<&String, Value> =
                map.iter().map(|(name, value)| (name, canonical(value))).collect();
            Value::Object(sorted.into_iter().map(|(name, value)| (name.clone(), value)).collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(canonical).collect()),
        other => other.clone(),
    }
}

/// Which versions of Dags have been read.
#[derive(Debug, Default)]
pub(super) struct Sync {
    versions: Option<Option<DateTime<Utc>>>,
    /// Dags that had gone at the last look.
    gone: BTreeSet<DagId>,
}

/// Whether rows may have changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wrote {
    Nothing,
    Some,
}

/// How far back versions are read again: one may be written earlier and become visible later than the next.
const OVERLAP: TimeDelta = TimeDelta::minutes(5);

impl Sync {
    /// Whether nothing has been looked at yet.
    pub(super) fn is_first(&self) -> bool {
        self.versions.is_none()
    }

    /// Looks for new versions of Dags with triggers, and for Dags that have gone. `versions`: when one was last written.
    ///
    /// # Errors
    /// As any statement; then nothing was written.
    pub(super) async fn run_once(
        &mut self,
        db: &Db,
        bag: &DagBag,
        catalog: &Catalog,
        versions: Option<DateTime<Utc>>,
        now: DateTime<Utc>,
    ) -> Result<Wrote, StoreError> {
        let since = match self.versions {
            Some(before) if before == versions => None,
            Some(before) => Some(before.map(|at| at - OVERLAP)),
            None => Some(None),
        };
        let mut dags = match since {
            Some(since) => with_triggers::newest(db, since).await?,
            None => BTreeSet::new(),
        };
        if catalog.has_rows() || since.is_some() {
            // Those that have rows are looked at too: their triggers may be gone.
            dags.append(&mut with_triggers::changed(db, since).await?);
        }
        if !self.gone.is_empty() {
            dags.append(&mut with_triggers::returned(db).await?);
        }
        if !dags.is_empty() {
            self.write(db, bag, &dags, now).await?;
        }
        self.versions = Some(versions);
        Ok(if dags.is_empty() { Wrote::Nothing } else { Wrote::Some })
    }

    async fn write(
        &mut self,
        db: &Db,
        bag: &DagBag,
        dags: &BTreeSet<DagId>,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let tx = db.begin().await?;
        // Before the head is read: what is committed later comes after it.
        let head = log::head(&tx).await?;
        cursor::wait_for(&tx, cursor::ENGINE, head).await?;
        let rows = registry::all(&tx).await?;
        if rows.iter().all(|row| row.status == Status::Retired) {
            // Nobody had asked for what lies behind.
            cursor::advance(&tx, cursor::ENGINE, head).await?;
        }
        let stale = with_triggers::stale(&tx, dags).await?;
        let mut names = Names::of(&rows);
        let live = dags.iter().filter(|dag| !stale.contains(*dag)).cloned().collect();
        let versions = bag.latest(&tx, &live).await?;
        for dag_id in dags {
            let found = versions.get(dag_id).map(|dag| triggers_of(&dag.dag)).unwrap_or_default();
            if found.is_empty() && live.contains(dag_id) && !versions.contains_key(dag_id) {
                // It cannot be understood, which the bag has told: its triggers stay as they are.
                continue;
            }
            let of_dag: Vec<&TriggerRow> =
                rows.iter().filter(|row| row.dag_id == *dag_id && row.origin == Origin::File).collect();
            // What the database refuses of one Dag is not to keep the others from their triggers.
            let savepoint = savepoint::begin(&tx, Care::Apart).await?;
            match write_dag(&tx, dag_id, &found, &of_dag, &mut names, head, now).await {
                Ok(()) => savepoint.release(&tx).await?,
                Err(error) if error.is_transient() => return Err(error),
                Err(error) => {
                    tracing::error!(%dag_id, %error, "the triggers of the Dag stay as they were, because they cannot be written");
                    savepoint.roll_back(&tx).await?;
                }
            }
        }
        tx.commit().await?;
        self.gone.retain(|dag_id| !dags.contains(dag_id));
        self.gone.extend(stale);
        Ok(())
    }
}

/// Brings the rows of one Dag up to date with its file.
async fn write_dag(
    tx: &Tx,
    dag_id: &DagId,
    found: &[Found<'_>],
    rows: &[&TriggerRow],
    names: &mut Names,
    head: Position,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let mut kept = BTreeSet::new();
    for (trigger, row) in found.iter().zip(pair(found, rows)) {
        let mut new = NewTrigger {
            name: trigger.name.clone(),
            dag_id: dag_id.clone(),
            task_id: trigger.task_id.clone(),
            origin: Origin::File,
            spec: trigger.declared.json.clone(),
            spec_hash: trigger.hash.clone(),
        };
        let Some(row) = row else {
            let Some(name) = names.free(trigger, dag_id) else {
                tracing::error!(
                    trigger = trigger.name,
                    "two triggers of the Dag have this name; the second is left out"
                );
                continue;
            };
            new.name = name;
            registry::insert(tx, &new, head, now).await?;
            names.take(&new.name, dag_id);
            tracing::info!(trigger = new.name, position = %head, "a trigger was found in a Dag file");
            continue;
        };
        kept.insert(row.id);
        if row.spec_hash != trigger.hash {
            // Its memory is of another condition; runs pinned to the older version keep theirs.
            if row.task_id.is_none() {
                progress::forget(tx, row.id).await?;
            }
            registry::replace(tx, row.id, &new, head, now).await?;
            tracing::info!(trigger = row.name, position = %head, "a trigger has changed in its Dag file");
        } else if row.status == Status::Retired {
            // The engine has passed what it missed; one that asks Python begins where it is told to.
            let asks = trigger.declared.spec.as_ref().is_ok_and(TriggerSpec::asks_python);
            registry::set_status(tx, row.id, Status::Active, asks.then_some(head), now).await?;
            progress::wake(tx, row.id, now).await?;
            tracing::info!(trigger = row.name, "a trigger is back in its Dag file, with what it remembered");
        }
    }
    for row in rows.iter().filter(|row| row.status != Status::Retired && !kept.contains(&row.id)) {
        registry::set_status(tx, row.id, Status::Retired, None, now).await?;
        tracing::info!(trigger = row.name, "a trigger is no longer in its Dag file");
    }
    Ok(())
}
