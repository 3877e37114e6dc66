//! Reading mappers, windows and policies (`airflow/serialization/decoders.py`).

use serde_json::Value;

use super::error::AssetError;
use super::mapper::{Mapper, MapperKind, Rollup};
use super::temporal::{Period, Temporal};
use super::wait::WaitPolicy;
use super::window::{Direction, Span, Window};
use crate::schedule::{Zone, repr};

const PREFIX: &str = "airflow.partition_mappers.";
const DEFAULT_INPUT_FORMAT: &str = "%Y-%m-%dT%H:%M:%S";

/// The type and the fields of a serialized object.
#[derive(Clone, Copy)]
struct Typed<'a> {
    what: &'static str,
    path: &'a str,
    fields: &'a Value,
}

impl<'a> Typed<'a> {
    fn new(what: &'static str, value: &'a Value) -> Result<Self, AssetError> {
        let path = value.get("__type").and_then(Value::as_str).unwrap_or_default();
        let typed = Self { what, path, fields: value.get("__var").unwrap_or(&Value::Null) };
        if path.is_empty() { Err(typed.malformed("it has no type")) } else { Ok(typed) }
    }

    fn malformed(&self, reason: impl Into<String>) -> AssetError {
        AssetError::Malformed { what: self.what, reason: reason.into() }
    }

    fn get(&self, name: &str) -> Result<&'a Value, AssetError> {
        self.fields.get(name).ok_or_else(|| self.malformed(format!("`{name}` of `{}` is missing", self.path)))
    }

    fn text(&self, name: &str) -> Result<&'a str, AssetError> {
        let text = self.get(name)?.as_str();
        text.ok_or_else(|| self.malformed(format!("`{name}` of `{}` is not a string", self.path)))
    }

    fn texts(&self, name: &str) -> Result<Vec<String>, AssetError> {
        let list = self.get(name)?.as_array().map(Vec::as_slice).unwrap_or_default();
        let texts: Option<Vec<String>> = list.iter().map(|item| item.as_str().map(str::to_owned)).collect();
        texts.ok_or_else(|| self.malformed(format!("`{name}` of `{}` is not a list of strings", self.path)))
    }

    fn mapper(&self, name: &str) -> Result<Box<Mapper>, AssetError> {
        Mapper::from_serialized(self.get(name)?).map(Box::new)
    }

    fn mappers(&self) -> Result<Vec<Mapper>, AssetError> {
        let list = self.get("mappers")?.as_array().map(Vec::as_slice).unwrap_or_default();
        if list.len() < 2 {
            return Err(self.malformed(format!("`{}` needs at least two mappers", self.path)));
        }
        list.iter().map(Mapper::from_serialized).collect()
    }

    fn temporal(&self, period: Period) -> Result<MapperKind, AssetError> {
        let zone = match self.fields.get("timezone") {
            Some(zone) => Zone::from_serialized(zone).map_err(|error| self.malformed(error.to_string()))?,
            None => Zone::UTC,
        };
        let input = self.get("input_format")?.as_str().unwrap_or(DEFAULT_INPUT_FORMAT);
        let output = self.get("output_format")?.as_str().unwrap_or_default();
        let temporal = Temporal::new(period, zone, input, output).map_err(|reason| self.malformed(reason))?;
        Ok(MapperKind::Temporal(temporal))
    }
}

impl Mapper {
    /// The mapper of a Dag that names none.
    pub(super) fn identity() -> Self {
        Self { kind: MapperKind::Identity, max_downstream_keys: None }
    }

