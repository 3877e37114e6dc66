//! Dags whose next run is due (`DagModel.dags_needing_dagruns`), and the fields of `dag` that say when the next one is.

use chrono::{DateTime, Utc};
use serde_json::Value;

use slipstream_core::ids::DagId;
use slipstream_core::schedule::{NextRunFacts, RunFacts};
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
    pub next: NextRunFacts,
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
        .push(tx.lock(" FOR NO KEY UPDATE OF dag SKIP LOCKED"))
        .bind_list(asset_ready)
        .bind(limit);
    tx.all(sql).await?.iter().map(due_dag).collect()
}

/// The columns `next_dagrun…` of a row of `dag`.
pub(in crate::store) fn next_run(row: &Row) -> Result<NextRunFacts, StoreError> {
    Ok(NextRunFacts {
        next_dagrun: row.time_opt("next_dagrun")?,
        create_after: row.time_opt("next_dagrun_create_after")?,
        data_interval_start: row.time_opt("next_dagrun_data_interval_start")?,
        data_interval_end: row.time_opt("next_dagrun_data_interval_end")?,
        partition_key: row.text_opt("next_dagrun_partition_key")?,
        partition_date: row.time_opt("next_dagrun_partition_date")?,
    })
}

fn due_dag(row: &Row) -> Result<DueDag, StoreError> {
    let allowed = match row.json("allowed_run_types")? {
        Value::Array(types) => {
            Some(types.iter().filter_map(|kind| kind.as_str().map(str::to_owned)).collect())
        }
        _ => None,
    };
    Ok(DueDag {
        dag_id: row.id("dag_id")?,
        next: next_run(row)?,
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
pub async fn set_next_runs<C: Conn>(tx: &C, next: &[(DagId, NextRunFacts)]) -> Result<(), StoreError> {
    const TEXT: &str = "UPDATE dag SET next_dagrun = v.column2, next_dagrun_data_interval_start = v.column3, \
         next_dagrun_data_interval_end = v.column4, next_dagrun_create_after = v.column5, \
         next_dagrun_partition_key = v.column6, next_dagrun_partition_date = v.column7 \
         FROM (VALUES ?) AS v WHERE dag.dag_id = v.column1";
    for chunk in next.chunks(rows_per_statement(7)) {
        let rows = chunk.iter().map(|(dag_id, next)| -> Vec<Param> {
            vec![
                dag_id.into(),
                next.next_dagrun.into(),
                next.data_interval_start.into(),
                next.data_interval_end.into(),
                next.create_after.into(),
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
    /// What decides the run after it.
    pub run: RunFacts,
}

/// Runs that have the logical date that the next run of their Dag is to have.
///
/// # Errors
/// As any statement.
pub async fn existing_runs<C: Conn>(tx: &C, due: &[DueDag]) -> Result<Vec<ExistingRun>, StoreError> {
    let wanted: Vec<Vec<Param>> = due
        .iter()
        .filter_map(|dag| dag.next.next_dagrun.map(|date| vec![(&dag.dag_id).into(), date.into()]))
        .collect();
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let sql = tx
        .sql(
            "SELECT dag_id, data_interval_start, data_interval_end, run_after, partition_key FROM dag_run WHERE (dag_id, logical_date) IN (VALUES ?)",
        )
        .bind_rows(wanted);
    tx.all(sql)
        .await?
        .iter()
        .map(|row| {
            Ok(ExistingRun {
                dag_id: row.id("dag_id")?,
                run: RunFacts {
                    run_after: row.time("run_after")?,
                    data_interval_start: row.time_opt("data_interval_start")?,
                    data_interval_end: row.time_opt("data_interval_end")?,
                    partition_key: row.text_opt("partition_key")?,
                },
            })
        })
        .collect()
}

/// Marks Dags that have reached their limit of active runs, so that they are not searched again before a run ends.
///
/// # Errors
/// As any statement.
pub async fn set_full<C: Conn>(tx: &C, dag_ids: &[DagId]) -> Result<(), StoreError> {
    if dag_ids.is_empty() {
        return Ok(());
    }
    let sql = tx.sql("UPDATE dag SET exceeds_max_non_backfill = true WHERE dag_id IN (?)").bind_list(dag_ids);
    tx.exec(sql).await?;
    Ok(())
}
