//! Looks at a real database in which a test does what another scheduler would.

mod decisions;
mod timetables;

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use slipstream_core::ids::MapIndex;
use slipstream_core::state::{RunState, TaskState};

use super::{Difference, Kind, ShadowOptions, Watcher};
use crate::config::Config;
use crate::scheduler::tests::{dag, run, waiting};
use crate::store::testing::{self, NewRun, NewTi, at, first, insert, on_each_database_and_reader};
use crate::store::{Conn, Db, Dialect, Param};

const WINDOW: TimeDelta = TimeDelta::seconds(30);

fn watcher(reader: &Db) -> Watcher {
    let options =
        ShadowOptions { window: WINDOW.to_std().unwrap(), length: None, pace: Duration::from_millis(1) };
    Watcher::new(reader.clone(), &Config::from_pairs(&[]).unwrap(), options).unwrap()
}

/// A moment after everything that the tests write.
fn moment(seconds: i64) -> DateTime<Utc> {
    at(10_000 + seconds)
}

async fn look(watcher: &mut Watcher, seconds: i64) -> Vec<Difference> {
    watcher.look(moment(seconds)).await.unwrap()
}

/// Looks until the window has passed since `seconds`.
async fn wait(watcher: &mut Watcher, seconds: i64) -> Vec<Difference> {
    look(watcher, seconds + WINDOW.num_seconds() + 1).await
}

async fn set(db: &Db, task: &str, state: &str, try_number: i32) {
    let sql = db
        .sql("UPDATE task_instance SET state = ?, try_number = ?, updated_at = ? WHERE task_id = ?")
        .bind(state)
        .bind(try_number)
        .bind(Utc::now())
        .bind(task);
    db.exec(sql).await.unwrap();
}

async fn end_run(db: &Db, state: &str) {
    let sql = db.sql("UPDATE dag_run SET state = ?, end_date = ?").bind(state).bind(moment(0));
    db.exec(sql).await.unwrap();
}

/// `a` before `b`, both waiting in the run `r`.
async fn chain(db: &Db) {
    let version = dag(db, &[("a", &["b"], json!({})), ("b", &[], json!({}))]).await;
    run(db, version, &[waiting("a"), waiting("b")]).await;
}

fn kinds(found: &[Difference]) -> Vec<(Kind, Option<&str>)> {
    found.iter().map(|one| (one.kind, one.task_id.as_deref())).collect()
}

/// The content of all tables.
async fn content(db: &Db) -> Vec<(String, String)> {
    let tables = match db.dialect() {
        Dialect::Sqlite => "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name",
        Dialect::Postgres => {
            "SELECT table_name AS name FROM information_schema.tables WHERE table_schema = 'public' ORDER BY 1"
        }
    };
    let mut all = Vec::new();
    for table in db.all(db.sql(tables)).await.unwrap() {
        let name = table.text("name").unwrap();
        let rows = match db.dialect() {
            Dialect::Postgres => format!(
                "SELECT coalesce(string_agg(t::text, ' ' ORDER BY t::text), '') AS rows FROM \"{name}\" t"
            ),
            Dialect::Sqlite => {
                let info =
                    db.all(db.sql(&format!("SELECT name FROM pragma_table_info('{name}')"))).await.unwrap();
                let quoted: Vec<String> = info
                    .iter()
                    .map(|column| format!("quote(\"{}\")", column.text("name").unwrap()))
                    .collect();
                format!(
                    "SELECT coalesce(group_concat({}), '') AS rows FROM \"{name}\"",
                    quoted.join(" || ',' || ")
                )
            }
        };
        let text = first(db, &rows).await.text("rows").unwrap();
        all.push((name, text));
    }
    all
}

/// A Dag that runs every day, with its next run on that day.
async fn timed(db: &Db, dag_id: &str, next: DateTime<Utc>) {
    testing::dag(db, dag_id).await;
    let timetable = json!({
        "__type": "airflow.timetables.interval.CronDataIntervalTimetable",
        "__var": {"expression": "0 0 * * *", "timezone": "UTC"}
    });
    let dag =
        json!({"dag_id": dag_id, "tasks": [], "timetable": timetable, "timezone": "UTC", "catchup": true});
    testing::serialized_dag(db, dag_id, dag).await;
    announce(db, dag_id, next).await;
}

async fn announce(db: &Db, dag_id: &str, next: DateTime<Utc>) {
    let end = next + TimeDelta::days(1);
    let sql = db
        .sql(
            "UPDATE dag SET next_dagrun = ?, next_dagrun_data_interval_start = ?, next_dagrun_data_interval_end = ?, \
             next_dagrun_create_after = ? WHERE dag_id = ?",
        )
        .bind(next)
        .bind(next)
        .bind(end)
        .bind(end)
        .bind(dag_id);
    db.exec(sql).await.unwrap();
}
