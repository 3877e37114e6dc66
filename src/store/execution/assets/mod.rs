//! What a task's success means for assets: `TaskInstance.register_asset_changes_in_db`
//! (`airflow/models/taskinstance.py`) and `AssetManager.register_asset_change` (`airflow/assets/manager.py`).

mod alias;
mod change;
mod partition;
mod profile;
mod team_filter;

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde_json::Value as Json;

pub use profile::{AssetKey, AssetProfile, OutletEvent};

use super::Options;
use super::locked::LockedTi;
use crate::store::db::{Conn, Tx};
use crate::store::error::StoreError;
use change::{Asset, Change};

/// Where an event belongs in the partitions of its Dag.
#[derive(Clone, Debug, Default)]
struct Partition {
    key: Option<String>,
    date: Option<DateTime<Utc>>,
}

/// Registers the events of a task that succeeded: one for each active asset among its outlets, or one for each thing that
/// the task said about it, and those that it emitted through aliases. Outlets that are not active are passed over.
pub(super) async fn register(
    tx: &Tx,
    ti: &LockedTi,
    outlets: &[AssetProfile],
    events: &[OutletEvent],
    options: &Options,
) -> Result<(), StoreError> {
    if outlets.is_empty() && events.is_empty() {
        return Ok(());
    }
    let partition = partition_of_run(tx, ti).await?;
    let mut seen = BTreeSet::new();
    for outlet in outlets {
        if matches!(outlet, AssetProfile::Alias { .. }) || !seen.insert(outlet.clone()) {
            continue;
        }
        match active_asset(tx, outlet).await? {
            Some(asset) => register_outlet(tx, ti, &asset, events, &partition, options).await?,
            None => tracing::warn!(ti_id = %ti.id, ?outlet, "task has an inactive asset among its outlets"),
        }
    }
    alias::register(tx, ti, outlets, events, &partition, options).await
}

/// Registers an update of an asset that was reported from outside, as `POST /assets/events` does. `None`: there is no active
/// asset with this URI.
///
/// # Errors
/// As any statement.
pub async fn register_external(
    tx: &Tx,
    uri: &str,
    extra: &Json,
    partition_key: Option<&str>,
    options: &Options,
) -> Result<Option<()>, StoreError> {
    let Some(asset) = active_asset(tx, &AssetProfile::UriRef { uri: uri.to_owned() }).await? else {
        return Ok(None);
    };
    let partition = Partition { key: partition_key.map(str::to_owned), date: None };
    let change = Change { asset: &asset, extra, aliases: &[], partition };
    change::register(tx, None, &change, options).await?;
    Ok(Some(()))
}

async fn register_outlet(
    tx: &Tx,
    ti: &LockedTi,
    asset: &Asset,
    events: &[OutletEvent],
    run: &Partition,
    options: &Options,
) -> Result<(), StoreError> {
    let nothing = Json::Object(serde_json::Map::new());
    let mut said =
        events.iter().filter(|event| event.source_alias.is_none() && event.asset == asset.key).peekable();
    if said.peek().is_none() {
        let change = Change { asset, extra: &nothing, aliases: &[], partition: run.clone() };
        change::register(tx, Some(ti), &change, options).await?;
    }
    for event in said {
        let partition = match &event.partition_key {
            // The run's date is that of the run's key; another key has no date here.
            Some(key) if Some(key) != run.key.as_ref() => Partition { key: Some(key.clone()), date: None },
            _ => run.clone(),
        };
        let change = Change { asset, extra: &event.extra, aliases: &[], partition };
        change::register(tx, Some(ti), &change, options).await?;
    }
    Ok(())
}

async fn partition_of_run(tx: &Tx, ti: &LockedTi) -> Result<Partition, StoreError> {
    let sql = tx
        .sql("SELECT partition_key, partition_date FROM dag_run WHERE dag_id = ? AND run_id = ?")
        .bind(&ti.dag_id)
        .bind(&ti.run_id);
    match tx.one(sql).await? {
        Some(row) => {
            Ok(Partition { key: row.text_opt("partition_key")?, date: row.time_opt("partition_date")? })
        }
        None => Ok(Partition::default()),
    }
}

/// The active asset that an outlet names.
async fn active_asset(tx: &Tx, outlet: &AssetProfile) -> Result<Option<Asset>, StoreError> {
    let sql = tx.sql(
        "SELECT a.id, a.name, a.uri FROM asset a JOIN asset_active aa ON aa.name = a.name AND aa.uri = a.uri WHERE ",
    );
    let sql = match outlet {
        AssetProfile::Asset(key) => {
            sql.push("a.name = ? AND a.uri = ?").bind(key.name.as_str()).bind(key.uri.as_str())
        }
        AssetProfile::NameRef { name } => sql.push("a.name = ?").bind(name.as_str()),
        AssetProfile::UriRef { uri } => sql.push("a.uri = ?").bind(uri.as_str()),
        AssetProfile::Alias { .. } => return Ok(None),
    };
    tx.one(sql).await?.as_ref().map(Asset::read).transpose()
}
