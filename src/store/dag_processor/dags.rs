//! Rows of `dag` whose file was not executed again, or is gone.

use std::collections::HashSet;

use chrono::{DateTime, Utc};

use crate::store::{Conn, Db, StoreError};

/// Most ids in one statement.
const CHUNK: usize = 1000;

/// Notes that these Dags were found in their files again; returns those that really were.
///
/// A Dag is left out, so that its file is executed again, when its row is not as a parse would leave it: it is gone, stale,
/// moved to another bundle, or paused with a next run that is due (a parse moves it on, see
/// `DagModel.calculate_dagrun_date_fields`).
///
/// # Errors
/// As any statement.
pub async fn found_again(
    db: &Db,
    bundle: &str,
    dag_ids: &[String],
    now: DateTime<Utc>,
) -> Result<HashSet<String>, StoreError> {
    let mut found = HashSet::with_capacity(dag_ids.len());
    for ids in dag_ids.chunks(CHUNK) {
        let sql = db
            .sql(
                "UPDATE dag SET last_parsed_time = ? WHERE dag_id IN (?) AND bundle_name = ? AND NOT is_stale \
                 AND NOT has_import_errors AND (NOT is_paused OR next_dagrun_create_after IS NULL \
                 OR next_dagrun_create_after > ?) RETURNING dag_id",
            )
            .bind(now)
            .bind_list(ids)
            .bind(bundle)
            .bind(now);
        for row in db.all(sql).await? {
            found.insert(row.text("dag_id")?);
        }
    }
    Ok(found)
}

/// The newest scheduled or backfill run of each of these Dags: what the next run is counted from.
///
/// # Errors
/// As any statement.
pub async fn newest_runs(
    db: &Db,
    dag_ids: &[String],
) -> Result<std::collections::HashMap<String, DateTime<Utc>>, StoreError> {
    let mut newest = std::collections::HashMap::new();
    for ids in dag_ids.chunks(CHUNK) {
        let sql = db
            .sql(
                "SELECT dag_id, max(logical_date) AS newest FROM dag_run \
                 WHERE dag_id IN (?) AND run_type IN ('scheduled', 'backfill') GROUP BY dag_id",
            )
            .bind_list(ids);
        for row in db.all(sql).await? {
            if let Some(date) = row.time_opt("newest")? {
                newest.insert(row.text("dag_id")?, date);
            }
        }
    }
    Ok(newest)
}

/// When the newest serialised form of each of these Dags was written.
///
/// # Errors
/// As any statement.
pub async fn serialized_at(
    db: &Db,
    dag_ids: &[String],
) -> Result<std::collections::HashMap<String, DateTime<Utc>>, StoreError> {
    let mut times = std::collections::HashMap::new();
    for ids in dag_ids.chunks(CHUNK) {
        let sql = db
            .sql("SELECT dag_id, max(last_updated) AS newest FROM serialized_dag WHERE dag_id IN (?) GROUP BY dag_id")
            .bind_list(ids);
        for row in db.all(sql).await? {
            if let Some(date) = row.time_opt("newest")? {
                times.insert(row.text("dag_id")?, date);
            }
        }
    }
    Ok(times)
}

/// A Dag that is not stale, and where it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DagPlace {
    /// The Dag.
    pub dag_id: String,
    /// Its file, relative to its bundle; rows from before Airflow 3 may have none.
    pub file: Option<String>,
    /// Its bundle.
    pub bundle: Option<String>,
    /// When it was found in the file last.
    pub last_parsed: Option<DateTime<Utc>>,
    /// Whether its bundle is still configured.
    pub bundle_is_active: bool,
}

/// All Dags that are not stale.
///
/// # Errors
/// As any statement.
pub async fn places(db: &Db) -> Result<Vec<DagPlace>, StoreError> {
    let sql = db.sql(
        "SELECT d.dag_id, d.relative_fileloc, d.bundle_name, d.last_parsed_time, \
         COALESCE(b.active, TRUE) AS active \
         FROM dag d LEFT JOIN dag_bundle b ON b.name = d.bundle_name WHERE NOT d.is_stale",
    );
    let rows = db.all(sql).await?;
    rows.iter()
        .map(|row| {
            Ok(DagPlace {
                dag_id: row.text("dag_id")?,
                file: row.text_opt("relative_fileloc")?,
                bundle: row.text_opt("bundle_name")?,
                last_parsed: row.time_opt("last_parsed_time")?,
                bundle_is_active: row.bool("active")?,
            })
        })
        .collect()
}

/// Marks Dags as stale; returns how many were not yet.
///
/// # Errors
/// As any statement.
pub async fn deactivate(db: &Db, dag_ids: &[String]) -> Result<u64, StoreError> {
    let mut count = 0;
    for ids in dag_ids.chunks(CHUNK) {
        let sql = db.sql("UPDATE dag SET is_stale = TRUE WHERE dag_id IN (?) AND NOT is_stale");
        count += db.exec(sql.bind_list(ids)).await?;
    }
    Ok(count)
}

/// Removes the warnings of stale Dags (`DagWarning.purge_inactive_dag_warnings`).
///
/// # Errors
/// As any statement.
pub async fn purge_warnings(db: &Db) -> Result<u64, StoreError> {
    db.exec(db.sql("DELETE FROM dag_warning WHERE dag_id IN (SELECT dag_id FROM dag WHERE is_stale)")).await
}
