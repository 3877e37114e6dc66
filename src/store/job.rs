//! The `job` row of a running scheduler or Dag processor: how the UI, `airflow jobs check` and other schedulers know that it
//! is alive. Mirrors `airflow/jobs/job.py`.

use chrono::{DateTime, TimeDelta, Utc};

use super::{Conn, Db, StoreError};

/// `job.id`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId(pub i64);

impl std::fmt::Display for JobId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl From<JobId> for super::Param {
    fn from(id: JobId) -> Self {
        Self::Int(Some(id.0))
    }
}

/// `job.job_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobType {
    /// `SchedulerJob`.
    Scheduler,
    /// `DagProcessorJob`.
    DagProcessor,
    /// `TriggererJob`: Airflow's own, which we only read.
    Triggerer,
}

impl JobType {
    /// As it is stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Scheduler => "SchedulerJob",
            Self::DagProcessor => "DagProcessorJob",
            Self::Triggerer => "TriggererJob",
        }
    }
}

/// How a job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobEnd {
    /// It returned, or was asked to stop.
    Success,
    /// It ended with an error.
    Failed,
}

/// What the row says after a heartbeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beat {
    /// All is well.
    Running,
    /// Someone asks this process to end (`restarting`), as stock Airflow honours it.
    Restarting,
    /// Another scheduler held this job for dead; the row says again that it runs.
    Revived,
    /// The row is gone, or says that the job has ended.
    Superseded,
}

/// Writes the row of a job that starts.
///
/// # Errors
/// As any statement.
pub async fn start(
    db: &Db,
    job_type: JobType,
    hostname: &str,
    now: DateTime<Utc>,
) -> Result<JobId, StoreError> {
    let sql = db
        .sql(
            "INSERT INTO job (job_type, state, start_date, latest_heartbeat, hostname, unixname) \
             VALUES (?, 'running', ?, ?, ?, ?) RETURNING id",
        )
        .bind(job_type.as_str())
        .bind(now)
        .bind(now)
        .bind(hostname)
        .bind(crate::runtime::unix_user());
    match db.one(sql).await? {
        Some(row) => Ok(JobId(row.int("id")?)),
        None => Err(StoreError::NotFound("the job row that was just written".to_owned())),
    }
}

/// Says that the job is alive, also to a scheduler that holds it for dead: as long as the row says so, the others take away
/// every task that it starts. Airflow's own heartbeat writes the state as well.
///
/// # Errors
/// As any statement; the caller logs it and goes on.
pub async fn heartbeat(db: &Db, id: JobId, now: DateTime<Utc>) -> Result<Beat, StoreError> {
    let sql = db.sql("UPDATE job SET latest_heartbeat = ? WHERE id = ? RETURNING state").bind(now).bind(id);
    let state = match db.one(sql).await? {
        Some(row) => row.text_opt("state")?,
        None => None,
    };
    Ok(match state.as_deref() {
        Some("running") => Beat::Running,
        Some("failed") => {
            let sql = db.sql("UPDATE job SET state = 'running' WHERE id = ? AND state = 'failed'").bind(id);
            db.exec(sql).await?;
            Beat::Revived
        }
        Some("restarting") => Beat::Restarting,
        _ => Beat::Superseded,
    })
}

/// Ends the job's row.
///
/// # Errors
/// As any statement.
pub async fn complete(db: &Db, id: JobId, end: JobEnd, now: DateTime<Utc>) -> Result<(), StoreError> {
    let state = match end {
        JobEnd::Success => "success",
        JobEnd::Failed => "failed",
    };
    let sql = db
        .sql("UPDATE job SET state = ?, end_date = ?, latest_heartbeat = ? WHERE id = ?")
        .bind(state)
        .bind(now)
        .bind(now)
        .bind(id);
    db.exec(sql).await?;
    Ok(())
}

/// Whether the newest job of this type on this machine runs and has shown itself within `threshold`. A job that runs comes
/// before those that have ended (`most_recent_job` in `airflow/jobs/job.py`): where the clock was set back, an ended one may
/// seem to be the newest for hours.
///
/// # Errors
/// As any query.
pub async fn is_alive(
    db: &Db,
    job_type: JobType,
    hostname: &str,
    threshold: TimeDelta,
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let sql = db
        .sql(
            "SELECT state, latest_heartbeat FROM job WHERE job_type = ? AND hostname = ? \
             ORDER BY CASE WHEN state = 'running' THEN 0 ELSE 1 END, latest_heartbeat DESC LIMIT 1",
        )
        .bind(job_type.as_str())
        .bind(hostname);
    let Some(row) = db.one(sql).await? else { return Ok(false) };
    let fresh = row.time_opt("latest_heartbeat")?.is_some_and(|beat| now - beat < threshold);
    Ok(row.text_opt("state")?.as_deref() == Some("running") && fresh)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::runs::testing::TestDb;

    #[tokio::test]
    async fn a_job_that_was_held_for_dead_lives_again_with_its_next_heartbeat() {
        for test in TestDb::all().await {
            let db = &test.db;
            let now = Utc::now();
            let minute = TimeDelta::minutes(1);
            let id = start(db, JobType::Scheduler, "here", now).await.unwrap();
            let late = now + minute;
            assert_eq!(crate::store::duties::orphans::fail_dead_schedulers(db, late).await.unwrap(), 1);
            assert!(!is_alive(db, JobType::Scheduler, "here", minute, late).await.unwrap());
            assert_eq!(heartbeat(db, id, late).await.unwrap(), Beat::Revived);
            assert!(is_alive(db, JobType::Scheduler, "here", minute, late).await.unwrap());
            assert_eq!(heartbeat(db, id, late).await.unwrap(), Beat::Running);
            test.drop().await;
        }
    }

    #[tokio::test]
    async fn a_job_that_ended_before_the_clock_was_set_back_hides_none_that_runs() {
        for test in TestDb::all().await {
            let db = &test.db;
            let now = Utc::now();
            let before = start(db, JobType::Scheduler, "here", now).await.unwrap();
            complete(db, before, JobEnd::Success, now).await.unwrap();
            let set_back = now - TimeDelta::hours(1);
            start(db, JobType::Scheduler, "here", set_back).await.unwrap();
            assert!(is_alive(db, JobType::Scheduler, "here", TimeDelta::minutes(1), set_back).await.unwrap());
            test.drop().await;
        }
    }

    #[tokio::test]
    async fn a_job_lives_from_its_start_to_its_end() {
        for test in TestDb::all().await {
            let db = &test.db;
            let now = Utc::now();
            let minute = TimeDelta::minutes(1);
            let id = start(db, JobType::Scheduler, "here", now).await.unwrap();
            assert!(is_alive(db, JobType::Scheduler, "here", minute, now).await.unwrap());
            assert!(!is_alive(db, JobType::Scheduler, "elsewhere", minute, now).await.unwrap());
            let later = now + TimeDelta::minutes(5);
            assert!(!is_alive(db, JobType::Scheduler, "here", minute, later).await.unwrap());
            assert_eq!(heartbeat(db, id, later).await.unwrap(), Beat::Running);
            assert!(is_alive(db, JobType::Scheduler, "here", minute, later).await.unwrap());
            complete(db, id, JobEnd::Success, later).await.unwrap();
            assert!(!is_alive(db, JobType::Scheduler, "here", minute, later).await.unwrap());
            assert_eq!(heartbeat(db, id, later).await.unwrap(), Beat::Superseded);
            test.drop().await;
        }
    }
}
