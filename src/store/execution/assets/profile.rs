//! What a task says about its assets.

use serde_json::Value as Json;

/// What identifies an asset.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AssetKey {
    /// Its name.
    pub name: String,
    /// Its URI.
    pub uri: String,
}

/// An inlet or outlet of a task (`AssetProfile` of the Execution API).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AssetProfile {
    /// An asset.
    Asset(AssetKey),
    /// The asset of a name.
    NameRef {
        /// The name.
        name: String,
    },
    /// The asset of a URI.
    UriRef {
        /// The URI.
        uri: String,
    },
    /// An alias, through which events for any asset may be emitted.
    Alias {
        /// Its name.
        name: String,
    },
}

impl AssetProfile {
    /// Reads the API's form: `{"name", "uri", "type"}`. Incomplete ones are nothing, as in Airflow.
    pub fn read(kind: &str, name: Option<&str>, uri: Option<&str>) -> Option<Self> {
        let name = name.filter(|name| !name.is_empty()).map(str::to_owned);
        let uri = uri.filter(|uri| !uri.is_empty()).map(str::to_owned);
        match kind {
            "Asset" => Some(Self::Asset(AssetKey { name: name?, uri: uri? })),
            "AssetNameRef" => Some(Self::NameRef { name: name? }),
            "AssetUriRef" => Some(Self::UriRef { uri: uri? }),
            "AssetAlias" => Some(Self::Alias { name: name? }),
            _ => None,
        }
    }
}

/// What a task said about an asset while it ran.
#[derive(Clone, Debug, PartialEq)]
pub struct OutletEvent {
    /// The asset.
    pub asset: AssetKey,
    /// The event's data.
    pub extra: Json,
    /// The partition that it is about, if another one than the run's.
    pub partition_key: Option<String>,
    /// The alias that it was emitted through.
    pub source_alias: Option<String>,
    /// Data of the asset itself, should it have to be made.
    pub asset_extra: Json,
}

impl OutletEvent {
    /// Reads the forms that the SDK sends.
    ///
    /// # Errors
    /// What is missing.
    pub fn read_all(events: &[Json]) -> Result<Vec<Self>, String> {
        events.iter().map(Self::read).collect()
    }

    fn read(event: &Json) -> Result<Self, String> {
        let text = |json: Option<&Json>| json.and_then(Json::as_str).map(str::to_owned);
        let part = |part: &str| {
            text(event.get("dest_asset_key").and_then(|key| key.get(part)))
                .ok_or_else(|| format!("an outlet event has no text in `dest_asset_key.{part}`"))
        };
        Ok(Self {
            asset: AssetKey { name: part("name")?, uri: part("uri")? },
            extra: event.get("extra").cloned().ok_or("an outlet event has no `extra`")?,
            partition_key: text(event.get("partition_key")),
            source_alias: text(event.get("source_alias_name")),
            asset_extra: event
                .get("dest_asset_extra")
                .cloned()
                .unwrap_or_else(|| Json::Object(Default::default())),
        })
    }
}
