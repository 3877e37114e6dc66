//! From when and how long a deadline counts.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

use slipstream_core::ids::DagId;

use super::super::db::Conn;
use super::super::error::StoreError;
use super::super::runs::insert_run::NewRun;

/// The moment that a deadline counts from (`deadline_alert.reference`).
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Reference {
    LogicalDate,
    QueuedAt,
    Fixed(DateTime<Utc>),
    AverageRuntime {
        max_runs: i64,
        min_runs: i64,
    },
    /// A class of the user's: only Python can tell.
    Custom(String),
}

impl Reference {
    pub(super) fn read(value: &Value) -> Result<Self, StoreError> {
        let kind = value.get("reference_type").and_then(Value::as_str).unwrap_or_default();
        let bad = || StoreError::Invalid(format!("the deadline reference {value} cannot be understood"));
        Ok(match kind {
            "DagRunLogicalDateDeadline" => Self::LogicalDate,
            "DagRunQueuedAtDeadline" => Self::QueuedAt,
            "FixedDatetimeDeadline" => {
                let seconds = value.get("datetime").and_then(Value::as_f64).ok_or_else(bad)?;
                Self::Fixed(DateTime::from_timestamp_micros((seconds * 1e6).round() as i64).ok_or_else(bad)?)
            }
            "AverageRuntimeDeadline" => {
                let max_runs = value.get("max_runs").and_then(Value::as_i64).ok_or_else(bad)?;
                let min_runs = value.get("min_runs").and_then(Value::as_i64).unwrap_or(max_runs);
                Self::AverageRuntime { max_runs, min_runs }
            }
            other => Self::Custom(other.to_owned()),
        })
    }

    /// The moment for this run, which was queued `now`; `None` if there is none.
    pub(super) async fn moment<C: Conn>(
        &self,
        tx: &C,
        run: &NewRun,
        now: DateTime<Utc>,
    ) -> Result<Option<DateTime<Utc>>, StoreError> {
        Ok(match self {
            Self::LogicalDate => run.logical_date,
            Self::QueuedAt => Some(now),
            Self::Fixed(time) => Some(*time),
            Self::AverageRuntime { max_runs, min_runs } => {
                average_runtime(tx, &run.dag_id, *max_runs, *min_runs).await?.map(|average| now + average)
            }
            Self::Custom(_) => None,
        })
    }
}

/// The mean duration of the newest successful runs; `None` if there are fewer than `min_runs`.
async fn average_runtime<C: Conn>(
    tx: &C,
    dag_id: &DagId,
    max_runs: i64,
    min_runs: i64,
) -> Result<Option<TimeDelta>, StoreError> {
    let sql = tx
        .sql(
            "SELECT start_date, end_date FROM dag_run WHERE dag_id = ? AND state = 'success' \
             AND start_date IS NOT NULL AND end_date IS NOT NULL ORDER BY logical_date DESC LIMIT ?",
        )
        .bind(dag_id)
        .bind(max_runs);
    let mut total = 0_i64;
    let rows = tx.all(sql).await?;
    for row in &rows {
        total += (row.time("end_date")? - row.time("start_date")?).num_microseconds().unwrap_or(0);
    }
    let count = rows.len() as i64;
    if count == 0 || count < min_runs {
        return Ok(None);
    }
    Ok(Some(TimeDelta::microseconds(total / count)))
}

/// How long after the reference the deadline is (`deadline_alert.interval`).
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Interval {
    Fixed(TimeDelta),
    /// The seconds are in a variable.
    Variable(String),
}

impl Interval {
    pub(super) fn read(value: &Value) -> Result<Self, StoreError> {
        let bad = || StoreError::Invalid(format!("the deadline interval {value} cannot be understood"));
        // Older rows hold the seconds themselves.
        let seconds = value.as_f64().or_else(|| value.get("__data__").and_then(Value::as_f64));
        if let Some(seconds) = seconds {
            return Ok(Self::Fixed(TimeDelta::microseconds((seconds * 1e6).round() as i64)));
        }
        let key = value.pointer("/__data__/key").and_then(Value::as_str).ok_or_else(bad)?;
        Ok(Self::Variable(key.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn references_are_read_as_airflow_writes_them() {
        assert_eq!(
            Reference::read(&json!({"reference_type": "FixedDatetimeDeadline", "datetime": 1767225600.0}))
                .unwrap(),
            Reference::Fixed("2026-01-01T00:00:00Z".parse().unwrap())
        );
        assert_eq!(
            Reference::read(&json!({"reference_type": "AverageRuntimeDeadline", "max_runs": 3})).unwrap(),
            Reference::AverageRuntime { max_runs: 3, min_runs: 3 }
        );
        assert!(matches!(Reference::read(&json!({"reference_type": "Mine"})).unwrap(), Reference::Custom(_)));
    }

    #[test]
    fn intervals_are_seconds_a_timedelta_or_a_variable() {
        let five = Interval::Fixed(TimeDelta::seconds(5));
        assert_eq!(Interval::read(&json!(5)).unwrap(), five);
        assert_eq!(
            Interval::read(
                &json!({"__classname__": "datetime.timedelta", "__version__": 2, "__data__": 5.0})
            )
            .unwrap(),
            five
        );
        assert_eq!(
            Interval::read(&json!({"__classname__": "x.VariableInterval", "__data__": {"key": "k"}}))
                .unwrap(),
            Interval::Variable("k".to_owned())
        );
    }
}
