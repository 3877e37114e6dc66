//! What the trace of a run tells about it.

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::store::encoding;
use crate::store::{Conn, StoreError};

/// A run as its trace shows it.
#[derive(Clone, Debug, PartialEq)]
pub struct TracedRun {
    /// Its Dag.
    pub dag_id: String,
    /// `dag_run.context_carrier`, unwrapped.
    pub carrier: Value,
    /// When it was queued, or started.
    pub began: Option<DateTime<Utc>>,
    /// Names of Airflow's attributes, with their texts.
    pub attributes: Vec<(&'static str, String)>,
}

/// Columns and the names of their attributes.
const TEXTS: &[(&str, &str)] = &[
    ("dag_id", "airflow.dag_id"),
    ("run_id", "airflow.dag_run.run_id"),
    ("run_type", "airflow.dag_run.run_type"),
    ("partition_key", "airflow.dag_run.partition_key"),
];

/// As [`TEXTS`].
const TIMES: &[(&str, &str)] = &[
    ("start_date", "airflow.dag_run.start_date"),
    ("end_date", "airflow.dag_run.end_date"),
    ("queued_at", "airflow.dag_run.queued_at"),
    ("created_at", "airflow.dag_run.created_at"),
    ("logical_date", "airflow.dag_run.logical_date"),
];

/// Reads a run. `None`: it is gone.
///
/// # Errors
/// As any statement.
pub async fn traced_run<C: Conn>(conn: &C, id: i64) -> Result<Option<TracedRun>, StoreError> {
    let sql = conn.sql(
        "SELECT dag_id, run_id, run_type, partition_key, partition_date, start_date, end_date, queued_at, created_at, \
         logical_date, context_carrier FROM dag_run WHERE id = ?",
    );
    let Some(row) = conn.one(sql.bind(id)).await? else { return Ok(None) };
    let mut attributes = Vec::new();
    for (column, name) in TEXTS {
        attributes.extend(row.text_opt(column)?.map(|text| (*name, text)));
    }
    for (column, name) in TIMES {
        attributes.extend(row.time_opt(column)?.map(|time| (*name, python_text(time, ' '))));
    }
    let date = row.time_opt("partition_date")?;
    attributes.extend(date.map(|date| ("airflow.dag_run.partition_date", python_text(date, 'T'))));
    let began = match row.time_opt("queued_at")? {
        Some(queued) => Some(queued),
        None => row.time_opt("start_date")?,
    };
    let carrier = encoding::plain(&row.json("context_carrier")?);
    Ok(Some(TracedRun { dag_id: row.text("dag_id")?, carrier, began, attributes }))
}

/// A time as Python writes it.
fn python_text(time: DateTime<Utc>, between: char) -> String {
    let fraction = if time.timestamp_subsec_micros() == 0 { "" } else { "%.6f" };
    time.format(&format!("%Y-%m-%d{between}%H:%M:%S{fraction}+00:00")).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::{NewRun, dag, on_each_database};

    #[test]
    fn a_traced_run_tells_what_airflow_tells() {
        on_each_database(async |db| {
            dag(db, "d").await;
            NewRun::new("d", "r").insert(db).await;
            let row = crate::store::testing::first(db, "SELECT id FROM dag_run").await;
            let run = traced_run(db, row.int("id").unwrap()).await.unwrap().unwrap();
            assert_eq!(run.dag_id, "d");
            assert!(run.attributes.contains(&("airflow.dag_run.run_id", "r".to_owned())), "{run:?}");
            assert_eq!(traced_run(db, -1).await.unwrap(), None);
        });
    }

    #[test]
    fn times_are_written_as_python_writes_them() {
        let time: DateTime<Utc> = "2026-01-02T03:04:05.000006Z".parse().unwrap();
        assert_eq!(python_text(time, ' '), "2026-01-02 03:04:05.000006+00:00");
        let time: DateTime<Utc> = "2026-01-02T03:04:05Z".parse().unwrap();
        assert_eq!(python_text(time, 'T'), "2026-01-02T03:04:05+00:00");
    }
}
