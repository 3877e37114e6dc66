//! `PATCH /task-instances/{id}/state` with success.

use chrono::{DateTime, Utc};
use serde_json::Value as Json;
use slipstream_core::state::TaskState;
use uuid::Uuid;

use super::assets::{self, AssetProfile, OutletEvent};
use super::error::{ExecutionError, Refusal};
use super::finish::{End, Resume, write_end};
use super::locked::LockedTi;
use super::{OnSuccess, Options, Reported, fail_fast, state_store, transact};
use crate::store::db::{Db, Tx};
use crate::store::error::StoreError;

/// The success of a task instance.
#[derive(Clone, Debug)]
pub struct Success {
    /// When it ended.
    pub end_date: DateTime<Utc>,
    /// The assets that the task declares as its outlets.
    pub task_outlets: Vec<AssetProfile>,
    /// What the task said about them.
    pub outlet_events: Vec<Json>,
    /// As [`super::Finish::rendered_map_index`].
    pub rendered_map_index: Option<String>,
}

/// The longest partition key that the database holds.
const PARTITION_KEY_LENGTH: usize = 250;

/// Writes the success of a task instance and registers its asset events. If they cannot be registered, the task instance
/// fails instead, as in Airflow.
///
/// # Errors
/// 404 without the row, 409 when the task instance does not run, 422 for a bad partition key; as any statement.
pub async fn succeed(
    db: &Db,
    id: Uuid,
    report: &Success,
    options: &Options,
) -> Result<Reported, ExecutionError> {
    let written = transact!(db, "succeed", |tx| {
        let ti = LockedTi::lock(tx, id).await?;
        if !ti.admits(TaskState::Success)? {
            return Ok(Reported::Already);
        }
        check_partition_keys(&report.outlet_events)?;
        let events = OutletEvent::read_all(&report.outlet_events).map_err(StoreError::Invalid)?;
        assets::register(tx, &ti, &report.task_outlets, &events, options).await?;
        let end = End {
            state: TaskState::Success,
            end_date: report.end_date,
            rendered_map_index: report.rendered_map_index.as_deref(),
            resume: Resume::Clear,
        };
        write_end(tx, &ti, &end).await?;
        if options.task_state == OnSuccess::Clear {
            state_store::clear_scope(tx, &ti.dag_id, &ti.run_id, &ti.task_id, ti.map_index).await?;
        }
        Ok(Reported::Written)
    });
    match written {
        Err(ExecutionError::Store(error)) if !error.is_transient() => {
            tracing::error!(ti_id = %id, %error, "asset events could not be registered; the task instance fails");
            transact!(db, "fail", |tx| fail_instead(tx, id, report).await)
        }
        result => result,
    }
}

/// What Airflow does when the state cannot be updated for an unexpected reason.
async fn fail_instead(tx: &Tx, id: Uuid, report: &Success) -> Result<Reported, ExecutionError> {
    let ti = LockedTi::lock(tx, id).await?;
    if !ti.admits(TaskState::Failed)? {
        return Ok(Reported::Already);
    }
    fail_fast::stop_remaining_tasks(tx, &ti).await?;
    let end = End {
        state: TaskState::Failed,
        end_date: Utc::now(),
        rendered_map_index: report.rendered_map_index.as_deref(),
        resume: Resume::Keep,
    };
    write_end(tx, &ti, &end).await?;
    Ok(Reported::FailedInstead)
}

fn check_partition_keys(events: &[Json]) -> Result<(), Refusal> {
    for key in events.iter().filter_map(|event| event.get("partition_key")?.as_str()) {
        let problem = if key.trim().is_empty() {
            format!("must not be empty or whitespace-only; got '{key}'.")
        } else if key.chars().count() > PARTITION_KEY_LENGTH {
            format!("must be at most {PARTITION_KEY_LENGTH} characters; got {}.", key.chars().count())
        } else {
            continue;
        };
        let message = format!("partition_key in outlet event {problem}");
        return Err(Refusal::new(422, "invalid_partition_key", message));
    }
    Ok(())
}
