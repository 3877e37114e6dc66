//! Reading the serialized form (`airflow/serialization/decoders.py decode_timetable`).

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

use super::cron_schedule::CronSchedule;
use super::delta::Delta;
use super::events::Events;
use super::partition::CronPartition;
use super::timetable::Timetable;
use super::trigger::{CronTrigger, DeltaTrigger, RunImmediately};
use super::types::TimetableError;
use super::zone::Zone;
use crate::asset::{AssetCondition, PartitionedAssets};

/// How deep `AssetOrTimeSchedule` may nest, which Airflow itself never does twice.
const MAX_DEPTH: usize = 8;

/// The fields of one timetable, for messages with its name.
struct Fields<'a> {
    path: &'a str,
    data: &'a Value,
}

impl Timetable {
    /// Reads the `timetable` entry of a serialized Dag: `{"__type": path, "__var": fields}`.
    ///
    /// A class that is not one of Airflow's becomes [`Timetable::Custom`].
    ///
    /// # Errors
    /// [`TimetableError::Malformed`] or [`TimetableError::Zone`] for what Airflow could not read either.
    pub fn from_serialized(value: &Value) -> Result<Self, TimetableError> {
        decode(value, 0)
    }
}

fn decode(value: &Value, depth: usize) -> Result<Timetable, TimetableError> {
    let path = value.get("__type").and_then(Value::as_str).unwrap_or_default();
    let data = value.get("__var").unwrap_or(&Value::Null);
    let fields = Fields { path, data };
    if path.is_empty() || depth > MAX_DEPTH {
        return Err(fields.malformed("it has no type, or is nested too deeply"));
    }
    Ok(match path.strip_prefix("airflow.timetables.").unwrap_or_default() {
        "simple.NullTimetable" => Timetable::Null,
        "simple.OnceTimetable" => Timetable::Once,
        "simple.ContinuousTimetable" => Timetable::Continuous,
        "simple.PartitionedAtRuntime" => Timetable::PartitionedAtRuntime,
        "simple.AssetTriggeredTimetable" => Timetable::AssetTriggered(fields.condition()?),
        "simple.PartitionedAssetTimetable" => Timetable::PartitionedAsset(
            PartitionedAssets::from_serialized(data).map_err(|error| fields.malformed(&error.to_string()))?,
        ),
        "assets.AssetOrTimeSchedule" => Timetable::AssetOrTime {
            condition: fields.condition()?,
            timetable: Box::new(decode(fields.get("timetable")?, depth + 1)?),
        },
        "interval.CronDataIntervalTimetable" => Timetable::CronDataInterval(fields.cron("expression")?),
        "interval.DeltaDataIntervalTimetable" => Timetable::DeltaDataInterval(fields.delta("delta")?),
        "trigger.CronTriggerTimetable" => Timetable::CronTrigger(CronTrigger {
            schedule: fields.cron("expression")?,
            interval: fields.delta("interval")?,
            run_immediately: fields.run_immediately()?,
        }),
        "trigger.MultipleCronTriggerTimetable" => Timetable::MultipleCronTrigger(fields.crons()?),
        "trigger.DeltaTriggerTimetable" => Timetable::DeltaTrigger(DeltaTrigger {
            delta: fields.delta("delta")?,
            interval: fields.delta("interval")?,
        }),
        "trigger.CronPartitionTimetable" => Timetable::CronPartition(fields.partition()?),
        "events.EventsTimetable" => Timetable::Events(fields.events()?),
        _ => Timetable::Custom { path: path.to_owned(), data: data.clone() },
    })
}

