//! Conditions over assets (`airflow/assets/evaluation.py`, `airflow/serialization/definitions/assets.py`).

use serde_json::Value;

use super::error::AssetError;

/// What names an asset (`SerializedAssetUniqueKey`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AssetKey {
    /// `asset.name`.
    pub name: String,
    /// `asset.uri`.
    pub uri: String,
}

/// Which assets have to be updated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AssetCondition {
    /// One asset.
    Asset {
        /// Its name and URI.
        key: AssetKey,
        /// Its group.
        group: String,
    },
    /// Any asset that an alias stands for.
    Alias {
        /// The alias.
        name: String,
        /// Its group.
        group: String,
    },
    /// The active asset of a name.
    NameRef(String),
    /// The active asset of a URI.
    UriRef(String),
    /// Each of them.
    All(Vec<AssetCondition>),
    /// One of them.
    Any(Vec<AssetCondition>),
}

/// What references and aliases stand for: facts of the database that the caller has read.
pub trait AssetLookup {
    /// The active asset of a name.
    fn by_name(&self, name: &str) -> Option<AssetKey>;
    /// The active asset of a URI.
    fn by_uri(&self, uri: &str) -> Option<AssetKey>;
    /// The assets of an alias, active or not.
    fn by_alias(&self, alias: &str) -> Vec<AssetKey>;
}

impl AssetCondition {
    /// Reads `{"__type": .., ..}`, with the fields next to the type or in `__var` (`decode_asset_like`).
    ///
    /// # Errors
    /// [`AssetError::Malformed`] for what Airflow could not read either.
    pub fn from_serialized(value: &Value) -> Result<Self, AssetError> {
        let malformed = |reason: &str| AssetError::Malformed { what: "asset", reason: reason.to_owned() };
        let kind = value.get("__type").and_then(Value::as_str).ok_or_else(|| malformed("it has no type"))?;
        let fields = value.get("__var").unwrap_or(value);
        let text = |name: &str| {
            let text = fields.get(name).and_then(Value::as_str).map(str::to_owned);
            text.ok_or_else(|| malformed(&format!("`{name}` of an `{kind}` is not a string")))
        };
        let objects = || {
            let objects = fields.get("objects").and_then(Value::as_array);
            let objects =
                objects.ok_or_else(|| malformed(&format!("`objects` of an `{kind}` is not a list")))?;
            objects.iter().map(Self::from_serialized).collect::<Result<Vec<_>, _>>()
        };
        Ok(match kind {
            "asset" => Self::Asset {
                key: AssetKey { name: text("name")?, uri: text("uri")? },
                group: text("group")?,
            },
            "asset_alias" => Self::Alias { name: text("name")?, group: text("group")? },
            "asset_ref" if fields.get("name").is_some() => Self::NameRef(text("name")?),
            "asset_ref" => Self::UriRef(text("uri")?),
            "asset_all" => Self::All(objects()?),
            "asset_any" => Self::Any(objects()?),
            other => return Err(malformed(&format!("unknown type `{other}`"))),
        })
    }

    /// Whether the condition holds (`AssetEvaluator.run`). `is_updated` says of an asset whether it has been updated.
    pub fn holds(&self, is_updated: &dyn Fn(&AssetKey) -> bool, lookup: &dyn AssetLookup) -> bool {
        match self {
            Self::Asset { key, .. } => is_updated(key),
            Self::NameRef(name) => lookup.by_name(name).is_some_and(|key| is_updated(&key)),
            Self::UriRef(uri) => lookup.by_uri(uri).is_some_and(|key| is_updated(&key)),
            Self::Alias { name, .. } => lookup.by_alias(name).iter().any(is_updated),
            Self::All(parts) => parts.iter().all(|part| part.holds(is_updated, lookup)),
            Self::Any(parts) => parts.iter().any(|part| part.holds(is_updated, lookup)),
        }
    }

    /// All leaves: assets, references and aliases, from left to right.
    pub fn leaves(&self) -> Vec<&AssetCondition> {
        match self {
            Self::All(parts) | Self::Any(parts) => parts.iter().flat_map(Self::leaves).collect(),
            leaf => vec![leaf],
        }
    }

    /// The assets that the condition names itself (`iter_assets`).
    pub fn assets(&self) -> impl Iterator<Item = &AssetKey> {
        self.leaves().into_iter().filter_map(|leaf| match leaf {
            Self::Asset { key, .. } => Some(key),
            _ => None,
        })
    }
}
