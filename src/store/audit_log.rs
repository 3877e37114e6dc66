//! Rows of `log`, the audit log that the UI shows (`airflow/models/log.py`).

use chrono::{DateTime, Utc};
use slipstream_core::ids::{DagId, MapIndex, RunId, TaskId};

use super::db::Conn;
use super::error::StoreError;
use super::sql::Param;

/// One row to be written. Airflow leaves `logical_date` and `owner` empty when it logs about a key, and fills them when it
/// logs about a row; the caller says which.
#[derive(Clone, Debug)]
pub struct LogEntry {
    /// What happened: a state, `fail task`, `skip task`, …
    pub event: String,
    /// The Dag.
    pub dag_id: DagId,
    /// The task, for an event of one task.
    pub task_id: Option<TaskId>,
    /// The run.
    pub run_id: Option<RunId>,
    /// Which copy of a mapped task.
    pub map_index: Option<MapIndex>,
    /// Which try.
    pub try_number: Option<i32>,
    /// The run's logical date.
    pub logical_date: Option<DateTime<Utc>>,
    /// `dag.owners`, or the task's owner.
    pub owner: Option<String>,
    /// The owner's name for people, where it differs.
    pub owner_display_name: Option<String>,
    /// More: text, or JSON as text.
    pub extra: Option<String>,
}

/// Notes that a command was started, as Airflow's command line does for itself (`airflow/utils/cli_action_loggers.py`).
///
/// # Errors
/// As any statement.
pub async fn command(
    conn: &impl Conn,
    command: &str,
    (user, host): (&str, &str),
    arguments: &[String],
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    // The form of Python's lists.
    let quoted: Vec<String> =
        arguments.iter().map(|argument| format!("'{}'", argument.replace('\'', "\\'"))).collect();
    let extra = serde_json::json!({"host_name": host, "full_command": format!("[{}]", quoted.join(", "))});
    let sql = conn
        .sql("INSERT INTO log (dttm, event, owner, extra) VALUES (?, ?, ?, ?)")
        .bind(now)
        .bind(format!("cli_{}", command.replace('-', "_")))
        .bind(user)
        .bind(extra.to_string());
    conn.exec(sql).await.map(drop)
}

const COLUMNS: &str = "dttm, dag_id, task_id, map_index, event, logical_date, run_id, owner, owner_display_name, extra, try_number";

/// Writes rows, at the time `now`, in one statement.
///
/// # Errors
/// As any statement.
pub async fn write(conn: &impl Conn, now: DateTime<Utc>, entries: &[LogEntry]) -> Result<(), StoreError> {
    if entries.is_empty() {
        return Ok(());
    }
    let rows = entries.iter().map(|entry| {
        vec![
            now.into(),
            (&entry.dag_id).into(),
            entry.task_id.as_ref().into(),
            entry.map_index.into(),
            entry.event.as_str().into(),
            entry.logical_date.into(),
            entry.run_id.as_ref().into(),
            entry.owner.as_deref().into(),
            Param::from(entry.owner_display_name.as_deref()),
            entry.extra.as_deref().into(),
            entry.try_number.into(),
        ]
    });
    let sql = conn.sql(&format!("INSERT INTO log ({COLUMNS}) VALUES ?")).bind_rows(rows);
    conn.exec(sql).await?;
    Ok(())
}

/// `{"host_name": "…"}` as Python writes it, the extra of every row about a state that a worker reported.
pub fn host_extra(hostname: Option<&str>) -> Option<String> {
    let name = hostname.filter(|name| !name.is_empty())?;
    Some(format!("{{\"host_name\": {}}}", serde_json::Value::from(name)))
}

#[cfg(test)]
mod tests {
    use crate::store::testing::{at, first, on_each_database};

    #[test]
    fn a_command_is_noted_as_airflows_command_line_does_it() {
        on_each_database(async |db| {
            let arguments = ["/bin/slipstream", "dag-processor", "it's"].map(str::to_owned);
            super::command(db, "dag-processor", ("me", "here"), &arguments, at(1)).await.unwrap();
            let row = first(db, "SELECT event, owner, extra, dag_id FROM log").await;
            assert_eq!(row.text("event").unwrap(), "cli_dag_processor");
            assert_eq!(row.text("owner").unwrap(), "me");
            let extra: serde_json::Value = serde_json::from_str(&row.text("extra").unwrap()).unwrap();
            assert_eq!(extra["full_command"], r"['/bin/slipstream', 'dag-processor', 'it\'s']");
            assert_eq!(row.text_opt("dag_id").unwrap(), None);
        });
    }
}
