//! The same database, once through Airflow's own code and once through ours.

use std::path::Path;
use std::process::Command;

use chrono::Utc;
use serde_json::Value;

use super::{CreateOptions, CustomAnswers, More, run_once};
use crate::scheduler::duties::missed_deadlines;
use crate::store::Conn;
use crate::store::create_run::RunOptions;
use crate::store::dag_bag::DagBag;
use crate::store::execution::MultiTeam;
use crate::store::runs::run_id::{DoubleDot, RunIdRules};
use crate::store::runs::testing::{Place, TestDb, python};

const DAGS: &str = include_str!("differential/dags.py");
const SEED: &str = include_str!("differential/seed.py");
const STOCK: &str = include_str!("differential/stock.py");
const DUMP: &str = include_str!("differential/dump.py");
const MISS: &str = include_str!("differential/miss.py");
const DUMP_DEADLINES: &str = include_str!("differential/dump_deadlines.py");

pub(crate) fn options() -> CreateOptions {
    let run_ids = RunIdRules::new(RunIdRules::DEFAULT_PATTERN, DoubleDot::Refused).unwrap();
    let user = std::process::Command::new("id").arg("-un").output().unwrap();
    let unixname = String::from_utf8(user.stdout).unwrap().trim().to_owned();
    CreateOptions {
        runs: RunOptions { run_ids, unixname, secrets: crate::store::secrets::Sources::default() },
        job_id: 7,
        batch: 100,
        start: 0,
    }
}

fn file(test: &TestDb) -> std::path::PathBuf {
    match &test.place {
        Place::File(dir) => dir.path().join("airflow.db"),
        Place::Postgres(name) => panic!("{name} is no file"),
    }
}

fn dump(python: &Path, what: &str, test: &TestDb) -> Value {
    let out = Command::new(python).args(["-c", what]).arg(file(test)).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    serde_json::from_slice(&out.stdout).unwrap()
}

/// A database with the Dags in it; `None` without Airflow or a template.
async fn seeded() -> Option<TestDb> {
    let test = TestDb::sqlite().await?;
    let dags = tempfile::tempdir().ok()?;
    std::fs::write(dags.path().join("dags.py"), DAGS).ok()?;
    let seed = format!("import os\nos.environ['DAGS'] = {:?}\n{SEED}", dags.path().display().to_string());
    test.airflow(&seed)?;
    Some(test)
}

#[tokio::test]
async fn the_runs_we_make_are_those_that_airflow_makes() {
    let Some(ours) = seeded().await else { return };
    let stock = ours.copy().await;
    let python = python().unwrap();
    stock.airflow(STOCK).unwrap();

    let bag = DagBag::default();
    for _ in 0..4 {
        run_once(&ours.db, &bag, &options(), &CustomAnswers::new(), Utc::now()).await.unwrap();
    }

    let (expected, found) = (dump(&python, DUMP, &stock), dump(&python, DUMP, &ours));
    assert!(expected["dag_run"].as_array().unwrap().len() > 10);
    for (table, expected) in expected.as_object().unwrap() {
        let (expected, found) = (expected.as_array().unwrap(), found[table].as_array().unwrap());
        let missing: Vec<&Value> = expected.iter().filter(|row| !found.contains(row)).collect();
        let surplus: Vec<&Value> = found.iter().filter(|row| !expected.contains(row)).collect();
        assert!(
            missing.is_empty() && surplus.is_empty(),
            "{table}: missing {missing:#?}, surplus {surplus:#?}"
        );
    }
}

#[tokio::test]
async fn a_backlog_is_made_until_the_limit_and_no_further() {
    let Some(test) = seeded().await else { return };
    let bag = DagBag::default();
    let mut calls = 0;
    loop {
        let made = run_once(&test.db, &bag, &options(), &CustomAnswers::new(), Utc::now()).await.unwrap();
        calls += 1;
        if made.more == More::No {
            break;
        }
        assert!(calls < 100, "there is no end to it");
    }
    let sql = test.db.sql("SELECT dag_id, count(*) AS runs FROM dag_run GROUP BY dag_id");
    let rows = test.db.all(sql).await.unwrap();
    let runs = |dag: &str| {
        rows.iter().find(|row| row.text("dag_id").unwrap() == dag).map(|row| row.int("runs").unwrap())
    };
    assert_eq!(runs("with_everything"), Some(3));
    assert_eq!(runs("one_at_a_time"), Some(1));
    assert_eq!(runs("newest_only"), Some(1));
    assert_eq!(runs("bad_param"), None);
    assert_eq!(runs("intervals"), Some(16));
}

#[tokio::test]
async fn a_run_starts_in_the_transaction_that_makes_it_as_far_as_its_dag_allows() {
    let Some(test) = seeded().await else { return };
    let options = CreateOptions { start: 100, ..options() };
    let bag = DagBag::default();
    let made = run_once(&test.db, &bag, &options, &CustomAnswers::new(), Utc::now()).await.unwrap();

    let sql = test.db.sql("SELECT run_id, state FROM dag_run WHERE dag_id = 'one_at_a_time'");
    let rows = test.db.all(sql).await.unwrap();
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].text("state").unwrap(), "running");
    let run_id = rows[0].text("run_id").unwrap();
    assert!(made.started.started.iter().any(|run| run.run_id.as_str() == run_id));
}

#[tokio::test]
async fn a_dag_whose_run_the_database_refuses_does_not_keep_the_others_from_theirs() {
    let Some(test) = seeded().await else { return };
    let refuse = "CREATE TRIGGER refuse BEFORE INSERT ON dag_run WHEN new.dag_id = 'one_at_a_time' \
         BEGIN SELECT RAISE(ABORT, 'not this one'); END";
    test.db.exec(test.db.sql(refuse)).await.unwrap();

    let made =
        run_once(&test.db, &DagBag::default(), &options(), &CustomAnswers::new(), Utc::now()).await.unwrap();

    let made: Vec<&str> = made.created.iter().map(|created| created.run.dag_id.as_str()).collect();
    assert!(made.contains(&"with_everything") && made.contains(&"intervals"), "{made:?}");
    assert!(!made.contains(&"one_at_a_time"));
}

#[tokio::test]
async fn a_missed_deadline_hands_on_what_airflow_hands_on() {
    let Some(ours) = seeded().await else { return };
    let python = python().unwrap();
    run_once(&ours.db, &DagBag::default(), &options(), &CustomAnswers::new(), Utc::now()).await.unwrap();
    let stock = ours.copy().await;
    stock.airflow(MISS).unwrap();
    let plain = |text: &str| text.to_owned();
    let missed = missed_deadlines::run_once(&ours.db, &plain, MultiTeam::Off, Utc::now()).await.unwrap();
    assert_eq!(missed.len(), 2);
    let (expected, found) = (dump(&python, DUMP_DEADLINES, &stock), dump(&python, DUMP_DEADLINES, &ours));
    assert_eq!(expected["trigger"].as_array().map(Vec::len), Some(1));
    assert_eq!(found, expected);
    assert!(
        missed_deadlines::run_once(&ours.db, &plain, MultiTeam::Off, Utc::now()).await.unwrap().is_empty()
    );
}
