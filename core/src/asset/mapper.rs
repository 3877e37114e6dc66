//! Mappers from the keys of an asset's partitions to the keys of a Dag's (`airflow/partition_mappers/`).

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use super::error::MapError;
use super::temporal::Temporal;
use super::wait::WaitPolicy;
use super::wall::Wall;
use super::window::Window;
use crate::schedule::repr;

/// A partition mapper.
#[derive(Clone, Debug, PartialEq)]
pub struct Mapper {
    /// What it does.
    pub kind: MapperKind,
    /// Its own limit of keys per event, which takes the place of the configured one.
    pub max_downstream_keys: Option<i64>,
}

/// What a mapper does.
#[derive(Clone, Debug, PartialEq)]
pub enum MapperKind {
    /// `IdentityMapper`: the same key.
    Identity,
    /// `FixedKeyMapper`: always this key.
    FixedKey(String),
    /// `AllowedKeyMapper`: the same key, if it is one of these.
    AllowedKeys(Vec<String>),
    /// `ChainMapper`: one after the other.
    Chain(Vec<Mapper>),
    /// `ProductMapper`: one per part of the key.
    Product {
        /// One per part.
        mappers: Vec<Mapper>,
        /// Between the parts.
        delimiter: String,
    },
    /// `StartOf…Mapper`: the period that a date lies in.
    Temporal(Temporal),
    /// `FanOutMapper`: every partition of a period.
    FanOut {
        /// From the key to the period.
        upstream: Box<Mapper>,
        /// The period's partitions.
        window: Window,
        /// From a partition to its key.
        downstream: Box<Mapper>,
    },
    /// `RollupMapper`: the period, once its partitions are there.
    Rollup(Rollup),
    /// A plugin's.
    Custom {
        /// The import path of its class.
        path: String,
    },
}

/// A period that waits for its partitions.
#[derive(Clone, Debug, PartialEq)]
pub struct Rollup {
    /// From the key to the period.
    pub upstream: Box<Mapper>,
    /// The period's partitions.
    pub window: Window,
    /// How many of them have to be there.
    pub wait_policy: WaitPolicy,
}

/// The keys that one key maps to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Downstream {
    /// A single key.
    One(String),
    /// Any number of keys, as an iterable in Python.
    Many(Vec<String>),
}

impl Downstream {
    /// The keys as a list.
    pub fn into_keys(self) -> Vec<String> {
        match self {
            Self::One(key) => vec![key],
            Self::Many(keys) => keys,
        }
    }
}

/// A key between `decode_downstream` and `encode_upstream`.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Decoded {
    Text(String),
    Time(Wall),
}

impl Mapper {
    /// The rollup, if this is one (`is_rollup`).
    pub fn rollup(&self) -> Option<&Rollup> {
        match &self.kind {
            MapperKind::Rollup(rollup) => Some(rollup),
            _ => None,
        }
    }

    /// The Dag's keys for a key of the asset (`to_downstream`).
    ///
    /// # Errors
    /// If the key does not fit, or the mapper is a plugin's.
    pub fn to_downstream(&self, key: &str) -> Result<Downstream, MapError> {
        match &self.kind {
            MapperKind::Identity => Ok(Downstream::One(key.to_owned())),
            MapperKind::FixedKey(fixed) => Ok(Downstream::One(fixed.clone())),
            MapperKind::AllowedKeys(allowed) if allowed.iter().any(|one| one == key) => {
                Ok(Downstream::One(key.to_owned()))
            }
            MapperKind::AllowedKeys(allowed) => {
                let allowed: Vec<String> = allowed.iter().map(|one| repr(one)).collect();
                Err(MapError::Value(format!(
                    "Key {} not in allowed keys [{}]",
                    repr(key),
                    allowed.join(", ")
                )))
            }
            MapperKind::Chain(mappers) => chain(mappers, key),
            MapperKind::Product { mappers, delimiter } => {
                product(mappers, delimiter, key).map(Downstream::One)
            }
            MapperKind::Temporal(temporal) => temporal.to_downstream(key).map(Downstream::One),
            MapperKind::FanOut { upstream, window, downstream } => {
                let Downstream::One(period) = upstream.to_downstream(key)? else {
                    return Err(MapError::Type(
                        "FanOutMapper.upstream_mapper must produce a single key from to_downstream; chained fan-out \
                         (mapper that itself returns multiple keys) is not supported."
                            .to_owned(),
                    ));
                };
                let members = window.members(&upstream.decode(&period)?)?;
                members
                    .iter()
                    .map(|member| downstream.format(member))
                    .collect::<Result<_, _>>()
                    .map(Downstream::Many)
            }
            MapperKind::Rollup(rollup) => rollup.upstream.to_downstream(key),
            MapperKind::Custom { path } => Err(MapError::Custom { path: path.clone() }),
        }
    }

