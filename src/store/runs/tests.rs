//! The statements about runs, on every database that can be reached.

use chrono::{DateTime, TimeDelta, Utc};

use slipstream_core::ids::{DagId, RunId};
use slipstream_core::schedule::NextRunFacts;
use slipstream_core::state::{RunState, RunType};

use super::due::{DueDag, dags_needing_runs, existing_runs, next_due, set_next_runs};
use super::insert_run::{NewRun, RunRow, TriggeredBy, insert_runs};
use super::queued::{lock_backfills, queued_runs, running_runs, start_runs};
use super::testing::TestDb;
use super::{active, carrier};
use crate::store::Conn;

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn new_run(dag: &str, run: &str, run_type: RunType, run_after: DateTime<Utc>) -> NewRun {
    NewRun {
        dag_id: dag.into(),
        run_id: run.into(),
        run_type,
        triggered_by: TriggeredBy::Timetable,
        triggering_user_name: None,
        logical_date: Some(run_after),
        data_interval: Some((run_after, run_after)),
        run_after,
        state: RunState::Queued,
        conf: None,
        creating_job_id: Some(3),
        backfill_id: None,
        partition_key: None,
        partition_date: None,
    }
}

async fn insert(test: &TestDb, runs: Vec<NewRun>) -> Vec<Option<i64>> {
    let mut rows = Vec::new();
    for run in runs {
        let dag_version_id = test.version(run.dag_id.as_str()).await;
        let context_carrier = carrier::fresh(None);
        rows.push(RunRow { run, bundle_version: None, dag_version_id, context_carrier });
    }
    let ids = insert_runs(&test.db, &rows, Utc::now()).await.unwrap();
    rows.iter().map(|row| ids.get(&(row.run.dag_id.clone(), row.run.run_id.clone())).copied()).collect()
}

async fn set_state(test: &TestDb, run: &str, state: &str) {
    let sql = test.db.sql("UPDATE dag_run SET state = ? WHERE run_id = ?").bind(state).bind(run);
    test.db.exec(sql).await.unwrap();
}

#[tokio::test]
async fn a_run_that_another_transaction_made_does_not_disturb_the_others() {
    for test in TestDb::all().await {
        test.dag("a", &[]).await;
        let day = at("2026-01-01T00:00:00Z");
        let first = insert(&test, vec![new_run("a", "one", RunType::Scheduled, day)]).await;
        assert!(first[0].is_some());
        let again = insert(
            &test,
            vec![
                new_run("a", "other_name_same_date", RunType::Scheduled, day),
                new_run("a", "two", RunType::Scheduled, day + TimeDelta::days(1)),
            ],
        )
        .await;
        assert!(again[0].is_none() && again[1].is_some());
        test.drop().await;
    }
}

#[tokio::test]
async fn due_dags_are_found_by_the_databases_clock_and_only_those_that_may_run() {
    for test in TestDb::all().await {
        let past = ("next_dagrun_create_after", "'2026-01-01 00:00:00.000000+00:00'");
        let past = match test.db.dialect() {
            crate::store::Dialect::Postgres => past,
            crate::store::Dialect::Sqlite => (past.0, "'2026-01-01 00:00:00.000000'"),
        };
        let future = match test.db.dialect() {
            crate::store::Dialect::Postgres => "'2126-01-01 00:00:00+00:00'",
            crate::store::Dialect::Sqlite => "'2126-01-01 00:00:00.000000'",
        };
        test.dag("due", &[past]).await;
        test.dag("paused", &[past, ("is_paused", "true")]).await;
        test.dag("stale", &[past, ("is_stale", "true")]).await;
        test.dag("broken", &[past, ("has_import_errors", "true")]).await;
        test.dag("full", &[past, ("exceeds_max_non_backfill", "true")]).await;
        test.dag("later", &[("next_dagrun_create_after", future)]).await;
        test.dag("assets", &[]).await;
        let tx = test.db.begin().await.unwrap();
        let due = dags_needing_runs(&tx, &["assets".into()], 10).await.unwrap();
        let mut names: Vec<String> = due.iter().map(|dag| dag.dag_id.to_string()).collect();
        names.sort();
        assert_eq!(names, ["assets", "due"]);
        tx.rollback().await.unwrap();
        assert_eq!(next_due(&test.db).await.unwrap(), Some(at("2126-01-01T00:00:00Z")));
        test.drop().await;
    }
}

