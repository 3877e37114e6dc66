//! Dags whose next run is due (`DagModel.dags_needing_dagruns`), and the fields of `dag` that say when the next one is.

use chrono::{DateTime, Utc};
use serde_json::Value;

use slipstream_core::ids::DagId;
use slipstream_core::state::RunType;

use super::super::db::Conn;
use super::super::error::StoreError;
use super::super::row::Row;
use super::super::sql::Param;
use super::{db_now, rows_per_statement};

/// A Dag that needs a run, as its row in `dag` describes the run.
#[derive(Clone, Debug)]
pub struct DueDag {
    /// The Dag.
    pub dag_id: DagId,
    /// What `dag` says about its next run.
    pub next: NextRun,
    /// Whether its timetable makes runs for partitions instead of logical dates.
    pub partitioned: bool,
    /// `dag.max_active_runs`; `NULL` counts as 0, as in Airflow.
    pub max_active_runs: i64,
    /// Which kinds of run the Dag allows; `None` for all.
    pub allowed_run_types: Option<Vec<String>>,
}

impl DueDag {
    /// Whether the Dag allows runs by its timetable.
    pub fn allows_scheduled(&self) -> bool {
        self.allowed_run_types
            .as_ref()
            .is_none_or(|types| types.iter().any(|kind| kind == RunType::Scheduled.as_str()))
    }
}

/// The columns `dag.next_dagrun*`; all empty when there is no next run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NextRun {
    /// `next_dagrun`.
    pub logical_date: Option<DateTime<Utc>>,
    /// `next_dagrun_data_interval_start` and `_end`.
    pub data_interval: Option<(DateTime<Utc>, DateTime<Utc>)>,
    /// `next_dagrun_create_after`.
    pub run_after: Option<DateTime<Utc>>,
    /// `next_dagrun_partition_key`.
    pub partition_key: Option<String>,
    /// `next_dagrun_partition_date`.
    pub partition_date: Option<DateTime<Utc>>,
}

/// Finds and locks Dags that need a run: those whose time has come, and those in `asset_ready`.
///
/// Paused and stale Dags, those that do not import and those at their limit are left out, as are those that another
/// scheduler holds.
///
/// # Errors
/// As any statement.
pub async fn dags_needing_runs<C: Conn>(
    tx: &C,
    asset_ready: &[DagId],
    limit: i64,
) -> Result<Vec<DueDag>, StoreError> {
    let dialect = tx.dialect();
    let sql = tx
        .sql(
            "SELECT dag_id, next_dagrun, next_dagrun_data_interval_start, next_dagrun_data_interval_end, \
             next_dagrun_create_after, next_dagrun_partition_key, next_dagrun_partition_date, \
             timetable_partitioned, max_active_runs, allowed_run_types FROM dag \
             WHERE is_paused = false AND is_stale = false AND has_import_errors = false \
             AND exceeds_max_non_backfill = false AND (next_dagrun_create_after <= ",
        )
        .push(db_now(dialect))
        .push(" OR dag_id IN (?)) ORDER BY next_dagrun_create_after LIMIT ?")
        .push(dialect.pg(" FOR NO KEY UPDATE OF dag SKIP LOCKED"))
        .bind_list(asset_ready)
        .bind(limit);
    tx.all(sql).await?.iter().map(due_dag).collect()
}

fn due_dag(row: &Row) -> Result<DueDag, StoreError> {
    let start = row.time_opt("next_dagrun_data_interval_start")?;
    let end = row.time_opt("next_dagrun_data_interval_end")?;
    let allowed = match row.json("allowed_run_types")? {
        Value::Array(types) => {
            Some(types.iter().filter_map(|kind| kind.as_str().map(str::to_owned)).collect())
        }
        _ => None,
    };
    Ok(DueDag {
        dag_id: row.id("dag_id")?,
        next: NextRun {
            logical_date: row.time_opt("next_dagrun")?,
            data_interval: start.zip(end),
            run_after: row.time_opt("next_dagrun_create_after")?,
            partition_key: row.text_opt("next_dagrun_partition_key")?,
            partition_date: row.time_opt("next_dagrun_partition_date")?,
        },
        partitioned: row.bool("timetable_partitioned")?,
        max_active_runs: row.int_opt("max_active_runs")?.unwrap_or(0),
        allowed_run_types: allowed,
    })
}

