//! Which assets are in use (`SchedulerJobRunner._update_asset_orphanage`).

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};

use super::super::db::{Conn, Tx};
use super::super::error::StoreError;
use super::super::sql::Param;

/// A reference from a Dag's schedule, a task's outlet or inlet, or an alias keeps an asset in use.
const REFERENCED: &str = "(EXISTS (SELECT 1 FROM dag_schedule_asset_reference r WHERE r.asset_id = asset.id) \
     OR EXISTS (SELECT 1 FROM task_outlet_asset_reference r WHERE r.asset_id = asset.id) \
     OR EXISTS (SELECT 1 FROM task_inlet_asset_reference r WHERE r.asset_id = asset.id) \
     OR EXISTS (SELECT 1 FROM asset_alias_asset r WHERE r.asset_id = asset.id))";

const ACTIVE: &str = "EXISTS (SELECT 1 FROM asset_active a WHERE a.name = asset.name AND a.uri = asset.uri)";

/// What an update changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OrphanageCounts {
    /// Assets that nothing refers to any more.
    pub orphaned: u64,
    /// Assets that are in use now.
    pub activated: u64,
    /// Dags with a warning about an asset whose name or URI another one has.
    pub conflicts: u64,
}

/// Updates `asset_active`, the warnings about conflicting assets, and forgets the state of assets that are not in use.
///
/// # Errors
/// As any statement.
pub async fn update(tx: &Tx, now: DateTime<Utc>) -> Result<OrphanageCounts, StoreError> {
    let sql = tx.sql(&format!(
        "DELETE FROM asset_active WHERE EXISTS (SELECT 1 FROM asset WHERE asset.name = asset_active.name \
         AND asset.uri = asset_active.uri AND NOT {REFERENCED})"
    ));
    let orphaned = tx.exec(sql).await?;
    let (activated, warnings) = activate(tx).await?;
    write_warnings(tx, &warnings, now).await?;
    let sql = tx.sql(&format!(
        "DELETE FROM asset_state_store WHERE asset_id NOT IN (SELECT asset.id FROM asset WHERE {ACTIVE})"
    ));
    tx.exec(sql).await?;
    Ok(OrphanageCounts { orphaned, activated, conflicts: warnings.len() as u64 })
}

struct Asset {
    id: i64,
    name: String,
    uri: String,
    group: String,
}

/// Activates assets that are referred to, unless an active one has their name or URI. Returns how many, and the warning
/// of each Dag that refers to one that could not be activated.
async fn activate(tx: &Tx) -> Result<(u64, BTreeMap<String, String>), StoreError> {
    let sql = tx.sql(&format!(
        "SELECT id, name, uri, \"group\" AS asset_group FROM asset WHERE {REFERENCED} AND NOT {ACTIVE} ORDER BY id"
    ));
    let rows = tx.all(sql).await?;
    if rows.is_empty() {
        return Ok((0, BTreeMap::new()));
    }
    let (mut uri_of, mut name_of) = (HashMap::new(), HashMap::new());
    for row in tx.all(tx.sql("SELECT name, uri FROM asset_active")).await? {
        uri_of.insert(row.text("name")?, row.text("uri")?);
        name_of.insert(row.text("uri")?, row.text("name")?);
    }
    let mut activated = 0;
    let mut messages: Vec<(String, String)> = Vec::new();
    for row in rows {
        let asset = Asset {
            id: row.int("id")?,
            name: row.text("name")?,
            uri: row.text("uri")?,
            group: row.text("asset_group")?,
        };
        let conflict = match (uri_of.get(&asset.name), name_of.get(&asset.uri)) {
            (Some(uri), _) if *uri != asset.uri => Some(("name", uri.clone())),
            (_, Some(name)) if *name != asset.name => Some(("uri", name.clone())),
            _ => None,
        };
        if let Some((attribute, value)) = conflict {
            let message = format!(
                "Cannot activate asset Asset(name=\"{}\", uri=\"{}\", group=\"{}\"); {attribute} is already associated \
                 to {}",
                asset.name,
                asset.uri,
                asset.group,
                python_repr(&value)
            );
            messages
                .extend(referring_dags(tx, asset.id).await?.into_iter().map(|dag| (dag, message.clone())));
            continue;
        }
        let sql = tx
            .sql("INSERT INTO asset_active (name, uri) VALUES (?, ?) ON CONFLICT DO NOTHING")
            .bind(&asset.name)
            .bind(&asset.uri);
        activated += tx.exec(sql).await?;
        uri_of.insert(asset.name.clone(), asset.uri.clone());
        name_of.insert(asset.uri, asset.name);
    }
    messages.sort();
    let mut warnings: BTreeMap<String, String> = BTreeMap::new();
    for (dag, message) in messages {
        let text = warnings.entry(dag).or_default();
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(&message);
    }
    Ok((activated, warnings))
}

/// A text as Python's `repr` writes it.
fn python_repr(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut out = String::from(quote);
    for letter in text.chars() {
        match letter {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            letter if letter == quote => {
                out.push('\\');
                out.push(letter);
            }
            letter => out.push(letter),
        }
    }
    out.push(quote);
    out
}

/// The Dags that refer to an asset, once per reference: by schedule, outlet and inlet.
async fn referring_dags(tx: &Tx, asset: i64) -> Result<Vec<String>, StoreError> {
    let sql = tx
        .sql(
            "SELECT dag_id FROM dag_schedule_asset_reference WHERE asset_id = ? UNION ALL \
             SELECT dag_id FROM task_outlet_asset_reference WHERE asset_id = ? UNION ALL \
             SELECT dag_id FROM task_inlet_asset_reference WHERE asset_id = ?",
        )
        .bind(asset)
        .bind(asset)
        .bind(asset);
    tx.all(sql).await?.iter().map(|row| row.text("dag_id")).collect()
}

/// Replaces the warnings about conflicting assets.
async fn write_warnings(
    tx: &Tx,
    warnings: &BTreeMap<String, String>,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let sql = tx.sql("DELETE FROM dag_warning WHERE warning_type = 'asset conflict'");
    if warnings.is_empty() {
        tx.exec(sql).await?;
        return Ok(());
    }
    tx.exec(sql.push(" AND dag_id NOT IN (?)").bind_list(warnings.keys())).await?;
    let rows = warnings.iter().map(|(dag, message)| -> Vec<Param> {
        vec![dag.into(), "asset conflict".into(), message.into(), now.into()]
    });
    let sql = tx
        .sql(
            "INSERT INTO dag_warning (dag_id, warning_type, message, timestamp) VALUES ? \
             ON CONFLICT (dag_id, warning_type) DO UPDATE SET message = excluded.message, timestamp = excluded.timestamp",
        )
        .bind_rows(rows);
    tx.exec(sql).await?;
    Ok(())
}
