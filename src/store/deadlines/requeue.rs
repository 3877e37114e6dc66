//! Deadlines that count from when a run was queued move when it is cleared (`_recalculate_dagrun_queued_at_deadlines`).

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::super::db::Conn;
use super::super::error::StoreError;
use super::reference::{Interval, Reference};

/// Moves the deadlines of a run that is queued again at `queued_at`, as far as they were not missed.
///
/// # Errors
/// As any statement.
pub async fn requeued<C: Conn>(tx: &C, dag_run: i64, queued_at: DateTime<Utc>) -> Result<(), StoreError> {
    let sql = tx
        .sql(
            "SELECT d.id, a.reference, a.interval FROM deadline d JOIN deadline_alert a ON a.id = d.deadline_alert_id \
             WHERE d.dagrun_id = ? AND NOT d.missed",
        )
        .bind(dag_run);
    for row in tx.all(sql).await? {
        if Reference::read(&row.json("reference")?)? != Reference::QueuedAt {
            continue;
        }
        let Interval::Fixed(after) = Interval::read(&row.json("interval")?)? else { continue };
        let id: Uuid = row.uuid("id")?;
        let sql = tx
            .sql("UPDATE deadline SET deadline_time = ?, last_updated_at = ? WHERE id = ?")
            .bind(queued_at + after)
            .bind(Utc::now())
            .bind(id);
        tx.exec(sql).await?;
    }
    Ok(())
}
