//! Triggers of Dag files become rows, and stay themselves while their files change.

use chrono::Utc;
use serde_json::{Value, json};
use slipstream_core::event::Position;

use super::testing::{dag, engine, new_event, number, on, send, serialized, texts};
use crate::events::triggers::{self, About, NewExternal};
use crate::store::testing::{self, on_each_database};
use crate::store::{Conn, Db};

fn run_on(key: &str) -> Value {
    json!({"version": 1, "on": on(key), "do": {"run": {}}})
}

fn start_on(key: &str) -> Value {
    json!({"version": 1, "on": on(key), "do": {"start": {}}})
}

fn counting(key: &str, n: i64) -> Value {
    json!({"version": 1, "on": {"count": {"of": on(key), "n": n}}, "do": {"run": {}}})
}

async fn round(db: &Db) {
    engine(db).round(Utc::now()).await.unwrap();
}

async fn said(db: &Db, key: &str) {
    send(db, new_event(key, Value::Null)).await;
    round(db).await;
}

async fn runs(db: &Db) -> i64 {
    number(db, "SELECT count(*) AS n FROM dag_run").await
}

/// The file of a Dag says something new, under the same version.
async fn rewrite(db: &Db, dag_id: &str, triggers: &[Value]) {
    let data = json!({"__version": 3, "dag": serialized(dag_id, triggers, &[("t", vec![])])});
    let sql = db.sql("UPDATE serialized_dag SET data = ?, dag_hash = ? WHERE dag_id = ?");
    let hash = uuid::Uuid::now_v7().simple().to_string();
    db.exec(sql.bind(data).bind(hash).bind(dag_id)).await.unwrap();
    let sql = db.sql("UPDATE dag_version SET last_updated = ? WHERE dag_id = ?");
    db.exec(sql.bind(Utc::now()).bind(dag_id)).await.unwrap();
}

/// The file of every Dag cannot be read, as Airflow writes it down.
async fn break_files(db: &Db) {
    let dag = "UPDATE dag SET is_stale = ?, has_import_errors = ?, relative_fileloc = 'd.py', bundle_name = 'dags-folder'";
    db.exec(db.sql(dag).bind(true).bind(true)).await.unwrap();
    let row = vec![
        ("filename", "d.py".into()),
        ("bundle_name", "dags-folder".into()),
        ("stacktrace", "SyntaxError".into()),
        ("timestamp", Utc::now().into()),
    ];
    testing::insert(db, "import_error", row).await;
}

async fn mend_files(db: &Db) {
    db.exec(db.sql("DELETE FROM import_error")).await.unwrap();
    let dag = "UPDATE dag SET is_stale = ?, has_import_errors = ?";
    db.exec(db.sql(dag).bind(false).bind(false)).await.unwrap();
}

#[test]
fn triggers_whose_ids_give_the_same_name_all_work() {
    on_each_database(async |db| {
        dag(db, "etl", &[], &[("load", vec![start_on("go")])]).await;
        dag(db, "etl.load", &[run_on("go")], &[("t", vec![])]).await;
        let mut engine = engine(db);
        for _ in 0..2 {
            engine.round(Utc::now()).await.unwrap();
        }
        let names = "SELECT name || ' ' || dag_id AS t FROM slipstream_trigger ORDER BY dag_id";
        assert_eq!(texts(db, names).await, ["etl.load#0 etl", "etl.load#0@etl.load etl.load"]);
        said(db, "go").await;
        assert_eq!(runs(db).await, 1);
    });
}

#[test]
fn the_name_of_a_trigger_from_outside_is_never_that_of_one_in_a_file() {
    on_each_database(async |db| {
        dag(db, "d", &[], &[("t", vec![])]).await;
        for name in ["d:foo", "d#0"] {
            let new =
                NewExternal { name: name.to_owned(), dag_id: "d".into(), task_id: None, spec: run_on("k") };
            let error = triggers::add(db, &new, Utc::now()).await.unwrap_err().to_string();
            assert!(error.contains("neither `#` nor `:`"), "{error}");
        }
        // One that an earlier version allowed.
        let new =
            NewExternal { name: "foo".to_owned(), dag_id: "d".into(), task_id: None, spec: run_on("k") };
        triggers::add(db, &new, Utc::now()).await.unwrap();
        db.exec(db.sql("UPDATE slipstream_trigger SET name = 'clash:foo'")).await.unwrap();
        let mut named = run_on("k");
        named["name"] = "foo".into();
        dag(db, "clash", &[named], &[("t", vec![])]).await;
        dag(db, "other", &[run_on("k")], &[("t", vec![])]).await;
        said(db, "nothing").await;
        said(db, "k").await;
        assert_eq!(runs(db).await, 3);
    });
}

