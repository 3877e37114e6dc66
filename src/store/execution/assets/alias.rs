//! Events that a task emitted through aliases among its outlets.

use std::collections::{BTreeMap, BTreeSet};

use chrono::Utc;
use serde_json::Value as Json;

use super::change::{self, Asset, Change};
use super::profile::{AssetKey, AssetProfile, OutletEvent};
use super::{LockedTi, Options, Partition};
use crate::store::db::{Conn, Tx};
use crate::store::error::StoreError;

/// One event for each asset, asset data and event data that was emitted, with all the aliases it came through. An asset
/// that does not exist yet is made, inactive, as Airflow does.
pub(super) async fn register(
    tx: &Tx,
    ti: &LockedTi,
    outlets: &[AssetProfile],
    events: &[OutletEvent],
    run: &Partition,
    options: &Options,
) -> Result<(), StoreError> {
    for ((key, _, _), emitted) in group(outlets, events) {
        let asset = match find(tx, &key).await? {
            Some(asset) => asset,
            None => create(tx, &key, &emitted.event.asset_extra).await?,
        };
        let aliases: Vec<_> = emitted.aliases.into_iter().collect();
        let change =
            Change { asset: &asset, extra: &emitted.event.extra, aliases: &aliases, partition: run.clone() };
        change::register(tx, Some(ti), &change, options).await?;
    }
    Ok(())
}

struct Emitted<'a> {
    event: &'a OutletEvent,
    aliases: BTreeSet<String>,
}

type Group<'a> = BTreeMap<(AssetKey, String, String), Emitted<'a>>;

fn group<'a>(outlets: &[AssetProfile], events: &'a [OutletEvent]) -> Group<'a> {
    let declared: BTreeSet<&str> = outlets
        .iter()
        .filter_map(|outlet| match outlet {
            AssetProfile::Alias { name } => Some(name.as_str()),
            _ => None,
        })
        .collect();
    let mut groups = Group::new();
    for event in events {
        let Some(alias) = event.source_alias.as_deref().filter(|alias| declared.contains(alias)) else {
            continue;
        };
        let key = (event.asset.clone(), sorted(&event.asset_extra), sorted(&event.extra));
        groups
            .entry(key)
            .or_insert_with(|| Emitted { event, aliases: BTreeSet::new() })
            .aliases
            .insert(alias.to_owned());
    }
    groups
}

/// The JSON's text with sorted keys, to compare by.
fn sorted(json: &Json) -> String {
    let mut json = json.clone();
    json.sort_all_objects();
    json.to_string()
}

async fn find(tx: &Tx, key: &AssetKey) -> Result<Option<Asset>, StoreError> {
    let sql = tx
        .sql("SELECT id, name, uri FROM asset WHERE name = ? AND uri = ?")
        .bind(key.name.as_str())
        .bind(key.uri.as_str());
    tx.one(sql).await?.as_ref().map(Asset::read).transpose()
}

async fn create(tx: &Tx, key: &AssetKey, extra: &Json) -> Result<Asset, StoreError> {
    let now = Utc::now();
    let sql = tx
        .sql(
            "INSERT INTO asset (name, uri, \"group\", extra, created_at, updated_at) VALUES (?, ?, 'asset', ?, ?, ?) \
             ON CONFLICT DO NOTHING",
        )
        .bind(key.name.as_str())
        .bind(key.uri.as_str())
        .bind(extra)
        .bind(now)
        .bind(now);
    tx.exec(sql).await?;
    let asset = find(tx, key).await?;
    asset.ok_or_else(|| StoreError::NotFound(format!("asset `{}` at `{}`", key.name, key.uri)))
}
