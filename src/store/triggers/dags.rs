//! What Dags allow: whether triggers may make runs of them.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use serde_json::Value;

use slipstream_core::ids::DagId;

use super::rows_per_statement;
use crate::store::{Conn, Kind, StoreError};

/// Longest note (`dag_run_note.content`).
const NOTE_LENGTH: usize = 1000;
/// What is written of one.
const NOTE: [(&str, Kind); 4] = [
    ("dag_run_id", Kind::Int),
    ("content", Kind::Text),
    ("created_at", Kind::Time),
    ("updated_at", Kind::Time),
];

/// What a Dag's row says.
#[derive(Clone, Debug, PartialEq)]
pub struct Flags {
    /// A person paused it.
    pub is_paused: bool,
    /// Its file is gone.
    pub is_stale: bool,
    /// Its file cannot be read.
    pub has_import_errors: bool,
    /// Which types of runs it may have; not a list: any.
    pub allowed_run_types: Value,
}

impl Flags {
    /// Why triggers make no runs of it, `None` if they do.
    pub fn why_not(&self) -> Option<&'static str> {
        let manual = |types: &Vec<Value>| types.iter().any(|one| one == "manual");
        if self.is_paused {
            Some("it is paused")
        } else if self.has_import_errors {
            // Airflow marks it as stale, too.
            Some("it has import errors")
        } else if self.is_stale {
            Some("its file is gone")
        } else if !self.allowed_run_types.as_array().is_none_or(manual) {
            Some("it does not allow manual runs")
        } else {
            None
        }
    }
}

/// What the rows of these Dags say.
///
/// # Errors
/// As any statement.
pub async fn flags<'a, C: Conn>(
    conn: &C,
    dag_ids: impl IntoIterator<Item = &'a DagId>,
) -> Result<HashMap<DagId, Flags>, StoreError> {
    let mut dag_ids: Vec<&DagId> = dag_ids.into_iter().collect();
    dag_ids.sort_unstable();
    dag_ids.dedup();
    if dag_ids.is_empty() {
        return Ok(HashMap::new());
    }
    let sql = conn
        .sql("SELECT dag_id, is_paused, is_stale, has_import_errors, allowed_run_types FROM dag WHERE dag_id IN (?)")
        .bind_list(dag_ids);
    conn.all(sql)
        .await?
        .iter()
        .map(|row| {
            let flags = Flags {
                is_paused: row.bool("is_paused")?,
                is_stale: row.bool("is_stale")?,
                has_import_errors: row.bool("has_import_errors")?,
                allowed_run_types: row.json("allowed_run_types")?,
            };
            Ok((row.id("dag_id")?, flags))
        })
        .collect()
}

/// Writes notes on new runs, by `dag_run.id`, as the UI shows them.
///
/// # Errors
/// As any statement.
pub async fn notes<C: Conn>(tx: &C, notes: &[(i64, String)], now: DateTime<Utc>) -> Result<(), StoreError> {
    for chunk in notes.chunks(rows_per_statement(4)) {
        let values = chunk.iter().map(|(run, note)| {
            let text: String = note.chars().take(NOTE_LENGTH).collect();
            vec![(*run).into(), text.into(), now.into(), now.into()]
        });
        let sql = tx
            .sql("INSERT INTO dag_run_note (dag_run_id, content, created_at, updated_at) ?")
            .bind_table(&NOTE, values);
        tx.exec(sql).await?;
    }
    Ok(())
}
