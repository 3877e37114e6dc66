//! Adding, pausing and removing triggers.

use chrono::{DateTime, Utc};
use serde_json::Value;
use slipstream_core::event::{Action, Position, TriggerSpec};
use slipstream_core::ids::{DagId, TaskId};

use super::TriggerError;
use crate::events::engine::spec_hash;
use crate::store::dag_bag::DagBag;
use crate::store::events as log;
use crate::store::triggers::registry::{self, NewTrigger, Origin, Status};
use crate::store::triggers::{TriggerId, cursor, dags, progress};
use crate::store::{Db, StoreError, Tx};

/// A trigger that is put on an existing Dag from outside.
#[derive(Clone, Debug)]
pub struct NewExternal {
    /// Its unique name.
    pub name: String,
    /// The Dag that it acts on.
    pub dag_id: DagId,
    /// The task that it acts on; `None` for the Dag.
    pub task_id: Option<TaskId>,
    /// What it says.
    pub spec: Value,
}

/// Waits for the engine; returns where the log stands. Where nothing was triggered yet, evaluation begins there.
async fn locked(db: &Db) -> Result<(Tx, Position), StoreError> {
    let tx = db.begin().await?;
    let head = log::head(&tx).await?;
    cursor::wait_for(&tx, cursor::ENGINE, head).await?;
    // What was appended while we waited has been before this moment, too.
    let head = log::head(&tx).await?;
    if registry::all(&tx).await?.iter().all(|row| row.status == Status::Retired) {
        cursor::advance(&tx, cursor::ENGINE, head).await?;
    }
    Ok((tx, head))
}

/// Adds a trigger; it sees events from now on.
///
/// # Errors
/// When the spec has no meaning, the Dag does not exist, or the name is taken; as any statement.
pub async fn add(db: &Db, new: &NewExternal, now: DateTime<Utc>) -> Result<TriggerId, TriggerError> {
    let spec = TriggerSpec::from_json(&new.spec)?;
    let on_dag = matches!(spec.action, Action::NewRun(_) | Action::StopRuns { .. });
    if on_dag != new.task_id.is_none() {
        let message = if on_dag {
            "`run` and `stop_runs` act on a Dag: leave the task out"
        } else {
            "`start`, `stop` and `restart` act on a task, and `stop_run` on the run of one: name it"
        };
        return Err(TriggerError::Refused(message.to_owned()));
    }
    // Names with these are those of triggers in Dag files.
    if new.name.trim().is_empty() || new.name.contains(['#', ':']) || new.name.len() > 250 {
        let message = "the name of a trigger has 1 to 250 bytes and neither `#` nor `:`".to_owned();
        return Err(TriggerError::Refused(message));
    }
    if spec.asks_python() {
        let message = "a Python function can only be in the file of a Dag (`passes`): nobody runs code that comes from outside";
        return Err(TriggerError::Refused(message.to_owned()));
    }
    let (tx, head) = locked(db).await?;
    if dags::flags(&tx, [&new.dag_id]).await?.is_empty() {
        return Err(TriggerError::Refused(format!("there is no Dag '{}'", new.dag_id)));
    }
    if let Some(task_id) = &new.task_id
        && let Some((dag_id, Ok(dag))) =
            DagBag::try_latest(&tx, std::slice::from_ref(&new.dag_id)).await?.first()
        && dag.dag.task_by_id(task_id.as_str()).is_none()
    {
        return Err(TriggerError::Refused(format!("the Dag '{dag_id}' has no task '{task_id}'")));
    }
    if registry::all(&tx).await?.iter().any(|row| row.name == new.name) {
        return Err(TriggerError::Refused(format!("there is a trigger '{}' already", new.name)));
    }
    let trigger = NewTrigger {
        name: new.name.clone(),
        dag_id: new.dag_id.clone(),
        task_id: new.task_id.clone(),
        origin: Origin::External,
        spec_hash: spec_hash(&new.spec),
        spec: new.spec.clone(),
    };
    let id = registry::insert(&tx, &trigger, head, now).await?;
    tx.commit().await?;
    Ok(id)
}

/// Pauses a trigger: events pass it by, and are not made up for when it is resumed.
///
/// # Errors
/// As any statement.
pub async fn pause(db: &Db, name: &str, now: DateTime<Utc>) -> Result<(), TriggerError> {
    let (tx, _) = locked(db).await?;
    let row = registry::named(&tx, name).await?;
    if row.status == Status::Retired {
        return Err(TriggerError::Refused(format!("the Dag no longer has the trigger '{name}'")));
    }
    registry::set_status(&tx, row.id, Status::Paused, None, now).await?;
    Ok(tx.commit().await?)
}

/// Resumes a paused trigger from the end of the log on; what it remembered is still there.
///
/// # Errors
/// As any statement.
pub async fn resume(db: &Db, name: &str, now: DateTime<Utc>) -> Result<(), TriggerError> {
    let (tx, head) = locked(db).await?;
    let row = registry::named(&tx, name).await?;
    if row.status != Status::Paused {
        return Err(TriggerError::Refused(format!(
            "the trigger '{name}' is not paused, it is {}",
            row.status
        )));
    }
    registry::set_status(&tx, row.id, Status::Active, Some(head), now).await?;
    progress::wake(&tx, row.id, now).await?;
    Ok(tx.commit().await?)
}

/// Deletes a trigger that was added from outside, or one whose Dag no longer has it.
///
/// # Errors
/// When a Dag file has it: it would come back. As any statement.
pub async fn delete(db: &Db, name: &str) -> Result<(), TriggerError> {
    let (tx, _) = locked(db).await?;
    let row = registry::named(&tx, name).await?;
    if row.origin == Origin::File && row.status != Status::Retired {
        let message = format!("the trigger '{name}' is in the file of its Dag: remove it there, or pause it");
        return Err(TriggerError::Refused(message));
    }
    registry::delete(&tx, row.id).await?;
    Ok(tx.commit().await?)
}
