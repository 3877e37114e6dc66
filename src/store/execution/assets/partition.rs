//! Consumers whose runs are partitioned: the event's partition is mapped to theirs (`AssetManager._queue_partitioned_dags`).

use chrono::Utc;

use super::change::{Change, Consumer};
use super::{LockedTi, Options};
use crate::store::audit_log::{self, LogEntry};
use crate::store::db::Tx;
use crate::store::error::StoreError;

/// Queues the event for partitioned consumers.
pub(super) async fn queue(
    tx: &Tx,
    ti: &LockedTi,
    change: &Change<'_>,
    _event_id: i64,
    consumers: &[Consumer],
    _options: &Options,
) -> Result<(), StoreError> {
    let Some(first) = consumers.first() else { return Ok(()) };
    if change.partition.key.as_deref().is_none_or(str::is_empty) {
        return log(tx, ti, "missing partition key", missing_key(ti, change, consumers)).await;
    }
    Err(StoreError::Invalid(format!("the partition mapper of Dag `{}` is not supported", first.dag_id)))
}

fn missing_key(ti: &LockedTi, change: &Change<'_>, consumers: &[Consumer]) -> String {
    let names: Vec<_> = consumers.iter().map(|consumer| format!("'{}'", consumer.dag_id)).collect();
    format!(
        "Listening Dags are partition-aware but the run has no partition key (listening_dags=[{}], asset_id={}, \
         run_id={}, dag_id={}, task_id={})",
        names.join(", "),
        change.asset.id,
        ti.run_id,
        ti.dag_id,
        ti.task_id
    )
}

async fn log(tx: &Tx, ti: &LockedTi, event: &str, extra: String) -> Result<(), StoreError> {
    let entry = LogEntry {
        event: event.to_owned(),
        dag_id: ti.dag_id.clone(),
        task_id: Some(ti.task_id.clone()),
        run_id: Some(ti.run_id.clone()),
        map_index: Some(ti.map_index),
        try_number: Some(ti.try_number),
        logical_date: ti.logical_date,
        owner: None,
        extra: Some(extra),
    };
    audit_log::write(tx, Utc::now(), &[entry]).await
}