#[test]
fn what_the_database_refuses_of_one_dag_keeps_no_other_from_its_triggers() {
    on_each_database(async |db| {
        for (dag_id, key) in [("a", "k"), ("b", "k"), ("c", "other")] {
            dag(db, dag_id, &[run_on(key)], &[("t", vec![])]).await;
        }
        let refuses = "CREATE UNIQUE INDEX only_one_says_so ON slipstream_trigger (spec_hash)";
        db.exec(db.sql(refuses)).await.unwrap();
        round(db).await;
        said(db, "k").await;
        said(db, "other").await;
        assert_eq!(texts(db, "SELECT dag_id AS t FROM dag_run ORDER BY id").await, ["a", "c"]);
    });
}

#[test]
fn an_import_error_takes_nothing_from_a_trigger() {
    on_each_database(async |db| {
        dag(db, "d", &[counting("k", 3)], &[("t", vec![])]).await;
        round(db).await;
        said(db, "k").await;
        said(db, "k").await;
        break_files(db).await;
        round(db).await;
        assert_eq!(texts(db, "SELECT status AS t FROM slipstream_trigger").await, ["active"]);
        said(db, "k").await;
        let lines = triggers::explain(db, &About::Event(Position(3)), Utc::now()).await.unwrap();
        assert!(lines.iter().any(|line| line.contains("it has import errors")), "{lines:?}");
        mend_files(db).await;
        round(db).await;
        assert_eq!(runs(db).await, 0);
        said(db, "k").await;
        assert_eq!(runs(db).await, 1);
    });
}

#[test]
fn a_trigger_that_comes_back_as_it_was_remembers() {
    on_each_database(async |db| {
        dag(db, "d", &[counting("k", 3)], &[("t", vec![])]).await;
        round(db).await;
        said(db, "k").await;
        said(db, "k").await;
        db.exec(db.sql("UPDATE dag SET is_stale = ?").bind(true)).await.unwrap();
        let mut engine = engine(db);
        engine.round(Utc::now()).await.unwrap();
        assert_eq!(texts(db, "SELECT status AS t FROM slipstream_trigger").await, ["retired"]);
        db.exec(db.sql("UPDATE dag SET is_stale = ?").bind(false)).await.unwrap();
        engine.round(Utc::now()).await.unwrap();
        assert_eq!(texts(db, "SELECT status AS t FROM slipstream_trigger").await, ["active"]);
        assert_eq!(number(db, "SELECT from_position AS n FROM slipstream_trigger").await, 0);
        said(db, "k").await;
        assert_eq!(runs(db).await, 1);
    });
}

#[test]
fn a_trigger_without_a_name_stays_itself_when_another_is_written_above_it() {
    on_each_database(async |db| {
        dag(db, "d", &[counting("k", 3)], &[("t", vec![])]).await;
        round(db).await;
        said(db, "k").await;
        said(db, "k").await;
        rewrite(db, "d", &[counting("other", 2), counting("k", 3)]).await;
        round(db).await;
        assert_eq!(texts(db, "SELECT name AS t FROM slipstream_trigger ORDER BY id").await, ["d#0", "d#1"]);
        said(db, "k").await;
        assert_eq!(runs(db).await, 1);
        said(db, "other").await;
        // The first is changed: it begins anew, the second goes on.
        said(db, "k").await;
        rewrite(db, "d", &[counting("new", 2), counting("k", 3)]).await;
        round(db).await;
        for key in ["new", "k", "k"] {
            said(db, key).await;
        }
        assert_eq!(runs(db).await, 2);
        assert_eq!(number(db, "SELECT count(*) AS n FROM slipstream_trigger").await, 2);
    });
}
