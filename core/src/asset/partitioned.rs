//! A Dag that runs when partitions of assets are complete (`airflow/timetables/simple.py PartitionedAssetTimetable`,
//! and the scheduler's part in `airflow/jobs/scheduler_job_runner.py`).

use std::collections::{BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use super::condition::{AssetCondition, AssetKey};
use super::error::{AssetError, MapError};
use super::mapper::Mapper;
use super::wait::Satisfaction;
use crate::schedule::{Timetable, TimetableError};

/// Assets, each with the mapper of its keys.
#[derive(Clone, Debug, PartialEq)]
pub struct PartitionedAssets {
    condition: AssetCondition,
    mappers: Vec<Mapper>,
    default: Mapper,
    by_name: HashMap<String, usize>,
    by_uri: HashMap<String, usize>,
}

/// The date of the partition that a new run works on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PartitionDate {
    /// This one, or none.
    Resolved(Option<DateTime<Utc>>),
    /// None: the mappers disagree, which Airflow warns of.
    Conflict(BTreeSet<DateTime<Utc>>),
    /// None: a mapper failed, which Airflow logs.
    Failed(MapError),
}

impl PartitionDate {
    /// What goes into `dag_run.partition_date`.
    pub fn date(&self) -> Option<DateTime<Utc>> {
        match self {
            Self::Resolved(date) => *date,
            Self::Conflict(_) | Self::Failed(_) => None,
        }
    }
}

impl PartitionedAssets {
    /// Reads the fields of a serialized `PartitionedAssetTimetable`.
    ///
    /// # Errors
    /// [`AssetError::Malformed`] for what Airflow could not read either.
    pub fn from_serialized(data: &Value) -> Result<Self, AssetError> {
        let malformed =
            |reason: &str| AssetError::Malformed { what: "partitioned assets", reason: reason.to_owned() };
        let field = |name: &str| data.get(name).ok_or_else(|| malformed(&format!("`{name}` is missing")));
        let mut assets = Self {
            condition: AssetCondition::from_serialized(field("asset_condition")?)?,
            mappers: Vec::new(),
            default: match field("default_partition_mapper")? {
                Value::Null => Mapper::identity(),
                mapper => Mapper::from_serialized(mapper)?,
            },
            by_name: HashMap::new(),
            by_uri: HashMap::new(),
        };
        for pair in field("partition_mapper_config")?.as_array().map(Vec::as_slice).unwrap_or_default() {
            let [of, mapper] = pair.as_array().map(Vec::as_slice).unwrap_or_default() else {
                return Err(malformed("an entry of `partition_mapper_config` is not a pair"));
            };
            let (of, mapper) = (AssetCondition::from_serialized(of)?, Mapper::from_serialized(mapper)?);
            assets.assign(&of, mapper);
        }
        Ok(assets)
    }

    fn assign(&mut self, of: &AssetCondition, mapper: Mapper) {
        let index = self.mappers.len();
        self.mappers.push(mapper);
        for leaf in of.leaves() {
            let (name, uri) = names(leaf);
            self.by_name.extend(name.map(|name| (name.to_owned(), index)));
            self.by_uri.extend(uri.map(|uri| (uri.to_owned(), index)));
        }
    }

    /// Which assets.
    pub fn condition(&self) -> &AssetCondition {
        &self.condition
    }

    /// The mapper of an asset (`get_partition_mapper`): by its name if there is one, and only else by its URI.
    pub fn mapper(&self, name: &str, uri: &str) -> &Mapper {
        let index = if name.is_empty() { self.by_uri.get(uri) } else { self.by_name.get(name) };
        index.and_then(|index| self.mappers.get(*index)).unwrap_or(&self.default)
    }

    /// The definition of all rollups (`compute_rollup_fingerprint`): a pending partition with another one is stale.
    ///
    /// # Errors
    /// If a mapper is a plugin's.
    pub fn fingerprint(&self) -> Result<Value, MapError> {
        let mut entries = Map::new();
        for leaf in self.condition.leaves() {
            let (name, uri) = names(leaf);
            if name.is_none() && uri.is_none() {
                continue;
            }
            let (name, uri) = (name.unwrap_or_default(), uri.unwrap_or_default());
            entries.insert(format!("{name}|{uri}"), self.mapper(name, uri).to_serialized()?);
        }
        entries.sort_keys();
        Ok(Value::Object(entries))
    }

    /// Whether an asset is complete for a partition of the Dag, given the keys of it that have arrived
    /// (`_resolve_asset_partition_status`). Anything but a rollup is, once there is an event.
    ///
    /// # Errors
    /// If the key does not fit the mapper (which Airflow logs and takes for "not yet"), or it is a plugin's.
    pub fn status(
        &self,
        asset: &AssetKey,
        partition_key: &str,
        arrived: &BTreeSet<String>,
    ) -> Result<Satisfaction, MapError> {
        let mapper = self.mapper(&asset.name, &asset.uri);
        if let super::MapperKind::Custom { path } = &mapper.kind {
            return Err(MapError::Custom { path: path.clone() });
        }
        let Some(rollup) = mapper.rollup() else { return Ok(Satisfaction::Satisfied) };
        Ok(rollup.wait_policy.judge(arrived, &rollup.to_upstream(partition_key)?))
    }

    /// The date of a partition of the Dag (`_resolve_partition_date`): what the mappers of the assets that contributed
    /// to it agree on. `carried` is the producer's date, which counts if no key is a date.
    pub fn partition_date<'a>(
        &self,
        assets: impl IntoIterator<Item = &'a AssetKey>,
        partition_key: &str,
        carried: Option<DateTime<Utc>>,
    ) -> PartitionDate {
        let mut dates = BTreeSet::new();
        for asset in assets {
            match self.mapper(&asset.name, &asset.uri).partition_date(partition_key) {
                Ok(date) => dates.extend(date),
                Err(error) => return PartitionDate::Failed(error),
            }
        }
        match dates.len() {
            0 => PartitionDate::Resolved(carried),
            1 => PartitionDate::Resolved(dates.pop_first()),
            _ => PartitionDate::Conflict(dates),
        }
    }
}

impl Timetable {
    /// The definition of the timetable's rollups as JSON; `{}` for one that is not partitioned by assets
    /// (`compute_rollup_fingerprint`).
    ///
    /// # Errors
    /// [`TimetableError::Custom`] if the timetable or one of its mappers is a plugin's.
    pub fn rollup_fingerprint(&self) -> Result<Value, TimetableError> {
        match self {
            Self::PartitionedAsset(assets) => assets.fingerprint().map_err(|error| match error {
                MapError::Custom { path } => TimetableError::Custom { path },
                MapError::Value(reason) | MapError::Type(reason) => {
                    TimetableError::Malformed { path: "PartitionedAssetTimetable".to_owned(), reason }
                }
            }),
            Self::Custom { path, .. } => Err(TimetableError::Custom { path: path.clone() }),
            _ => Ok(Value::Object(Map::new())),
        }
    }
}

/// The name and URI of an asset or of a reference to one.
fn names(leaf: &AssetCondition) -> (Option<&str>, Option<&str>) {
    match leaf {
        AssetCondition::Asset { key, .. } => (Some(&key.name), Some(&key.uri)),
        AssetCondition::NameRef(name) => (Some(name), None),
        AssetCondition::UriRef(uri) => (None, Some(uri)),
        _ => (None, None),
    }
}
