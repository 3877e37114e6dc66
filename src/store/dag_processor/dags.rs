//! Rows of `dag` whose file was not executed again, or is gone.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};

use crate::store::runs::active;
use crate::store::{Conn, Db, StoreError};

/// Most ids in one statement.
const CHUNK: usize = 1000;

/// Notes that these Dags were found in their files again, in the bundle at `version`; returns those that really were.
///
/// A Dag is left out, so that its file is executed again, when its row is not as a parse would leave it: it is gone, stale,
/// moved to another bundle or version of it, paused with a next run that is due (a parse moves it on, see
/// `DagModel.calculate_dagrun_date_fields`), or held for full while it is not, or the reverse.
///
/// # Errors
/// As any statement.
pub async fn found_again(
    db: &Db,
    (bundle, version): (&str, Option<&str>),
    dag_ids: &[String],
    now: DateTime<Utc>,
) -> Result<HashSet<String>, StoreError> {
    let mut found = HashSet::with_capacity(dag_ids.len());
    for ids in dag_ids.chunks(CHUNK) {
        let sql = db
            .sql(
                "UPDATE dag SET last_parsed_time = ? WHERE dag_id IN (?) AND bundle_name = ? \
                 AND coalesce(bundle_version, '') = ? AND NOT is_stale \
                 AND NOT has_import_errors AND (NOT is_paused OR next_dagrun_create_after IS NULL \
                 OR next_dagrun_create_after > ?)",
            )
            .bind(now)
            .bind_list(ids)
            .bind(bundle)
            .bind(version.unwrap_or_default())
            .bind(now)
            .push(&format!(" AND exceeds_max_non_backfill = {} RETURNING dag_id", active::FULL));
        for row in db.all(sql).await? {
            found.insert(row.text("dag_id")?);
        }
    }
    Ok(found)
}

/// What a parse takes from the database besides the file: when it has changed, the file has to be executed again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// Whether it is paused: a paused Dag has no asset watchers.
    is_paused: bool,
    /// When the next run is due.
    next: Option<DateTime<Utc>>,
    /// `dag_run.id` of the newest scheduled or backfill run.
    newest: Option<i64>,
    /// The latest logical date of such a run.
    latest: Option<DateTime<Utc>>,
}

impl Known {
    /// Whether a parse would do the same now as it did when `self` was known.
    ///
    /// The next run is counted from the newest one: when a run was deleted, a parse sets it anew.
    pub fn still_holds(&self, now: &Self) -> bool {
        let deleted = now.newest < self.newest || now.latest < self.latest;
        // A run that was made and deleted between two looks has moved the next one on.
        let moved = now.next != self.next && now.newest == self.newest;
        self.is_paused == now.is_paused && !deleted && !moved
    }
}

/// [`Known`] of each of these Dags.
///
/// # Errors
/// As any statement.
pub async fn known(db: &Db, dag_ids: &[String]) -> Result<HashMap<String, Known>, StoreError> {
    let mut known = HashMap::with_capacity(dag_ids.len());
    for ids in dag_ids.chunks(CHUNK) {
        let sql = db
            .sql(
                "SELECT d.dag_id, d.is_paused, d.next_dagrun_create_after, max(r.id) AS newest, \
                 max(r.logical_date) AS latest FROM dag d \
                 LEFT JOIN dag_run r ON r.dag_id = d.dag_id AND r.run_type IN ('scheduled', 'backfill') \
                 WHERE d.dag_id IN (?) GROUP BY d.dag_id, d.is_paused, d.next_dagrun_create_after",
            )
            .bind_list(ids);
        for row in db.all(sql).await? {
            let of = Known {
                is_paused: row.bool("is_paused")?,
                next: row.time_opt("next_dagrun_create_after")?,
                newest: row.int_opt("newest")?,
                latest: row.time_opt("latest")?,
            };
            known.insert(row.text("dag_id")?, of);
        }
    }
    Ok(known)
}

/// When the newest serialised form of each of these Dags was written.
///
/// # Errors
/// As any statement.
pub async fn serialized_at(
    db: &Db,
    dag_ids: &[String],
) -> Result<HashMap<String, DateTime<Utc>>, StoreError> {
    let mut times = HashMap::new();
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
