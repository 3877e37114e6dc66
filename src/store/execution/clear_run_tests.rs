//! Clearing a run, with and without newer versions of its Dag.

use serde_json::{Value, json};
use slipstream_core::state::{RunState, TaskState};
use uuid::Uuid;

use super::Rerun;
use super::clear_run::{Rules, clear};
use crate::store::dag_bag::DagBag;
use crate::store::testing::{self, NewRun, NewTi, first, on_each_database};
use crate::store::{Conn, Db};

/// A version of the Dag `d` with these tasks.
async fn version(db: &Db, tasks: &[&str], more: Value) -> Uuid {
    let task = |id: &&str| json!({"__type": "operator", "__var": {"task_id": id, "task_type": "T"}});
    let tasks: Vec<Value> = tasks.iter().map(task).collect();
    let timetable = json!({"__type": "airflow.timetables.simple.NullTimetable", "__var": {}});
    let mut dag = json!({"dag_id": "d", "tasks": tasks, "timetable": timetable, "timezone": "UTC"});
    dag.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    testing::serialized_dag(db, "d", dag).await
}

/// A run that has ended, of a version with `a` and `gone`; the Dag of today has `a` and `new`.
async fn ended_run(db: &Db, more: Value) -> (Uuid, Uuid) {
    testing::dag(db, "d").await;
    let old = version(db, &["a", "gone"], json!({})).await;
    NewRun { state: RunState::Success, ..NewRun::new("d", "r") }.insert(db).await;
    for task in ["a", "gone"] {
        NewTi::new("d", "r", task).state(TaskState::Success).insert(db).await;
    }
    db.exec(db.sql("UPDATE task_instance SET dag_version_id = ?").bind(old)).await.unwrap();
    let run = db.sql("UPDATE dag_run SET created_dag_version_id = ?, bundle_version = 'b1'").bind(old);
    db.exec(run).await.unwrap();
    db.exec(db.sql("UPDATE dag SET bundle_version = 'b2'")).await.unwrap();
    (old, version(db, &["a", "new"], more).await)
}

async fn clear_it(db: &Db, rerun: Rerun) {
    let rules = Rules { dags: &DagBag::default(), rerun, unixname: "user" };
    clear(db, &"d".into(), &"r".into(), rules).await.unwrap();
}

async fn tasks(db: &Db) -> Vec<(String, Option<TaskState>, Uuid)> {
    let sql = db.sql("SELECT task_id, state, dag_version_id FROM task_instance ORDER BY task_id");
    let rows = db.all(sql).await.unwrap();
    let read = |row: &crate::store::Row| {
        (
            row.text("task_id").unwrap(),
            row.state_opt("state").unwrap(),
            row.uuid_opt("dag_version_id").unwrap().unwrap(),
        )
    };
    rows.iter().map(read).collect()
}

async fn run_goes_by(db: &Db) -> (Uuid, String) {
    let row = first(db, "SELECT created_dag_version_id, bundle_version FROM dag_run").await;
    (row.uuid("created_dag_version_id").unwrap(), row.text("bundle_version").unwrap())
}

#[test]
fn a_cleared_run_keeps_its_version_unless_told_otherwise() {
    on_each_database(async |db| {
        let (old, _) = ended_run(db, json!({})).await;
        clear_it(db, Rerun::OwnVersion).await;
        assert_eq!(tasks(db).await, [("a".into(), None, old), ("gone".into(), None, old)]);
        assert_eq!(run_goes_by(db).await, (old, "b1".into()));
    });
}

#[test]
fn a_cleared_run_that_follows_its_dag_gets_the_tasks_of_today() {
    on_each_database(async |db| {
        let (_, new) = ended_run(db, json!({})).await;
        clear_it(db, Rerun::LatestVersion).await;
        let expected = [
            ("a".into(), None, new),
            ("gone".into(), Some(TaskState::Removed), new),
            ("new".into(), None, new),
        ];
        assert_eq!(tasks(db).await, expected);
        assert_eq!(run_goes_by(db).await, (new, "b2".into()));
    });
}

#[test]
fn the_dag_has_the_first_word_about_the_version_of_its_cleared_runs() {
    on_each_database(async |db| {
        let (old, _) = ended_run(db, json!({"rerun_with_latest_version": false})).await;
        clear_it(db, Rerun::LatestVersion).await;
        assert_eq!(run_goes_by(db).await, (old, "b1".into()));
    });
}