    /// The first instant of the partition that one of the Dag's keys means, if keys of this mapper are dates
    /// (`to_partition_date`).
    ///
    /// # Errors
    /// If the key does not fit, or the mapper is a plugin's.
    pub fn partition_date(&self, key: &str) -> Result<Option<DateTime<Utc>>, MapError> {
        match &self.kind {
            MapperKind::Identity | MapperKind::FixedKey(_) | MapperKind::AllowedKeys(_) => Ok(None),
            MapperKind::Temporal(temporal) => temporal.partition_date(key).map(Some),
            MapperKind::Rollup(rollup) => rollup.upstream.partition_date(key),
            MapperKind::FanOut { downstream, .. } => downstream.partition_date(key),
            MapperKind::Chain(mappers) => mappers.last().map_or(Ok(None), |last| last.partition_date(key)),
            MapperKind::Product { mappers, delimiter } => product_date(mappers, delimiter, key),
            MapperKind::Custom { path } => Err(MapError::Custom { path: path.clone() }),
        }
    }

    /// The producer's date, where it is the Dag's as well because the key is (`carry_partition_date`).
    ///
    /// # Errors
    /// If the mapper is a plugin's.
    pub fn carry_partition_date(
        &self,
        source: Option<DateTime<Utc>>,
    ) -> Result<Option<DateTime<Utc>>, MapError> {
        match &self.kind {
            MapperKind::Identity => Ok(source),
            MapperKind::Custom { path } => Err(MapError::Custom { path: path.clone() }),
            _ => Ok(None),
        }
    }

    /// `decode_downstream`.
    fn decode(&self, key: &str) -> Result<Decoded, MapError> {
        match &self.kind {
            MapperKind::Temporal(temporal) => temporal.decode(key).map(Decoded::Time),
            MapperKind::Custom { path } => Err(MapError::Custom { path: path.clone() }),
            _ => Ok(Decoded::Text(key.to_owned())),
        }
    }

    /// `encode_upstream`.
    fn encode_upstream(&self, decoded: Decoded) -> Result<String, MapError> {
        match (&self.kind, decoded) {
            (MapperKind::Custom { path }, _) => Err(MapError::Custom { path: path.clone() }),
            (MapperKind::Temporal(temporal), Decoded::Time(at)) => Ok(temporal.encode_upstream(at)),
            (MapperKind::Temporal(_), Decoded::Text(_)) | (_, Decoded::Time(_)) => {
                Err(MapError::Type("the window and the upstream mapper handle different types".to_owned()))
            }
            (_, Decoded::Text(key)) => Ok(key),
        }
    }

    /// A member of a window as this mapper's key (`_format_with`).
    fn format(&self, decoded: &Decoded) -> Result<String, MapError> {
        match (&self.kind, decoded) {
            (MapperKind::Custom { path }, _) => Err(MapError::Custom { path: path.clone() }),
            (MapperKind::Temporal(temporal), Decoded::Time(at)) => temporal.format(*at),
            (MapperKind::Temporal(_), Decoded::Text(_)) => {
                Err(MapError::Type("the window and the downstream mapper handle different types".to_owned()))
            }
            (_, Decoded::Time(at)) => Ok(at.isoformat()),
            (_, Decoded::Text(key)) => Ok(key.clone()),
        }
    }
}

impl Rollup {
    /// The keys of the asset that make up one of the Dag's (`to_upstream`).
    ///
    /// # Errors
    /// If the key does not fit, or a part of the mapper is a plugin's.
    pub fn to_upstream(&self, downstream_key: &str) -> Result<BTreeSet<String>, MapError> {
        let members = self.window.members(&self.upstream.decode(downstream_key)?)?;
        members.into_iter().map(|member| self.upstream.encode_upstream(member)).collect()
    }
}

fn chain(mappers: &[Mapper], key: &str) -> Result<Downstream, MapError> {
    let mut keys = vec![key.to_owned()];
    for mapper in mappers {
        let mut next = Vec::with_capacity(keys.len());
        for key in &keys {
            next.extend(mapper.to_downstream(key)?.into_keys());
        }
        keys = next;
    }
    Ok(match <[String; 1]>::try_from(keys) {
        Ok([key]) => Downstream::One(key),
        Err(keys) => Downstream::Many(keys),
    })
}

fn product(mappers: &[Mapper], delimiter: &str, key: &str) -> Result<String, MapError> {
    let parts: Vec<&str> = key.split(delimiter).collect();
    if parts.len() != mappers.len() {
        return Err(MapError::Value(format!(
            "Expected {} segments in key, got {}",
            mappers.len(),
            parts.len()
        )));
    }
    let mut keys = Vec::with_capacity(parts.len());
    for (mapper, part) in mappers.iter().zip(parts) {
        match mapper.to_downstream(part)? {
            Downstream::One(key) => keys.push(key),
            Downstream::Many(_) => {
                return Err(MapError::Type(format!(
                    "ProductMapper child mappers must return a single key, but {} returned multiple keys",
                    mapper.class()
                )));
            }
        }
    }
    Ok(keys.join(delimiter))
}

/// The one date among the parts; none if there is none, or more than one.
fn product_date(mappers: &[Mapper], delimiter: &str, key: &str) -> Result<Option<DateTime<Utc>>, MapError> {
    let parts: Vec<&str> = key.split(delimiter).collect();
    if parts.len() != mappers.len() {
        return Ok(None);
    }
    let mut dates = Vec::new();
    for (mapper, part) in mappers.iter().zip(parts) {
        dates.extend(mapper.partition_date(part)?);
    }
    Ok(if dates.len() == 1 { dates.pop() } else { None })
}
