//! What is written to the dag run itself.

use chrono::{DateTime, Utc};
use slipstream_core::ids::DagId;
use slipstream_core::state::RunState;

use crate::store::audit_log::{self, LogEntry};
use crate::store::{Conn, StoreError, Tx};

/// Notes that these runs were examined: `last_scheduling_decision` and by whom.
///
/// # Errors
/// As any statement.
pub async fn mark_examined(tx: &Tx, runs: &[i64], job_id: i64, now: DateTime<Utc>) -> Result<(), StoreError> {
    let sql = tx
        .sql("UPDATE dag_run SET last_scheduling_decision = ?, scheduled_by_job_id = ?, updated_at = ? WHERE id IN (?)")
        .bind(now)
        .bind(job_id)
        .bind(now)
        .bind_list(runs.iter().copied());
    tx.exec(sql).await?;
    Ok(())
}

/// Ends a run that is still running; returns whether it did.
///
/// # Errors
/// As any statement.
pub async fn mark_finished(
    tx: &Tx,
    run: i64,
    state: RunState,
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let sql = tx
        .sql("UPDATE dag_run SET state = ?, end_date = ?, updated_at = ? WHERE id = ? AND state = 'running'")
        .bind(state)
        .bind(now)
        .bind(now)
        .bind(run);
    Ok(tx.exec(sql).await? > 0)
}

/// Pauses a Dag whose last `most` runs all failed (`DagRun._check_last_n_dagruns_failed`); returns whether it did.
///
/// # Errors
/// As any statement.
pub async fn pause_after_failures(
    tx: &Tx,
    dag_id: &DagId,
    most: i64,
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    if most <= 0 {
        return Ok(false);
    }
    let sql = tx
        .sql("SELECT state FROM dag_run WHERE dag_id = ? ORDER BY run_after DESC, id DESC LIMIT ?")
        .bind(dag_id)
        .bind(most);
    let states = tx
        .all(sql)
        .await?
        .iter()
        .map(|row| row.state_opt::<RunState>("state"))
        .collect::<Result<Vec<_>, _>>()?;
    let all_failed = states.iter().all(|state| *state == Some(RunState::Failed));
    if (states.len() as i64) < most || !all_failed {
        return Ok(false);
    }
    tx.exec(tx.sql("UPDATE dag SET is_paused = ? WHERE dag_id = ?").bind(true).bind(dag_id)).await?;
    tracing::info!(%dag_id, "Pausing the Dag: its last {most} runs failed");
    let entry = LogEntry {
        event: "paused".to_owned(),
        dag_id: dag_id.clone(),
        task_id: None,
        run_id: None,
        map_index: None,
        try_number: None,
        logical_date: None,
        owner: Some("scheduler".to_owned()),
        owner_display_name: Some("Scheduler".to_owned()),
        extra: Some(format!("[('dag_id', '{dag_id}'), ('is_paused', True)]")),
    };
    audit_log::write(tx, now, &[entry]).await?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::{self, NewRun, at, on_each_database};

    #[test]
    fn each_failure_that_is_one_too_many_pauses_the_dag_and_is_noted() {
        on_each_database(async |db| {
            testing::dag(db, "d").await;
            NewRun::new("d", "r").insert(db).await;
            db.exec(db.sql("UPDATE dag_run SET state = 'failed'")).await.unwrap();
            for _ in 0..2 {
                let tx = db.begin().await.unwrap();
                assert!(pause_after_failures(&tx, &"d".into(), 1, at(1)).await.unwrap());
                tx.commit().await.unwrap();
            }
            assert_eq!(testing::count(db, "dag WHERE is_paused").await, 1);
            assert_eq!(testing::count(db, "log WHERE event = 'paused'").await, 2);
        });
    }
}
