//! Tests of connections that were asked for in the UI (`airflow/models/connection_test.py`): a row goes from `pending` over
//! `queued` and `running` to `success` or `failed`. While it is under way, `active_connection_id` keeps a second test of the same
//! connection out.

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::db::{Conn, Db, Tx};
use super::error::StoreError;
use super::secrets::{Cipher, CipherError, Connection, connection_in};

/// `connection_test_request.result_message` holds as many characters.
const LONGEST_MESSAGE: usize = 2000;

/// A test that took too long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reaped {
    /// `connection_test_request.id`.
    pub id: Uuid,
    /// The state that it was in: `pending`, `queued` or `running`.
    pub prior_state: String,
}

/// A test that waits for an executor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingTest {
    /// `connection_test_request.id`.
    pub id: Uuid,
    /// The connection.
    pub connection_id: String,
    /// The executor that was asked for; `None` for the default one.
    pub executor: Option<String>,
    /// The queue that was asked for.
    pub queue: Option<String>,
    /// The connection's team.
    pub team: Option<String>,
}

/// Whether the connection works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// It does.
    Works,
    /// It does not, or nobody could find out.
    Fails,
}

/// What came of a test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Whether the connection works.
    pub finding: Finding,
    /// What the hook says, or why there was no test.
    pub message: Option<String>,
}

