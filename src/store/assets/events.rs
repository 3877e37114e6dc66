//! Asset events that a run consumes.

use chrono::{DateTime, Utc};

use slipstream_core::ids::DagId;

use super::super::db::Conn;
use super::super::error::StoreError;
use super::super::runs::rows_per_statement;
use super::super::sql::Param;

/// What a Dag's first asset-triggered run consumes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backlog {
    /// Events since the Dag is scheduled on its assets (`catchup=False`).
    Skipped,
    /// All events there are (`catchup=True`).
    Replayed,
}

/// The events that an asset-triggered run consumes: those of the Dag's assets and aliases after the run before it, up to
/// `until`; oldest first.
///
/// # Errors
/// As any statement.
pub async fn events_for_run<C: Conn>(
    tx: &C,
    dag_id: &DagId,
    until: DateTime<Utc>,
    backlog: Backlog,
) -> Result<Vec<i64>, StoreError> {
    let floor = match backlog {
        Backlog::Skipped => {
            "(SELECT min(ref.created_at) FROM dag_schedule_asset_reference ref WHERE ref.dag_id = ?), "
        }
        Backlog::Replayed => "",
    };
    let text = format!(
        "SELECT event.id FROM asset_event event WHERE (event.asset_id IN \
         (SELECT ref.asset_id FROM dag_schedule_asset_reference ref WHERE ref.dag_id = ?) OR EXISTS \
         (SELECT 1 FROM asset_alias_asset_event link JOIN dag_schedule_asset_alias_reference ref \
         ON ref.alias_id = link.alias_id WHERE link.event_id = event.id AND ref.dag_id = ?)) \
         AND event.timestamp <= ? AND event.timestamp > coalesce((SELECT max(earlier.run_after) FROM dag_run earlier \
         WHERE earlier.dag_id = ? AND earlier.run_type = 'asset_triggered' AND earlier.run_after < ?), {floor} ?) \
         ORDER BY event.timestamp, event.id"
    );
    let mut sql = tx.sql(&text).bind(dag_id).bind(dag_id).bind(until).bind(dag_id).bind(until);
    if backlog == Backlog::Skipped {
        sql = sql.bind(dag_id);
    }
    // Python's `date.min`; only its being before everything matters.
    let sql = sql.bind(DateTime::<Utc>::UNIX_EPOCH);
    tx.all(sql).await?.iter().map(|row| row.int("id")).collect()
}

/// Records which events a run consumed.
///
/// # Errors
/// As any statement.
pub async fn consume<C: Conn>(tx: &C, run: i64, events: &[i64]) -> Result<(), StoreError> {
    for chunk in events.chunks(rows_per_statement(2)) {
        let rows = chunk.iter().map(|event| -> Vec<Param> { vec![run.into(), (*event).into()] });
        let sql = tx
            .sql("INSERT INTO dagrun_asset_event (dag_run_id, event_id) VALUES ? ON CONFLICT DO NOTHING")
            .bind_rows(rows);
        tx.exec(sql).await?;
    }
    Ok(())
}
