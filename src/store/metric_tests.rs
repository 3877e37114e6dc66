//! What is counted where rows are written, and when.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};
use slipstream_core::ids::DagId;
use slipstream_core::state::{RunState, RunType, TaskState};
use uuid::Uuid;

use super::create_run::{self, NewRun, RunOptions, RunRequest, TriggeredBy};
use super::dag_bag::{CachedDag, DagBag};
use super::runs::run_id::{DoubleDot, RunIdRules};
use super::testing::{self, NewTi, at, first, insert, on_each_database, on_sqlite};
use super::{Db, deadlines, integrity, snapshot, teams};
use crate::telemetry::metrics::testing::Sent;

/// A Dag `d` of these tasks and their classes.
async fn dag(db: &Db, tasks: &[(&str, &str)], deadlines: &[Uuid]) -> Arc<CachedDag> {
    testing::dag(db, "d").await;
    let tasks: Vec<Value> = tasks
        .iter()
        .map(|(task_id, class)| json!({"__type": "operator", "__var": {"task_id": task_id, "task_type": class}}))
        .collect();
    let timetable = json!({"__type": "airflow.timetables.simple.NullTimetable", "__var": {}});
    let dag = json!({"dag_id": "d", "tasks": tasks, "timetable": timetable, "timezone": "UTC", "deadline": deadlines});
    testing::serialized_dag(db, "d", dag).await;
    let id = DagId::from("d");
    DagBag::default().latest(db, &BTreeSet::from([id.clone()])).await.unwrap()[&id].clone()
}

fn request(dag: &Arc<CachedDag>) -> RunRequest {
    let run = NewRun {
        dag_id: "d".into(),
        run_id: "r".into(),
        run_type: RunType::Manual,
        triggered_by: TriggeredBy::Timetable,
        triggering_user_name: None,
        logical_date: None,
        data_interval: None,
        run_after: at(0),
        state: RunState::Queued,
        conf: None,
        creating_job_id: None,
        backfill_id: None,
        partition_key: None,
        partition_date: None,
    };
    RunRequest { run, dag: dag.clone() }
}

fn options() -> RunOptions {
    let run_ids = RunIdRules::new(RunIdRules::DEFAULT_PATTERN, DoubleDot::Refused).unwrap();
    RunOptions { run_ids, unixname: "user".to_owned(), secrets: crate::store::secrets::Sources::default() }
}

#[test]
fn new_task_instances_are_counted_by_operator_when_they_are_committed() {
    on_each_database(async |db| {
        let dag = dag(db, &[("a", "T"), ("b", "T"), ("c", "U")], &[]).await;
        let sent = Sent::listen();
        let tx = db.begin().await.unwrap();
        create_run::create(&tx, vec![request(&dag)], &options(), at(0)).await.unwrap();
        tx.rollback().await.unwrap();
        assert_eq!(sent.take(""), [""; 0]);
        let tx = db.begin().await.unwrap();
        create_run::create(&tx, vec![request(&dag)], &options(), at(0)).await.unwrap();
        assert_eq!(sent.take(""), [""; 0]);
        tx.commit().await.unwrap();
        let expected = [
            "task_instance_created_T:2|c|#dag_id:d,run_type:manual",
            "task_instance_created:2|c|#dag_id:d,run_type:manual,task_type:T",
            "task_instance_created_U:1|c|#dag_id:d,run_type:manual",
            "task_instance_created:1|c|#dag_id:d,run_type:manual,task_type:U",
        ];
        assert_eq!(sent.take(""), expected);
    });
}

