//! What references to assets and aliases stand for.

use std::collections::{BTreeSet, HashMap};

use slipstream_core::asset::{AssetCondition, AssetKey, AssetLookup};

use super::super::db::Conn;
use super::super::error::StoreError;

/// The assets behind names, URIs and aliases of some conditions, read in at most two queries.
#[derive(Clone, Debug, Default)]
pub struct Lookup {
    by_name: HashMap<String, AssetKey>,
    by_uri: HashMap<String, AssetKey>,
    by_alias: HashMap<String, Vec<AssetKey>>,
}

impl Lookup {
    /// Reads what these conditions refer to.
    ///
    /// # Errors
    /// As any statement.
    pub async fn load<'a, C: Conn>(
        tx: &C,
        conditions: impl IntoIterator<Item = &'a AssetCondition>,
    ) -> Result<Self, StoreError> {
        let (mut names, mut uris, mut aliases) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for leaf in conditions.into_iter().flat_map(AssetCondition::leaves) {
            match leaf {
                AssetCondition::NameRef(name) => names.insert(name.as_str()),
                AssetCondition::UriRef(uri) => uris.insert(uri.as_str()),
                AssetCondition::Alias { name, .. } => aliases.insert(name.as_str()),
                _ => false,
            };
        }
        let mut lookup = Self::default();
        if !names.is_empty() || !uris.is_empty() {
            let sql = tx
                .sql("SELECT name, uri FROM asset_active WHERE name IN (?) OR uri IN (?)")
                .bind_list(names)
                .bind_list(uris);
            for row in tx.all(sql).await? {
                let key = AssetKey { name: row.text("name")?, uri: row.text("uri")? };
                lookup.by_name.insert(key.name.clone(), key.clone());
                lookup.by_uri.insert(key.uri.clone(), key);
            }
        }
        if !aliases.is_empty() {
            let sql = tx
                .sql(
                    "SELECT alias.name AS alias, asset.name, asset.uri FROM asset_alias alias \
                     JOIN asset_alias_asset link ON link.alias_id = alias.id JOIN asset ON asset.id = link.asset_id \
                     WHERE alias.name IN (?)",
                )
                .bind_list(aliases);
            for row in tx.all(sql).await? {
                let key = AssetKey { name: row.text("name")?, uri: row.text("uri")? };
                lookup.by_alias.entry(row.text("alias")?).or_default().push(key);
            }
        }
        Ok(lookup)
    }
}

impl AssetLookup for Lookup {
    fn by_name(&self, name: &str) -> Option<AssetKey> {
        self.by_name.get(name).cloned()
    }

    fn by_uri(&self, uri: &str) -> Option<AssetKey> {
        self.by_uri.get(uri).cloned()
    }

    fn by_alias(&self, alias: &str) -> Vec<AssetKey> {
        self.by_alias.get(alias).cloned().unwrap_or_default()
    }
}
