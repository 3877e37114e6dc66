//! Running runs of paused Dags, which may have ended all the same (`_update_dag_run_state_for_paused_dags`).

use crate::store::duties::paused_dags;
use crate::store::{Db, StoreError};

/// Runs of paused Dags that have to be examined, by `dag_run.id`; nothing new must be scheduled in them.
///
/// # Errors
/// As any statement.
pub async fn run_once(db: &Db) -> Result<Vec<i64>, StoreError> {
    paused_dags::changed_runs(db).await
}