/// Why a test is not begun.
#[derive(Debug, thiserror::Error)]
pub enum BeginError {
    /// It was deleted.
    #[error("the connection test {0} is not there any more")]
    Gone(Uuid),
    /// It runs somewhere, or has ended.
    #[error("the connection test {id} is in state {state}: a test is begun once only")]
    Begun {
        /// Which.
        id: Uuid,
        /// Its state.
        state: String,
    },
    /// What is to be tested cannot be read.
    #[error(transparent)]
    Cipher(#[from] CipherError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
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
        fail(tx, id, &format!("{what} (exceeded {timeout}s + {grace}s grace)"), now).await?;
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

/// The tests that have waited longest. The rows are locked: one scheduler hands each on.
///
/// # Errors
/// As any statement.
pub async fn pending(tx: &Tx, most: i64) -> Result<Vec<PendingTest>, StoreError> {
    let sql = tx
        .sql(
            "SELECT id, connection_id, executor, queue, team_name FROM connection_test_request \
             WHERE state = 'pending' ORDER BY created_at LIMIT ?",
        )
        .push(tx.dialect().pg(" FOR NO KEY UPDATE SKIP LOCKED"))
        .bind(most);
    let rows = tx.all(sql).await?;
    let test = |row: &super::Row| {
        Ok(PendingTest {
            id: row.uuid("id")?,
            connection_id: row.text("connection_id")?,
            executor: row.text_opt("executor")?,
            queue: row.text_opt("queue")?,
            team: row.text_opt("team_name")?,
        })
    };
    rows.iter().map(test).collect()
}

/// Records that an executor is given a test.
///
/// # Errors
/// As any statement.
pub async fn queue(tx: &Tx, id: Uuid, now: DateTime<Utc>) -> Result<(), StoreError> {
    let sql = tx
        .sql("UPDATE connection_test_request SET state = 'queued', updated_at = ? WHERE id = ? AND state = 'pending'")
        .bind(now)
        .bind(id);
    tx.exec(sql).await.map(drop)
}

/// Fails a test that is not given to any executor.
///
/// # Errors
/// As any statement.
pub async fn fail(tx: &Tx, id: Uuid, reason: &str, now: DateTime<Utc>) -> Result<(), StoreError> {
    let verdict = Verdict { finding: Finding::Fails, message: Some(reason.to_owned()) };
    settle(tx, id, &verdict, now).await
}

/// Takes a test: it is `running` from then on, and nobody else can take it (`get_connection_test_connection`).
///
/// # Errors
/// [`BeginError`]; after [`BeginError::Cipher`] the test is still to be ended.
pub async fn begin(db: &Db, cipher: &Cipher, id: Uuid, now: DateTime<Utc>) -> Result<Connection, BeginError> {
    let tx = db.begin().await?;
    let sql = tx
        .sql(
            "SELECT state, connection_id AS conn_id, conn_type, host, schema, login, port, password, extra, is_encrypted, \
             is_extra_encrypted FROM connection_test_request WHERE id = ?",
        )
        .push(tx.dialect().pg(" FOR NO KEY UPDATE"))
        .bind(id);
    let row = tx.one(sql).await?.ok_or(BeginError::Gone(id))?;
    let state = row.text("state")?;
    if !matches!(state.as_str(), "pending" | "queued") {
        return Err(BeginError::Begun { id, state });
    }
    let sql = tx
        .sql("UPDATE connection_test_request SET state = 'running', updated_at = ? WHERE id = ?")
        .bind(now)
        .bind(id);
    tx.exec(sql).await?;
    tx.commit().await?;
    Ok(connection_in(&row, cipher)??)
}

/// Records what came of a test that has not ended yet, and keeps the connection if that was asked for and it works
/// (`patch_connection_test`).
///
/// # Errors
/// As any statement.
pub async fn finish(db: &Db, id: Uuid, verdict: &Verdict, now: DateTime<Utc>) -> Result<(), StoreError> {
    let tx = db.begin().await?;
    let sql = tx
        .sql(
            "SELECT commit_on_success FROM connection_test_request \
             WHERE id = ? AND state IN ('pending', 'queued', 'running')",
        )
        .push(tx.dialect().pg(" FOR NO KEY UPDATE"))
        .bind(id);
    let Some(row) = tx.one(sql).await? else {
        tracing::warn!(%id, "what came of a connection test is not written: the test has ended, or is not there any more");
        return Ok(());
    };
    settle(&tx, id, verdict, now).await?;
    if verdict.finding == Finding::Works && row.bool("commit_on_success")? {
        keep(&tx, id).await?;
    }
    tx.commit().await
}

async fn settle(tx: &Tx, id: Uuid, verdict: &Verdict, now: DateTime<Utc>) -> Result<(), StoreError> {
    let state = match verdict.finding {
        Finding::Works => "success",
        Finding::Fails => "failed",
    };
    let message = verdict.message.as_ref().map(|text| text.chars().take(LONGEST_MESSAGE).collect::<String>());
    let sql = tx
        .sql(
            "UPDATE connection_test_request SET state = ?, active_connection_id = NULL, result_message = ?, \
             updated_at = ? WHERE id = ?",
        )
        .bind(state)
        .bind(message)
        .bind(now)
        .bind(id);
    tx.exec(sql).await.map(drop)
}

/// Writes what was tested to the connections (`commit_to_connection_table`). Secrets are copied as they are stored; an empty
/// password leaves the one that is there, as in Airflow.
async fn keep(tx: &Tx, id: Uuid) -> Result<(), StoreError> {
    let sql = tx
        .sql(
            "UPDATE connection SET conn_type = t.conn_type, host = t.host, login = t.login, schema = t.schema, port = t.port, \
             password = CASE WHEN coalesce(t.password, '') <> '' THEN t.password ELSE connection.password END, \
             is_encrypted = CASE WHEN coalesce(t.password, '') <> '' THEN t.is_encrypted ELSE connection.is_encrypted END, \
             extra = t.extra, is_extra_encrypted = t.is_extra_encrypted \
             FROM connection_test_request AS t WHERE t.id = ? AND connection.conn_id = t.connection_id",
        )
        .bind(id);
    if tx.exec(sql).await? > 0 {
        return Ok(());
    }
    let sql = tx
        .sql(
            "INSERT INTO connection (conn_id, conn_type, host, login, schema, port, password, is_encrypted, extra, \
             is_extra_encrypted, team_name) SELECT connection_id, conn_type, host, login, schema, port, password, is_encrypted, \
             extra, is_extra_encrypted, team_name FROM connection_test_request WHERE id = ?",
        )
        .bind(id);
    tx.exec(sql).await.map(drop)
}
