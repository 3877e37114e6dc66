//! Deadlines of new runs (`SerializedDAG._process_dagrun_deadline_alerts`).

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

use super::super::db::Conn;
use super::super::encoding;
use super::super::error::StoreError;
use super::super::row::Row;
use super::super::runs::insert_run::NewRun;
use super::super::secrets::{self, Sources};
use super::reference::{Interval, Reference};
use crate::telemetry::metrics::Held;

/// A new run whose Dag has deadlines.
#[derive(Debug)]
pub struct NewDeadlines<'a> {
    /// `dag_run.id`.
    pub dagrun_id: i64,
    /// `serialized_dag.id` of the Dag version that it was created with.
    pub serialized_dag_id: Uuid,
    /// The run.
    pub run: &'a NewRun,
}

struct Alert {
    id: Uuid,
    serialized_dag_id: Uuid,
    reference: Value,
    interval: Value,
    callback: Value,
}

/// Writes the deadlines of new runs, with the callback of each.
///
/// A deadline that cannot be computed is left out with a warning: a missing deadline must not keep a run from being made.
///
/// # Errors
/// As any statement.
pub async fn create<C: Conn>(
    tx: &C,
    runs: &[NewDeadlines<'_>],
    secrets: &Sources,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    if runs.is_empty() {
        return Ok(());
    }
    let sql = tx
        .sql(
            "SELECT id, serialized_dag_id, reference, interval, callback_def FROM deadline_alert \
             WHERE serialized_dag_id IN (?) ORDER BY id",
        )
        .bind_list(runs.iter().map(|run| run.serialized_dag_id));
    let alerts = tx.all(sql).await?.iter().map(alert).collect::<Result<Vec<_>, _>>()?;
    for new in runs {
        for alert in alerts.iter().filter(|alert| alert.serialized_dag_id == new.serialized_dag_id) {
            match deadline_time(tx, alert, new.run, secrets, now).await {
                Ok(Some(time)) => write(tx, alert, new, time, now).await?,
                Ok(None) => tracing::warn!(
                    dag_id = %new.run.dag_id, run_id = %new.run.run_id, deadline_alert_id = %alert.id,
                    "the deadline is skipped: there is nothing yet that it could count from"
                ),
                Err(StoreError::Invalid(why)) => tracing::error!(
                    dag_id = %new.run.dag_id, run_id = %new.run.run_id, deadline_alert_id = %alert.id,
                    "the deadline is skipped: {why}"
                ),
                Err(error) => return Err(error),
            }
        }
    }
    Ok(())
}

fn alert(row: &Row) -> Result<Alert, StoreError> {
    Ok(Alert {
        id: row.uuid("id")?,
        serialized_dag_id: row.uuid("serialized_dag_id")?,
        reference: row.json("reference")?,
        interval: row.json("interval")?,
        callback: row.json("callback_def")?,
    })
}

async fn deadline_time<C: Conn>(
    tx: &C,
    alert: &Alert,
    run: &NewRun,
    secrets: &Sources,
    now: DateTime<Utc>,
) -> Result<Option<DateTime<Utc>>, StoreError> {
    let interval = match Interval::read(&alert.interval)? {
        Interval::Fixed(interval) => interval,
        Interval::Variable(key) => variable_seconds(tx, &key, secrets).await?,
    };
    let reference = Reference::read(&alert.reference)?;
    if let Reference::Custom(name) = &reference {
        return Err(StoreError::Invalid(format!("only Python knows the deadline reference `{name}`")));
    }
    Ok(reference.moment(tx, run, now).await?.and_then(|moment| moment.checked_add_signed(interval)))
}

/// An interval that is kept in a variable: whole seconds.
async fn variable_seconds<C: Conn>(tx: &C, key: &str, secrets: &Sources) -> Result<TimeDelta, StoreError> {
    let value = secrets::known_variable(tx, secrets, key).await?;
    let value = value.ok_or_else(|| StoreError::Invalid(format!("VariableInterval '{key}' not found")))?;
    let seconds: i64 = value.trim().parse().map_err(|_| {
        StoreError::Invalid(format!("VariableInterval '{key}' must be an integer (seconds), got: '{value}'"))
    })?;
    Ok(TimeDelta::seconds(seconds))
}

async fn write<C: Conn>(
    tx: &C,
    alert: &Alert,
    new: &NewDeadlines<'_>,
    time: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let class = alert.callback.get("__classname__").and_then(Value::as_str).unwrap_or_default();
    let kind = match class.rsplit('.').next() {
        Some("AsyncCallback") => "triggerer",
        Some("SyncCallback") => "executor",
        _ => {
            tracing::error!(deadline_alert_id = %alert.id, class, "the deadline is skipped: unknown kind of callback");
            return Ok(());
        }
    };
    let mut data = json!({"dag_id": new.run.dag_id, "prefix": "deadline_alerts"});
    if let Some(definition) = alert.callback.get("__data__").and_then(Value::as_object) {
        for (key, value) in definition {
            data[key] = encoding::from_serde(value);
        }
    }
    let callback = Uuid::now_v7();
    let sql = tx
        .sql(
            "INSERT INTO callback (id, type, fetch_method, data, bundle_name, state, priority_weight, created_at) \
             SELECT ?, ?, 'import_path', ?, dag.bundle_name, 'scheduled', 1, ? FROM dag WHERE dag.dag_id = ?",
        )
        .bind(callback)
        .bind(kind)
        .bind(encoding::extended(&data))
        .bind(now)
        .bind(&new.run.dag_id);
    tx.exec(sql).await?;
    let sql = tx
        .sql(
            "INSERT INTO deadline (id, created_at, last_updated_at, dagrun_id, deadline_time, missed, callback_id, \
             deadline_alert_id) VALUES (?, ?, ?, ?, ?, false, ?, ?)",
        )
        .bind(Uuid::now_v7())
        .bind(now)
        .bind(now)
        .bind(new.dagrun_id)
        .bind(time)
        .bind(callback)
        .bind(alert.id);
    tx.exec(sql).await?;
    let tags = [("dag_id", new.run.dag_id.as_str())];
    tx.measure(|| Held::count("deadline_alerts.deadline_created", 1, &tags));
    Ok(())
}
