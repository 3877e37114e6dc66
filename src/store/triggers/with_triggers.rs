//! Which Dags have triggers in their files, found without parsing any other.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use slipstream_core::ids::DagId;

use crate::store::{Conn, StoreError};

/// Dags whose newest serialised version, written at `since` or later, mentions triggers.
///
/// # Errors
/// As any statement.
pub async fn newest<C: Conn>(conn: &C, since: Option<DateTime<Utc>>) -> Result<BTreeSet<DagId>, StoreError> {
    // What is compressed cannot be searched here; it is parsed.
    let sql = conn.sql(
        "SELECT dv.dag_id FROM dag_version dv JOIN serialized_dag sd ON sd.dag_version_id = dv.id \
         WHERE dv.version_number = (SELECT max(newest.version_number) FROM dag_version newest \
         WHERE newest.dag_id = dv.dag_id) \
         AND (sd.data_compressed IS NOT NULL OR CAST(sd.data AS TEXT) LIKE '%\"slipstream\"%')",
    );
    let sql = match since {
        Some(since) => sql.push(" AND dv.last_updated >= ?").bind(since),
        None => sql,
    };
    conn.all(sql).await?.iter().map(|row| row.id("dag_id")).collect()
}

/// The file of a `dag` is there, but cannot be read now: nobody can say that its triggers are gone.
const IS_BROKEN: &str = "EXISTS (SELECT 1 FROM import_error e WHERE e.bundle_name = dag.bundle_name AND e.filename = \
                         dag.relative_fileloc)";

/// Dags with rows of triggers whose files have to be looked at: a version was written at `since` or later (`None`: not
/// asked; `Some(None)`: any), or the Dag has gone, or has come back.
///
/// # Errors
/// As any statement.
pub async fn changed<C: Conn>(
    conn: &C,
    since: Option<Option<DateTime<Utc>>>,
) -> Result<BTreeSet<DagId>, StoreError> {
    let sql = conn.sql(&format!(
        "SELECT DISTINCT t.dag_id FROM slipstream_trigger t LEFT JOIN dag ON dag.dag_id = t.dag_id \
         WHERE t.origin = 'file' AND (((dag.dag_id IS NULL OR (dag.is_stale AND NOT {IS_BROKEN})) \
         AND t.status <> 'retired')"
    ));
    let sql = match since {
        None => sql.push(")"),
        Some(None) => sql.push(" OR NOT dag.is_stale)"),
        Some(Some(since)) => sql
            .push(" OR EXISTS (SELECT 1 FROM dag_version dv WHERE dv.dag_id = t.dag_id AND dv.last_updated >= ?))")
            .bind(since),
    };
    conn.all(sql).await?.iter().map(|row| row.id("dag_id")).collect()
}

/// Those of these Dags that are stale or gone; not those whose file cannot be read now.
///
/// # Errors
/// As any statement.
pub async fn stale<C: Conn>(conn: &C, dags: &BTreeSet<DagId>) -> Result<BTreeSet<DagId>, StoreError> {
    let text = format!("SELECT dag_id FROM dag WHERE (NOT is_stale OR {IS_BROKEN}) AND dag_id IN (?)");
    let sql = conn.sql(&text).bind_list(dags);
    let live: BTreeSet<DagId> =
        conn.all(sql).await?.iter().map(|row| row.id("dag_id")).collect::<Result<_, _>>()?;
    Ok(dags.difference(&live).cloned().collect())
}

/// Dags whose file is back: their triggers were retired while it was gone, and its version has not changed.
///
/// # Errors
/// As any statement.
pub async fn returned<C: Conn>(conn: &C) -> Result<BTreeSet<DagId>, StoreError> {
    let sql = conn.sql(
        "SELECT DISTINCT t.dag_id FROM slipstream_trigger t JOIN dag ON dag.dag_id = t.dag_id \
         WHERE t.origin = 'file' AND t.status = 'retired' AND NOT dag.is_stale",
    );
    conn.all(sql).await?.iter().map(|row| row.id("dag_id")).collect()
}