#[test]
fn deadlines_are_counted_when_they_are_made_and_when_they_are_met() {
    on_each_database(async |db| {
        let alert = Uuid::now_v7();
        let dag = dag(db, &[("a", "T")], &[alert]).await;
        let values = vec![
            ("id", alert.into()),
            ("created_at", at(0).into()),
            ("serialized_dag_id", dag.serialized_id.into()),
            ("reference", json!({"reference_type": "DagRunQueuedAtDeadline"}).into()),
            ("interval", json!(60.0).into()),
            ("callback_def", json!({"__classname__": "x.AsyncCallback", "__data__": {"path": "p"}}).into()),
        ];
        insert(db, "deadline_alert", values).await;
        let sent = Sent::listen();
        let tx = db.begin().await.unwrap();
        create_run::create(&tx, vec![request(&dag)], &options(), at(0)).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(sent.take("deadline"), ["deadline_alerts.deadline_created:1|c|#dag_id:d"]);
        let id = first(db, "SELECT id FROM dag_run").await.int("id").unwrap();
        let tx = db.begin().await.unwrap();
        let run = snapshot::load_run(&tx, id).await.unwrap().unwrap();
        assert_eq!(deadlines::prune(&tx, &run, at(0)).await.unwrap(), 1);
        tx.commit().await.unwrap();
        assert_eq!(sent.take("deadline"), ["deadline_alerts.deadline_not_missed:1|c|#dag_id:d,dagrun_id:r"]);
    });
}

#[test]
fn tasks_that_left_their_dag_or_came_back_are_counted_in_runs_that_have_ended() {
    on_each_database(async |db| {
        let dag = dag(db, &[("back", "T"), ("stays", "T")], &[]).await;
        let run = testing::NewRun { state: RunState::Failed, ..testing::NewRun::new("d", "r") };
        let id = run.insert(db).await;
        NewTi::new("d", "r", "back").state(TaskState::Removed).insert(db).await;
        NewTi::new("d", "r", "stays").state(TaskState::Failed).insert(db).await;
        NewTi::new("d", "r", "gone").state(TaskState::Failed).insert(db).await;
        let sent = Sent::listen();
        let verify = async || {
            let tx = db.begin().await.unwrap();
            let run = snapshot::load_run(&tx, id).await.unwrap().unwrap();
            integrity::bring_in_line(&tx, &run, &dag, "user", at(0)).await.unwrap();
            tx.commit().await.unwrap();
        };
        verify().await;
        let expected = [
            "task_removed_from_dag.d:1|c|#run_type:manual",
            "task_removed_from_dag:1|c|#dag_id:d,run_type:manual",
            "task_restored_to_dag.d:1|c|#run_type:manual",
            "task_restored_to_dag:1|c|#dag_id:d,run_type:manual",
        ];
        assert_eq!(sent.take(""), expected);
        verify().await;
        assert_eq!(sent.take(""), [""; 0]);
    });
}

#[test]
fn the_bag_of_the_scheduler_counts_what_it_had_and_what_it_had_to_read() {
    on_sqlite(async |db| {
        dag(db, &[("a", "T")], &[]).await;
        let sent = Sent::listen();
        let bag = DagBag::of_scheduler();
        let ids = BTreeSet::from([DagId::from("d")]);
        bag.latest(db, &ids).await.unwrap();
        assert_eq!(sent.take(""), ["scheduler.dag_bag.cache_miss:1|c", "scheduler.dag_bag.cache_size:1|g"]);
        bag.latest(db, &ids).await.unwrap();
        assert_eq!(sent.take(""), ["scheduler.dag_bag.cache_hit:1|c"]);
        DagBag::default().latest(db, &ids).await.unwrap();
        assert_eq!(sent.take(""), [""; 0]);
    });
}

#[test]
fn dags_have_the_team_of_their_bundle_and_pools_their_own() {
    on_each_database(async |db| {
        testing::dag(db, "d").await;
        testing::team(db, "blue").await;
        let teams = teams::all(db).await.unwrap();
        let of = |teams: &std::collections::HashMap<String, String>, name: &str| teams.get(name).cloned();
        assert_eq!(of(&teams.dags, "d"), Some("blue".to_owned()));
        assert_eq!(of(&teams.pools, "default_pool"), Some("blue".to_owned()));
        assert_eq!(of(&teams.bundles, "dags-folder"), Some("blue".to_owned()));
    });
}