impl Fields<'_> {
    fn malformed(&self, reason: &str) -> TimetableError {
        TimetableError::Malformed { path: self.path.to_owned(), reason: reason.to_owned() }
    }

    fn get(&self, name: &str) -> Result<&Value, TimetableError> {
        self.data.get(name).ok_or_else(|| self.malformed(&format!("`{name}` is missing")))
    }

    fn text(&self, name: &str) -> Result<&str, TimetableError> {
        self.get(name)?.as_str().ok_or_else(|| self.malformed(&format!("`{name}` is not a string")))
    }

    fn zone(&self) -> Result<Zone, TimetableError> {
        Ok(Zone::from_serialized(self.get("timezone")?)?)
    }

    fn cron(&self, name: &str) -> Result<CronSchedule, TimetableError> {
        Ok(CronSchedule::new(self.text(name)?, self.zone()?))
    }

    fn delta(&self, name: &str) -> Result<Delta, TimetableError> {
        Delta::from_serialized(self.get(name)?)
            .ok_or_else(|| self.malformed(&format!("`{name}` is neither seconds nor a relativedelta")))
    }

    fn condition(&self) -> Result<AssetCondition, TimetableError> {
        AssetCondition::from_serialized(self.get("asset_condition")?)
            .map_err(|error| self.malformed(&error.to_string()))
    }

    /// A float is a number of seconds, `true` is always; anything else means a tenth of the period.
    fn run_immediately(&self) -> Result<RunImmediately, TimetableError> {
        Ok(match self.data.get("run_immediately") {
            Some(Value::Bool(true)) => RunImmediately::Always,
            Some(value) if value.is_f64() => match Delta::from_serialized(value) {
                Some(Delta::Fixed(within)) => RunImmediately::Within(within),
                _ => return Err(self.malformed("`run_immediately` is out of range")),
            },
            _ => RunImmediately::WithinTenth,
        })
    }

    fn crons(&self) -> Result<Vec<CronTrigger>, TimetableError> {
        let (zone, interval, run_immediately) =
            (self.zone()?, self.delta("interval")?, self.run_immediately()?);
        let expressions = self.get("expressions")?.as_array().map(Vec::as_slice).unwrap_or_default();
        let expressions: Option<Vec<&str>> = expressions.iter().map(Value::as_str).collect();
        let expressions = expressions
            .filter(|all| !all.is_empty())
            .ok_or_else(|| self.malformed("`expressions` is not a list of cron expressions"))?;
        let trigger = |expression| CronTrigger {
            schedule: CronSchedule::new(expression, zone),
            interval: interval.clone(),
            run_immediately,
        };
        Ok(expressions.into_iter().map(trigger).collect())
    }

    fn partition(&self) -> Result<CronPartition, TimetableError> {
        Ok(CronPartition {
            trigger: CronTrigger {
                schedule: self.cron("expression")?,
                interval: Delta::ZERO,
                run_immediately: self.run_immediately()?,
            },
            // Airflow ignores an offset that is no integer.
            run_offset: self.get("run_offset")?.as_i64().unwrap_or(0),
            key_format: self.text("key_format")?.to_owned(),
        })
    }

    fn events(&self) -> Result<Events, TimetableError> {
        let dates = self.get("event_dates")?.as_array().map(Vec::as_slice).unwrap_or_default();
        let parse = |value: &Value| value.as_str().and_then(from_isoformat);
        Ok(Events {
            dates: dates
                .iter()
                .map(parse)
                .collect::<Option<_>>()
                .ok_or_else(|| self.malformed("`event_dates` is not a list of dates with a time zone"))?,
            restrict_to_events: self.get("restrict_to_events")?.as_bool().unwrap_or(false),
        })
    }
}

/// A date as `isoformat(sep="T")` prints it. Seconds in an offset, which RFC 3339 lacks, are cut off the text first.
fn from_isoformat(text: &str) -> Option<DateTime<Utc>> {
    if let Ok(date) = DateTime::parse_from_rfc3339(text) {
        return Some(date.to_utc());
    }
    let (without_seconds, seconds) = text.rsplit_once(':')?;
    let date = DateTime::parse_from_rfc3339(without_seconds).ok()?.to_utc();
    let east = without_seconds.rfind(['+', '-']).map(|at| without_seconds.as_bytes()[at] == b'+')?;
    let seconds = TimeDelta::seconds(seconds.parse().ok()?);
    Some(if east { date - seconds } else { date + seconds })
}
