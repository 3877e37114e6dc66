//! When a bundle was refreshed last, and to which version: `dag_bundle` (`DagFileProcessorManager.get_bundle_state`).

use std::collections::HashMap;

use chrono::{DateTime, Utc};

use crate::store::{Conn, Db, StoreError};

/// What all dag processors know of a bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BundleRow {
    /// When it was refreshed last.
    pub last_refreshed: Option<DateTime<Utc>>,
    /// The version that was seen last.
    pub version: Option<String>,
}

/// The rows of these bundles, by name.
///
/// # Errors
/// As any statement.
pub async fn states(db: &Db, names: &[String]) -> Result<HashMap<String, BundleRow>, StoreError> {
    let sql = db.sql("SELECT name, last_refreshed, version FROM dag_bundle WHERE name IN (?)");
    let rows = db.all(sql.bind_list(names)).await?;
    rows.iter()
        .map(|row| {
            let state = BundleRow {
                last_refreshed: row.time_opt("last_refreshed")?,
                version: row.text_opt("version")?,
            };
            Ok((row.text("name")?, state))
        })
        .collect()
}

/// Notes a refresh; the version is left as it is without a new one.
///
/// # Errors
/// As any statement.
pub async fn refreshed(
    db: &Db,
    name: &str,
    now: DateTime<Utc>,
    version: Option<&str>,
) -> Result<(), StoreError> {
    let sql = db
        .sql("UPDATE dag_bundle SET last_refreshed = ?, version = COALESCE(?, version) WHERE name = ?")
        .bind(now)
        .bind(version.map(str::to_owned))
        .bind(name);
    db.exec(sql).await?;
    Ok(())
}
