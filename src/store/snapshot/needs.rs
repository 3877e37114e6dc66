//! What only some runs need: the previous run, decisions of branches, lengths of mapped tasks, times of reschedules.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use serde_json::Value;
use slipstream_core::ids::{MapIndex, TaskId};
use slipstream_core::run::{
    Loaded, Needs, PreviousRun, PreviousRunKind, PreviousRunNeed, RunFacts, SkipVerdict,
};
use uuid::Uuid;

use crate::store::{Conn, Sql, StoreError};

/// Loads what `needs` names; makes no query for what it does not.
///
/// # Errors
/// As any statement.
pub async fn load_needs<C: Conn>(conn: &C, run: &RunFacts, needs: &Needs) -> Result<Loaded, StoreError> {
    let mut loaded = Loaded::default();
    if let Some(need) = &needs.previous_run {
        loaded.previous_run = previous_run(conn, run, need).await?;
        loaded.ever_ran = ever_ran(conn, run, &need.ever_ran).await?;
    }
    if !needs.skips.is_empty() {
        loaded.skips = skips(conn, run, &needs.skips).await?;
    }
    if !needs.map_lengths.is_empty() {
        let sql = of_run(
            conn,
            run,
            "SELECT task_id, length AS n FROM task_map WHERE dag_id = ? AND run_id = ? AND map_index < 0",
        )
        .push(" AND task_id IN (?)")
        .bind_list(&needs.map_lengths);
        loaded.map_lengths = counts(conn, sql).await?;
    }
    if !needs.result_counts.is_empty() {
        let sql = of_run(
            conn,
            run,
            "SELECT task_id, count(*) AS n FROM xcom WHERE dag_id = ? AND run_id = ? AND key = 'return_value' AND map_index >= 0",
        )
        .push(" AND task_id IN (?) GROUP BY task_id")
        .bind_list(&needs.result_counts);
        loaded.result_counts = counts(conn, sql).await?;
    }
    if !needs.reschedules.is_empty() {
        loaded.reschedules = reschedules(conn, &needs.reschedules).await?;
    }
    Ok(loaded)
}

fn of_run<C: Conn>(conn: &C, run: &RunFacts, text: &str) -> Sql {
    conn.sql(text).bind(&run.dag_id).bind(&run.run_id)
}

async fn counts<C: Conn>(conn: &C, sql: Sql) -> Result<HashMap<TaskId, u64>, StoreError> {
    let rows = conn.all(sql).await?;
    rows.iter().map(|row| Ok((row.id("task_id")?, u64::try_from(row.int("n")?).unwrap_or(0)))).collect()
}

async fn previous_run<C: Conn>(
    conn: &C,
    run: &RunFacts,
    need: &PreviousRunNeed,
) -> Result<Option<PreviousRun>, StoreError> {
    let Some(logical_date) = run.logical_date else { return Ok(None) };
    let sql = conn
        .sql("SELECT run_id, logical_date FROM dag_run WHERE dag_id = ? AND logical_date < ?")
        .bind(&run.dag_id)
        .bind(logical_date)
        .push_if(need.kind == PreviousRunKind::NotManual, " AND run_type <> 'manual'")
        .push(" ORDER BY logical_date DESC LIMIT 1");
    let Some(found) = conn.one(sql).await? else { return Ok(None) };
    let sql = conn
        .sql("SELECT task_id, state FROM task_instance WHERE dag_id = ? AND run_id = ? AND task_id IN (?)")
        .bind(&run.dag_id)
        .bind(found.text("run_id")?)
        .bind_list(&need.tasks);
    let mut previous = PreviousRun { logical_date: found.time_opt("logical_date")?, states: HashMap::new() };
    for row in conn.all(sql).await? {
        previous.states.entry(row.id("task_id")?).or_default().push(row.state_opt("state")?);
    }
    Ok(Some(previous))
}

async fn ever_ran<C: Conn>(
    conn: &C,
    run: &RunFacts,
    tasks: &[TaskId],
) -> Result<HashSet<TaskId>, StoreError> {
    let Some(logical_date) = run.logical_date.filter(|_| !tasks.is_empty()) else {
        return Ok(HashSet::new());
    };
    let sql = conn
        .sql(
            "SELECT DISTINCT ti.task_id FROM task_instance ti JOIN dag_run dr ON dr.dag_id = ti.dag_id \
             AND dr.run_id = ti.run_id WHERE ti.dag_id = ? AND dr.logical_date < ? AND ti.task_id IN (?)",
        )
        .bind(&run.dag_id)
        .bind(logical_date)
        .bind_list(tasks);
    conn.all(sql).await?.iter().map(|row| row.id("task_id")).collect()
}

async fn skips<C: Conn>(
    conn: &C,
    run: &RunFacts,
    wanted: &[(TaskId, MapIndex)],
) -> Result<HashMap<(TaskId, MapIndex), SkipVerdict>, StoreError> {
    let tasks: HashSet<&TaskId> = wanted.iter().map(|(task, _)| task).collect();
    let sql = of_run(
        conn,
        run,
        "SELECT task_id, map_index, value FROM xcom WHERE dag_id = ? AND run_id = ? AND key = 'skipmixin_key'",
    )
    .push(" AND task_id IN (?)")
    .bind_list(tasks);
    let mut verdicts = HashMap::new();
    for row in conn.all(sql).await? {
        let value = match row.json("value")? {
            // Server code of Airflow stores JSON text as a JSON string.
            Value::String(text) => serde_json::from_str(&text).unwrap_or(Value::String(text)),
            value => value,
        };
        if let Some(verdict) = SkipVerdict::from_xcom(&value) {
            verdicts.insert((row.id("task_id")?, MapIndex(row.int32("map_index")?)), verdict);
        }
    }
    Ok(verdicts)
}

async fn reschedules<C: Conn>(conn: &C, tis: &[Uuid]) -> Result<HashMap<Uuid, DateTime<Utc>>, StoreError> {
    let mut newest = HashMap::new();
    for chunk in tis.chunks(1000) {
        let sql = conn
            .sql("SELECT ti_id, reschedule_date FROM task_reschedule WHERE ti_id IN (?) ORDER BY id")
            .bind_list(chunk.iter().copied());
        for row in conn.all(sql).await? {
            newest.insert(row.uuid("ti_id")?, row.time("reschedule_date")?);
        }
    }
    Ok(newest)
}