/// The next moment, after now, at which a Dag needs a run by its timetable or a queued run may start. `None` if nothing is
/// planned.
///
/// # Errors
/// As any statement.
pub async fn next_due<C: Conn>(db: &C) -> Result<Option<DateTime<Utc>>, StoreError> {
    let now = db_now(db.dialect());
    let sql = db.sql(&format!(
        "SELECT min(at) AS at FROM (\
         SELECT min(next_dagrun_create_after) AS at FROM dag WHERE is_paused = false AND is_stale = false \
         AND has_import_errors = false AND exceeds_max_non_backfill = false AND next_dagrun_create_after > {now} \
         UNION ALL SELECT min(run_after) AS at FROM dag_run WHERE state = 'queued' AND run_after > {now}) AS planned"
    ));
    Ok(db.one(sql).await?.map(|row| row.time_opt("at")).transpose()?.flatten())
}

/// Writes when the next run of each Dag is.
///
/// # Errors
/// As any statement.
pub async fn set_next_runs<C: Conn>(tx: &C, next: &[(DagId, NextRun)]) -> Result<(), StoreError> {
    const TEXT: &str = "UPDATE dag SET next_dagrun = v.column2, next_dagrun_data_interval_start = v.column3, \
         next_dagrun_data_interval_end = v.column4, next_dagrun_create_after = v.column5, \
         next_dagrun_partition_key = v.column6, next_dagrun_partition_date = v.column7 \
         FROM (VALUES ?) AS v WHERE dag.dag_id = v.column1";
    for chunk in next.chunks(rows_per_statement(7)) {
        let rows = chunk.iter().map(|(dag_id, next)| -> Vec<Param> {
            vec![
                dag_id.into(),
                next.logical_date.into(),
                next.data_interval.map(|interval| interval.0).into(),
                next.data_interval.map(|interval| interval.1).into(),
                next.run_after.into(),
                next.partition_key.clone().into(),
                next.partition_date.into(),
            ]
        });
        tx.exec(tx.sql(TEXT).bind_rows(rows)).await?;
    }
    Ok(())
}

/// A run that exists already with the logical date of a Dag's next run.
#[derive(Clone, Debug)]
pub struct ExistingRun {
    /// The Dag.
    pub dag_id: DagId,
    /// The run's times, in the form of a next run.
    pub run: NextRun,
}

/// Runs that have the logical date that the next run of their Dag is to have.
///
/// # Errors
/// As any statement.
pub async fn existing_runs<C: Conn>(tx: &C, due: &[DueDag]) -> Result<Vec<ExistingRun>, StoreError> {
    let wanted: Vec<Vec<Param>> = due
        .iter()
        .filter_map(|dag| dag.next.logical_date.map(|date| vec![(&dag.dag_id).into(), date.into()]))
        .collect();
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let sql = tx
        .sql(
            "SELECT dag_id, logical_date, data_interval_start, data_interval_end, run_after, partition_key, \
             partition_date FROM dag_run WHERE (dag_id, logical_date) IN (VALUES ?)",
        )
        .bind_rows(wanted);
    tx.all(sql)
        .await?
        .iter()
        .map(|row| {
            let start = row.time_opt("data_interval_start")?;
            let end = row.time_opt("data_interval_end")?;
            Ok(ExistingRun {
                dag_id: row.id("dag_id")?,
                run: NextRun {
                    logical_date: row.time_opt("logical_date")?,
                    data_interval: start.zip(end),
                    run_after: row.time_opt("run_after")?,
                    partition_key: row.text_opt("partition_key")?,
                    partition_date: row.time_opt("partition_date")?,
                },
            })
        })
        .collect()
}