#[tokio::test]
async fn the_next_runs_of_many_dags_are_written_in_one_statement() {
    for test in TestDb::all().await {
        let next = NextRunFacts {
            next_dagrun: Some(at("2026-01-01T00:00:00Z")),
            create_after: Some(at("2026-01-02T00:00:00.000120Z")),
            data_interval_start: Some(at("2026-01-01T00:00:00Z")),
            data_interval_end: Some(at("2026-01-02T00:00:00Z")),
            partition_key: None,
            partition_date: None,
        };
        test.dag("a", &[]).await;
        test.dag("b", &[]).await;
        let both = [("a".into(), next.clone()), ("b".into(), next.clone())];
        set_next_runs(&test.db, &both).await.unwrap();
        set_next_runs(&test.db, &[("b".into(), NextRunFacts::default())]).await.unwrap();
        let due = dags_needing_runs(&test.db, &["b".into()], 10).await.unwrap();
        let of =
            |name: &str| -> DueDag { due.iter().find(|dag| dag.dag_id.as_str() == name).cloned().unwrap() };
        assert_eq!(of("a").next, next);
        assert_eq!(of("b").next, NextRunFacts::default());
        insert(&test, vec![new_run("a", "x", RunType::Manual, at("2026-01-01T00:00:00Z"))]).await;
        let existing = existing_runs(&test.db, &due).await.unwrap();
        assert_eq!(existing.len(), 1);
        assert_eq!(existing[0].dag_id.as_str(), "a");
        test.drop().await;
    }
}

#[tokio::test]
async fn the_flag_of_a_full_dag_follows_its_active_runs_without_backfills() {
    for test in TestDb::all().await {
        test.dag("a", &[("max_active_runs", "2")]).await;
        let day = |n| at("2026-01-01T00:00:00Z") + TimeDelta::days(n);
        insert(
            &test,
            vec![
                new_run("a", "one", RunType::Scheduled, day(0)),
                new_run("a", "two", RunType::Manual, day(1)),
                new_run("a", "three", RunType::Backfill, day(2)),
            ],
        )
        .await;
        let dag: DagId = "a".into();
        let counts = active::active_runs(&test.db, [&dag]).await.unwrap();
        assert_eq!(counts.get(&dag), Some(&2));
        let full = async || {
            active::recompute_exceeds(&test.db, &dag).await.unwrap();
            let row = test.db.one(test.db.sql("SELECT exceeds_max_non_backfill AS full FROM dag")).await;
            row.unwrap().unwrap().bool("full").unwrap()
        };
        assert!(full().await);
        set_state(&test, "one", "success").await;
        assert!(!full().await);
        test.drop().await;
    }
}

