//! Which team everything belongs to, for measurements that name it.

use std::collections::{BTreeMap, HashMap};

use super::{Conn, StoreError};
use crate::telemetry::metrics::Teams;

/// The teams of all Dags, pools and bundles that have one.
///
/// # Errors
/// As any statement.
pub async fn all<C: Conn>(conn: &C) -> Result<Teams, StoreError> {
    let dags = "SELECT d.dag_id AS name, t.team_name FROM dag d \
         JOIN dag_bundle_team t ON t.dag_bundle_name = d.bundle_name";
    let pools = "SELECT pool AS name, team_name FROM slot_pool WHERE team_name IS NOT NULL";
    Ok(Teams { dags: read(conn, dags).await?, pools: read(conn, pools).await?, ..of_bundles(conn).await? })
}

/// The teams of bundles only.
///
/// # Errors
/// As any statement.
pub async fn of_bundles<C: Conn>(conn: &C) -> Result<Teams, StoreError> {
    let bundles = "SELECT dag_bundle_name AS name, team_name FROM dag_bundle_team";
    Ok(Teams { bundles: read(conn, bundles).await?, ..Teams::default() })
}

/// The teams of the pools that have one.
///
/// # Errors
/// As any statement.
pub async fn of_pools<C: Conn>(conn: &C) -> Result<BTreeMap<String, String>, StoreError> {
    let rows =
        conn.all(conn.sql("SELECT pool, team_name FROM slot_pool WHERE team_name IS NOT NULL")).await?;
    rows.iter().map(|row| Ok((row.text("pool")?, row.text("team_name")?))).collect()
}

async fn read<C: Conn>(conn: &C, text: &str) -> Result<HashMap<String, String>, StoreError> {
    let rows = conn.all(conn.sql(text)).await?;
    rows.iter().map(|row| Ok((row.text("name")?, row.text("team_name")?))).collect()
}