    /// Reads `{"__type": path, "__var": fields}`; a class that is not one of Airflow's becomes [`MapperKind::Custom`].
    ///
    /// # Errors
    /// [`AssetError::Malformed`] for what Airflow could not read either.
    pub fn from_serialized(value: &Value) -> Result<Self, AssetError> {
        let typed = Typed::new("partition mapper", value)?;
        let kind = match typed.path.strip_prefix(PREFIX).unwrap_or_default() {
            "identity.IdentityMapper" => MapperKind::Identity,
            "fixed_key.FixedKeyMapper" => MapperKind::FixedKey(typed.text("downstream_key")?.to_owned()),
            "allowed_key.AllowedKeyMapper" => MapperKind::AllowedKeys(typed.texts("allowed_keys")?),
            "chain.ChainMapper" => MapperKind::Chain(typed.mappers()?),
            "product.ProductMapper" => {
                let delimiter = typed.fields.get("delimiter").and_then(Value::as_str).unwrap_or("|");
                MapperKind::Product { mappers: typed.mappers()?, delimiter: delimiter.to_owned() }
            }
            "temporal.StartOfHourMapper" => typed.temporal(Period::Hour)?,
            "temporal.StartOfDayMapper" => typed.temporal(Period::Day)?,
            "temporal.StartOfWeekMapper" => typed.temporal(Period::Week)?,
            "temporal.StartOfMonthMapper" => typed.temporal(Period::Month)?,
            "temporal.StartOfQuarterMapper" => typed.temporal(Period::Quarter)?,
            "temporal.StartOfYearMapper" => typed.temporal(Period::Year)?,
            "temporal.FanOutMapper" => MapperKind::FanOut {
                upstream: typed.mapper("upstream_mapper")?,
                window: Window::from_serialized(typed.get("window")?)?,
                downstream: typed.mapper("downstream_mapper")?,
            },
            "base.RollupMapper" => MapperKind::Rollup(rollup(typed)?),
            _ => MapperKind::Custom { path: typed.path.to_owned() },
        };
        let max_downstream_keys = typed.fields.get("max_downstream_keys").and_then(Value::as_i64);
        Ok(Self { kind, max_downstream_keys })
    }
}

/// A rollup, if its window and its mapper handle the same type, which Airflow demands as well.
fn rollup(typed: Typed<'_>) -> Result<Rollup, AssetError> {
    let upstream = typed.mapper("upstream_mapper")?;
    let window = Window::from_serialized(typed.get("window")?)?;
    let in_time = matches!(upstream.kind, MapperKind::Temporal(_));
    let known = !matches!(upstream.kind, MapperKind::Custom { .. });
    let fits = match &window {
        Window::Time { .. } => in_time,
        Window::Segments(_) => !in_time,
        Window::Custom { .. } => true,
    };
    if known && !fits {
        return Err(
            typed.malformed(format!("the window does not handle the keys of {}", repr(upstream.class())))
        );
    }
    let wait_policy = WaitPolicy::from_serialized(typed.get("wait_policy")?)?;
    Ok(Rollup { upstream, window, wait_policy })
}

impl Window {
    fn from_serialized(value: &Value) -> Result<Self, AssetError> {
        let typed = Typed::new("window", value)?;
        let class = typed.path.strip_prefix(PREFIX).and_then(|path| path.strip_prefix("window."));
        let span = match class.unwrap_or_default() {
            "HourWindow" => Span::Hour,
            "DayWindow" => Span::Day,
            "WeekWindow" => Span::Week,
            "MonthWindow" => Span::Month,
            "QuarterWindow" => Span::Quarter,
            "YearWindow" => Span::Year,
            "SegmentWindow" => {
                let segments = typed.texts("segments")?;
                if segments.is_empty() || segments.iter().any(String::is_empty) {
                    return Err(typed.malformed("a SegmentWindow needs keys, none of them empty"));
                }
                return Ok(Self::Segments(segments.into_iter().collect()));
            }
            _ => return Ok(Self::Custom { path: typed.path.to_owned() }),
        };
        let direction = match typed.text("direction")? {
            "forward" => Direction::Forward,
            "backward" => Direction::Backward,
            other => return Err(typed.malformed(format!("unknown direction {}", repr(other)))),
        };
        Ok(Self::Time { span, direction })
    }
}

impl WaitPolicy {
    fn from_serialized(value: &Value) -> Result<Self, AssetError> {
        let typed = Typed::new("wait policy", value)?;
        match typed.path.strip_prefix(PREFIX).unwrap_or_default() {
            "wait_policy.WaitForAll" => Ok(Self::ForAll),
            "wait_policy.MinimumCount" => match typed.get("n")?.as_i64() {
                Some(n) if n != 0 => Ok(Self::MinimumCount(n)),
                _ => Err(typed.malformed("the count of a MinimumCount has to be an integer other than 0")),
            },
            // Airflow takes no plugin's policy.
            other => Err(typed.malformed(format!("unknown policy {}", repr(other)))),
        }
    }
}
