//! What a database holds, for `slipstream check`: reads only, writes nothing.

use chrono::{DateTime, TimeDelta, Utc};

use slipstream_core::ids::DagId;
use slipstream_core::state::{RunState, TaskState};

use super::sql::Dialect;
use super::{Conn, StoreError};

/// The oldest PostgreSQL that is supported, as `server_version_num`.
pub const OLDEST_POSTGRES: i64 = 130_000;

/// The database server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// What it is, with its version: `PostgreSQL 15.18`, `SQLite 3.46.0`.
    pub name: String,
    /// Whether it is older than what is supported.
    pub too_old: bool,
}

/// What the database server is.
///
/// # Errors
/// As any query.
pub async fn server<C: Conn>(conn: &C) -> Result<Server, StoreError> {
    let dialect = conn.dialect();
    let sql = conn.sql(dialect.pick(
        "SELECT current_setting('server_version') AS version, \
         CAST(current_setting('server_version_num') AS bigint) AS number",
        "SELECT sqlite_version() AS version, 0 AS number",
    ));
    let row = conn.one(sql).await?.ok_or_else(|| StoreError::NotFound("the server's version".to_owned()))?;
    let version = row.text("version")?;
    // Debian adds its package's version after a blank.
    let version = version.split(' ').next().unwrap_or_default();
    Ok(match dialect {
        Dialect::Postgres => {
            Server { name: format!("PostgreSQL {version}"), too_old: row.int("number")? < OLDEST_POSTGRES }
        }
        Dialect::Sqlite => Server { name: format!("SQLite {version}"), too_old: false },
    })
}

/// Dags that the dag-processor keeps, in the order of their ids.
///
/// # Errors
/// As any query.
pub async fn current_dags<C: Conn>(conn: &C) -> Result<Vec<DagId>, StoreError> {
    let rows = conn.all(conn.sql("SELECT dag_id FROM dag WHERE NOT is_stale ORDER BY dag_id")).await?;
    rows.iter().map(|row| row.id("dag_id")).collect()
}

/// Schedulers and dag-processors that have shown themselves within `threshold`: what they are, and where.
///
/// # Errors
/// As any query.
pub async fn living_jobs<C: Conn>(
    conn: &C,
    threshold: TimeDelta,
    now: DateTime<Utc>,
) -> Result<Vec<(String, String)>, StoreError> {
    let sql = conn
        .sql(
            "SELECT job_type, hostname FROM job WHERE state = 'running' AND latest_heartbeat > ? \
             AND job_type IN ('SchedulerJob', 'DagProcessorJob') ORDER BY job_type, id",
        )
        .bind(now - threshold);
    let rows = conn.all(sql).await?;
    rows.iter()
        .map(|row| Ok((row.text("job_type")?, row.text_opt("hostname")?.unwrap_or_default())))
        .collect()
}

/// States of unfinished dag runs and of their task instances that this version does not know, as `table: state`.
///
/// # Errors
/// As any query.
pub async fn unknown_states<C: Conn>(conn: &C) -> Result<Vec<String>, StoreError> {
    let runs = conn.sql("SELECT DISTINCT state FROM dag_run WHERE state NOT IN ('success', 'failed')");
    let tasks = conn.sql(
        "SELECT DISTINCT ti.state FROM dag_run dr \
         JOIN task_instance ti ON ti.dag_id = dr.dag_id AND ti.run_id = dr.run_id \
         WHERE dr.state IN ('running', 'queued') AND ti.state IS NOT NULL",
    );
    let mut unknown = Vec::new();
    for row in conn.all(runs).await? {
        let state = row.text("state")?;
        if state.parse::<RunState>().is_err() {
            unknown.push(format!("dag_run: {state}"));
        }
    }
    for row in conn.all(tasks).await? {
        let state = row.text("state")?;
        if state.parse::<TaskState>().is_err() {
            unknown.push(format!("task_instance: {state}"));
        }
    }
    Ok(unknown)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::{self, NewRun};

    #[test]
    fn a_survey_names_the_server_and_finds_nothing_wrong_in_a_fresh_database() {
        testing::on_each_database(async |db| {
            let found = server(db).await.unwrap();
            assert!(found.name.contains("SQL") && !found.too_old, "{found:?}");
            assert_eq!(unknown_states(db).await.unwrap(), Vec::<String>::new());
            assert_eq!(living_jobs(db, TimeDelta::minutes(1), Utc::now()).await.unwrap(), []);
        });
    }

    #[test]
    fn a_run_in_an_unknown_state_is_found() {
        testing::on_each_database(async |db| {
            testing::dag(db, "d").await;
            NewRun::new("d", "r").insert(db).await;
            db.exec(db.sql("UPDATE dag_run SET state = 'dreaming'")).await.unwrap();
            assert_eq!(unknown_states(db).await.unwrap(), ["dag_run: dreaming"]);
            assert_eq!(current_dags(db).await.unwrap(), [DagId::from("d".to_owned())]);
        });
    }
}
