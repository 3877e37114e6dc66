//! The dag processor's row in `job` (`airflow/jobs/job.py`).

use chrono::{DateTime, Utc};

use crate::store::{Conn, Db, StoreError};

/// How a job ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobEnd {
    /// It did what it should, or was told to stop.
    Success,
    /// An error ended it.
    Failed,
}

impl JobEnd {
    fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failed => "failed",
        }
    }
}

/// Enters a running `DagProcessorJob`; returns its id.
///
/// # Errors
/// As any statement.
pub async fn start(db: &Db, hostname: &str, user: &str, now: DateTime<Utc>) -> Result<i64, StoreError> {
    let sql = db
        .sql(
            "INSERT INTO job (state, job_type, start_date, latest_heartbeat, hostname, unixname) \
             VALUES ('running', 'DagProcessorJob', ?, ?, ?, ?) RETURNING id",
        )
        .bind(now)
        .bind(now)
        .bind(hostname)
        .bind(user);
    let row = db.one(sql).await?;
    row.ok_or_else(|| StoreError::NotFound("the new job row".to_owned()))?.int("id")
}

/// What the database wants of a job that has just reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pulse {
    /// To go on.
    Beating,
    /// To end: someone set the row to `restarting`, as `airflow` does to stop a job.
    ToldToEnd,
}

/// Reports that the job is alive.
///
/// # Errors
/// As any statement.
pub async fn heartbeat(db: &Db, id: i64, now: DateTime<Utc>) -> Result<Pulse, StoreError> {
    let sql = db.sql("UPDATE job SET latest_heartbeat = ? WHERE id = ? RETURNING state").bind(now).bind(id);
    let state = match db.one(sql).await? {
        Some(row) => row.text_opt("state")?,
        None => None,
    };
    Ok(if state.as_deref() == Some("restarting") { Pulse::ToldToEnd } else { Pulse::Beating })
}

/// Marks the job as ended.
///
/// # Errors
/// As any statement.
pub async fn finish(db: &Db, id: i64, end: JobEnd, now: DateTime<Utc>) -> Result<(), StoreError> {
    let sql = db.sql("UPDATE job SET state = ?, end_date = ? WHERE id = ?");
    db.exec(sql.bind(end.as_str()).bind(now).bind(id)).await?;
    Ok(())
}
