//! Writing mappers as Airflow writes them (`airflow/serialization/encoders.py encode_partition_mapper`), for the
//! fingerprint of a rollup.

use serde_json::{Map, Value, json};

use super::error::MapError;
use super::mapper::{Mapper, MapperKind};
use super::temporal::Period;
use super::wait::WaitPolicy;
use super::window::{Direction, Window};

impl Mapper {
    /// The import path below `airflow.partition_mappers`, or a plugin's whole path.
    fn path(&self) -> &str {
        match &self.kind {
            MapperKind::Identity => "identity.IdentityMapper",
            MapperKind::FixedKey(_) => "fixed_key.FixedKeyMapper",
            MapperKind::AllowedKeys(_) => "allowed_key.AllowedKeyMapper",
            MapperKind::Chain(_) => "chain.ChainMapper",
            MapperKind::Product { .. } => "product.ProductMapper",
            MapperKind::FanOut { .. } => "temporal.FanOutMapper",
            MapperKind::Rollup(_) => "base.RollupMapper",
            MapperKind::Temporal(temporal) => match temporal.period {
                Period::Hour => "temporal.StartOfHourMapper",
                Period::Day => "temporal.StartOfDayMapper",
                Period::Week => "temporal.StartOfWeekMapper",
                Period::Month => "temporal.StartOfMonthMapper",
                Period::Quarter => "temporal.StartOfQuarterMapper",
                Period::Year => "temporal.StartOfYearMapper",
            },
            MapperKind::Custom { path } => path,
        }
    }

    /// The name of its class.
    pub(super) fn class(&self) -> &str {
        self.path().rsplit('.').next().unwrap_or_default()
    }

    /// What Airflow would write for this mapper.
    ///
    /// # Errors
    /// If a part of it is a plugin's.
    pub fn to_serialized(&self) -> Result<Value, MapError> {
        let all = |mappers: &[Mapper]| mappers.iter().map(Self::to_serialized).collect::<Result<Vec<_>, _>>();
        let mut fields = match &self.kind {
            MapperKind::Identity => json!({}),
            MapperKind::FixedKey(key) => json!({"downstream_key": key}),
            MapperKind::AllowedKeys(keys) => json!({"allowed_keys": keys}),
            MapperKind::Chain(mappers) => json!({"mappers": all(mappers)?}),
            MapperKind::Product { mappers, delimiter } => {
                json!({"delimiter": delimiter, "mappers": all(mappers)?})
            }
            MapperKind::Temporal(temporal) => json!({
                "timezone": temporal.zone.to_serialized(),
                "input_format": temporal.input_format,
                "output_format": temporal.output_format,
            }),
            MapperKind::FanOut { upstream, window, downstream } => json!({
                "upstream_mapper": upstream.to_serialized()?,
                "window": window.to_serialized()?,
                "downstream_mapper": downstream.to_serialized()?,
            }),
            MapperKind::Rollup(rollup) => json!({
                "upstream_mapper": rollup.upstream.to_serialized()?,
                "window": rollup.window.to_serialized()?,
                "wait_policy": rollup.wait_policy.to_serialized(),
            }),
            MapperKind::Custom { path } => return Err(MapError::Custom { path: path.clone() }),
        };
        if let (Some(limit), Some(fields)) = (self.max_downstream_keys, fields.as_object_mut()) {
            fields.insert("max_downstream_keys".to_owned(), limit.into());
        }
        Ok(typed(&format!("airflow.partition_mappers.{}", self.path()), fields))
    }
}

impl Window {
    fn to_serialized(&self) -> Result<Value, MapError> {
        let (class, fields) = match self {
            Self::Time { span, direction } => {
                let direction = match direction {
                    Direction::Forward => "forward",
                    Direction::Backward => "backward",
                };
                (span.class(), json!({"direction": direction}))
            }
            Self::Segments(keys) => ("SegmentWindow", json!({"segments": keys})),
            Self::Custom { path } => return Err(MapError::Custom { path: path.clone() }),
        };
        Ok(typed(&format!("airflow.partition_mappers.window.{class}"), fields))
    }
}

impl WaitPolicy {
    fn to_serialized(self) -> Value {
        match self {
            Self::ForAll => typed("airflow.partition_mappers.wait_policy.WaitForAll", json!({})),
            Self::MinimumCount(n) => {
                typed("airflow.partition_mappers.wait_policy.MinimumCount", json!({"n": n}))
            }
        }
    }
}

fn typed(path: &str, fields: Value) -> Value {
    Value::Object(Map::from_iter([("__type".to_owned(), path.into()), ("__var".to_owned(), fields)]))
}