#[tokio::test]
async fn queued_runs_come_before_those_of_backfills_and_paused_backfills_wait() {
    for test in TestDb::all().await {
        test.dag("a", &[("max_active_runs", "1")]).await;
        test.dag("b", &[("is_paused", "true")]).await;
        let day = |n| at("2026-01-01T00:00:00Z") + TimeDelta::days(n);
        let ids = insert(
            &test,
            vec![
                new_run("a", "back", RunType::Backfill, day(0)),
                new_run("a", "held", RunType::Backfill, day(1)),
                new_run("a", "late", RunType::Scheduled, day(3)),
                new_run("a", "early", RunType::Scheduled, day(2)),
                new_run("b", "paused", RunType::Scheduled, day(2)),
                new_run("a", "future", RunType::Manual, Utc::now() + TimeDelta::hours(1)),
            ],
        )
        .await;
        let now = match test.db.dialect() {
            crate::store::Dialect::Postgres => "now()",
            crate::store::Dialect::Sqlite => "'2026-01-01 00:00:00.000000'",
        };
        for (id, paused) in [(1, "false"), (2, "true")] {
            test.run(&[&format!(
                "INSERT INTO backfill (id, dag_id, from_date, to_date, dag_run_conf, is_paused, reprocess_behavior, \
                 max_active_runs, created_at, updated_at) \
                 VALUES ({id}, 'a', {now}, {now}, '{{}}', {paused}, 'none', 1, {now}, {now})"
            )])
            .await;
        }
        for (run, backfill) in [(ids[0].unwrap(), 1), (ids[1].unwrap(), 2)] {
            test.run(&[
                &format!("UPDATE dag_run SET backfill_id = {backfill}, queued_at = {now} WHERE id = {run}"),
                &format!(
                    "INSERT INTO backfill_dag_run (backfill_id, dag_run_id, logical_date, sort_ordinal) \
                     VALUES ({backfill}, {run}, {now}, 1)"
                ),
            ])
            .await;
        }
        let tx = test.db.begin().await.unwrap();
        let runs = queued_runs(&tx, &std::collections::BTreeSet::new(), 20).await.unwrap();
        let names: Vec<&str> = runs.iter().map(|run| run.run_id.as_str()).collect();
        assert_eq!(names, ["early", "late", "back"]);
        assert_eq!(lock_backfills(&tx, &runs).await.unwrap(), [1].into());
        assert!(running_runs(&tx, &runs).await.unwrap().is_empty());
        assert_eq!(start_runs(&tx, &[runs[0].id], Utc::now()).await.unwrap(), 1);
        let left = queued_runs(&tx, &std::collections::BTreeSet::new(), 20).await.unwrap();
        assert_eq!(left.iter().map(|run| run.run_id.clone()).collect::<Vec<RunId>>(), ["back".into()]);
        tx.commit().await.unwrap();
        test.drop().await;
    }
}

#[tokio::test]
async fn on_sqlite_runs_of_a_backfill_wait_while_more_of_them_are_being_made() {
    for test in TestDb::all().await {
        test.dag("a", &[]).await;
        let day = |n| at("2026-01-01T00:00:00Z") + TimeDelta::days(n);
        let run = |n| new_run("a", &format!("back{n}"), RunType::Backfill, day(n));
        insert(&test, vec![run(0), run(1), new_run("a", "manual", RunType::Manual, day(2))]).await;
        let (db, long_ago) = (&test.db, at("2026-01-01T00:00:00Z"));
        let values = "1, 'a', '2026-01-01', '2026-01-01', '{}', false, 'none', 5, '2026-01-01', '2026-01-01'";
        test.run(&[
            &format!(
                "INSERT INTO backfill (id, dag_id, from_date, to_date, dag_run_conf, is_paused, reprocess_behavior, \
                 max_active_runs, created_at, updated_at) VALUES ({values})"
            ),
            "UPDATE dag_run SET backfill_id = 1 WHERE run_type = 'backfill'",
        ])
        .await;
        let queued = async |run: &str, at: DateTime<Utc>| {
            let sql = db.sql("UPDATE dag_run SET queued_at = ? WHERE run_id = ?").bind(at).bind(run);
            db.exec(sql).await.unwrap();
            queued_runs(db, &std::collections::BTreeSet::new(), 20).await.unwrap().len()
        };
        queued("back0", long_ago).await;
        let waits = if db.dialect() == crate::store::Dialect::Sqlite { 2 } else { 0 };
        assert_eq!(queued("back1", Utc::now()).await, 3 - waits);
        assert_eq!(queued("back1", Utc::now() - TimeDelta::seconds(2)).await, 3);
        test.drop().await;
    }
}
