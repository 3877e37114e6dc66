//! Tests of connections that were asked for in the UI (`airflow/models/connection_test.py`).

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::super::db::{Conn, Tx};
use super::super::error::StoreError;

/// A test that took too long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reaped {
    /// `connection_test_request.id`.
    pub id: Uuid,
    /// The state that it was in: `pending`, `queued` or `running`.
    pub prior_state: String,
}

/// Fails tests that have not ended `timeout` and a grace period after they last changed
/// (`SchedulerJobRunner._reap_stale_connection_tests`).
///
/// # Errors
/// As any statement.
pub async fn reap(tx: &Tx, timeout: i64, now: DateTime<Utc>) -> Result<Vec<Reaped>, StoreError> {
    let grace = (timeout / 2).max(30);
    let sql = tx
        .sql(
            "SELECT id, state FROM connection_test_request WHERE state IN ('pending', 'queued', 'running') \
             AND updated_at < ?",
        )
        .push(tx.dialect().pg(" FOR NO KEY UPDATE SKIP LOCKED"))
        .bind(now - TimeDelta::seconds(timeout + grace));
    let mut reaped = Vec::new();
    for row in tx.all(sql).await? {
        let (id, prior_state) = (row.uuid("id")?, row.text("state")?);
        let what = match prior_state.as_str() {
            "pending" => "Connection test expired in PENDING before any executor picked it up",
            "queued" => "Connection test was queued but never started before timeout",
            _ => "Connection test timed out",
        };
        let sql = tx
            .sql(
                "UPDATE connection_test_request SET state = 'failed', active_connection_id = NULL, \
                 result_message = ?, updated_at = ? \
                 WHERE id = ?",
            )
            .bind(format!("{what} (exceeded {timeout}s + {grace}s grace)"))
            .bind(now)
            .bind(id);
        tx.exec(sql).await?;
        reaped.push(Reaped { id, prior_state });
    }
    Ok(reaped)
}

/// How many tests an executor has, and how many wait for one.
///
/// # Errors
/// As any statement.
pub async fn waiting<C: Conn>(conn: &C) -> Result<(i64, i64), StoreError> {
    let sql = conn.sql(
        "SELECT count(CASE WHEN state <> 'pending' THEN 1 END) AS active, \
         count(CASE WHEN state = 'pending' THEN 1 END) AS pending FROM connection_test_request \
         WHERE state IN ('pending', 'queued', 'running')",
    );
    conn.one(sql).await?.map_or(Ok((0, 0)), |row| Ok((row.int("active")?, row.int("pending")?)))
}

/// Fails pending tests with a reason: no executor here can run them.
///
/// # Errors
/// As any statement.
pub async fn refuse_pending(
    tx: &Tx,
    reason: impl Fn(Option<&str>) -> String,
    now: DateTime<Utc>,
) -> Result<u64, StoreError> {
    let sql = tx
        .sql("SELECT id, executor FROM connection_test_request WHERE state = 'pending' ORDER BY created_at")
        .push(tx.dialect().pg(" FOR NO KEY UPDATE SKIP LOCKED"));
    let mut refused = 0;
    for row in tx.all(sql).await? {
        let executor = row.text_opt("executor")?;
        let sql = tx
            .sql(
                "UPDATE connection_test_request SET state = 'failed', active_connection_id = NULL, \
                 result_message = ?, updated_at = ? WHERE id = ?",
            )
            .bind(reason(executor.as_deref()))
            .bind(now)
            .bind(row.uuid("id")?);
        refused += tx.exec(sql).await?;
    }
    Ok(refused)
}
