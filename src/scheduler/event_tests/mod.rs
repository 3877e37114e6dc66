//! Commands on tasks in whole rounds of the loop, on real databases. The event engine's part is written by hand.

mod commands;
mod people;
mod streaming;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use slipstream_core::state::{RunState, TaskState};
use uuid::Uuid;

use super::tests::{Events, dag, key, run, run_state, scheduler_with, state, told, waiting};
use super::tick::Scheduler;
use crate::executor::Report;
use crate::runtime::EventWake;
use crate::store::testing::{self, NewRun, NewTi, count, first, insert, on_each_database};
use crate::store::{Conn, Db, Param, history, own_tables};

/// Fields of a task with a trigger that does this.
fn on_event(action: &Value) -> Value {
    declared(json!({"triggers": [{"version": 1, "on": {"event": {"key": "x"}}, "do": action}]}))
}

fn declared(slipstream: Value) -> Value {
    let tagged = json!({"__type": "dict", "__var": {"slipstream": {"__type": "dict", "__var": slipstream}}});
    json!({"executor_config": tagged})
}

fn gate() -> Value {
    json!({"start": {"mode": "gate"}})
}

/// A scheduler beside an event engine that has put every event to every trigger.
async fn scheduler(db: &Db) -> (Scheduler, tempfile::TempDir) {
    scheduler_with(db, 8, Events::Some(EventWake::default())).await
}

async fn tables(db: &Db) {
    own_tables::migrate(db).await.unwrap();
    insert(db, "slipstream_cursor", vec![("name", "engine".into()), ("position", 1_000.into())]).await;
}

/// An event at a position of the log.
async fn event(db: &Db, position: i64) {
    let values = vec![
        ("position", position.into()),
        ("namespace", "default".into()),
        ("key", "x".into()),
        ("type", "t".into()),
        ("source", "s".into()),
        ("id", position.to_string().into()),
        ("time", testing::at(position).into()),
        ("received_at", testing::at(position).into()),
        ("data", json!({"n": position}).into()),
        ("extensions", json!({}).into()),
    ];
    insert(db, "slipstream_event", values).await;
}

/// A firing on the event at this position, and its command on a task; returns the command's number.
async fn command(db: &Db, task: &str, action: &Value, position: i64) -> i64 {
    event(db, position).await;
    let firing = Uuid::now_v7();
    let name = action.as_object().unwrap().keys().next().unwrap().clone();
    let values = vec![
        ("id", firing.into()),
        ("trigger_id", 1.into()),
        ("dag_id", "d".into()),
        ("task_id", task.into()),
        ("scope_run_id", "r".into()),
        ("correlation", "".into()),
        ("position", position.into()),
        ("events", json!([position]).into()),
        ("action", name.as_str().into()),
        ("status", "done".into()),
        ("fired_at", testing::at(position).into()),
    ];
    insert(db, "slipstream_firing", values).await;
    let values = vec![
        ("firing_id", firing.into()),
        ("dag_id", "d".into()),
        ("run_id", "r".into()),
        ("task_id", task.into()),
        ("map_index", (-1).into()),
        ("action", name.as_str().into()),
        ("options", action.into()),
        ("status", "pending".into()),
        ("created_at", testing::at(position).into()),
    ];
    insert(db, "slipstream_command", values).await;
    first(db, "SELECT max(id) AS id FROM slipstream_command").await.int("id").unwrap()
}

async fn status(db: &Db, command: i64) -> String {
    let sql = db.sql("SELECT status FROM slipstream_command WHERE id = ?").bind(command);
    db.one(sql).await.unwrap().unwrap().text("status").unwrap()
}

/// A round that looks at the run.
async fn look(scheduler: &mut Scheduler) {
    scheduler.agenda.look_at_named("d".into(), "r".into());
    scheduler.tick_now().await.unwrap();
}

async fn set(db: &Db, task: &str, state: TaskState) {
    let sql = db
        .sql("UPDATE task_instance SET state = ?, start_date = ?, last_heartbeat_at = ? WHERE task_id = ?")
        .bind(state)
        .bind(testing::at(1))
        .bind(testing::at(1))
        .bind(task);
    db.exec(sql).await.unwrap();
}

/// What the worker reports when it has ended a task that it was told to end.
async fn killed(scheduler: &mut Scheduler, db: &Db, task: &str, try_number: i32) {
    let adopt = db.sql("UPDATE task_instance SET queued_by_job_id = ?").bind(scheduler.job);
    db.exec(adopt).await.unwrap();
    let key = key(task, try_number);
    let ended = told(key, Report::Success);
    scheduler.process_ended(&[ended], testing::at(60)).await.unwrap();
    look(scheduler).await;
}

async fn triggering_events(db: &Db, task: &str) -> Option<Value> {
    let sql = db.sql("SELECT value FROM xcom WHERE key = 'triggering_events' AND task_id = ?").bind(task);
    db.one(sql).await.unwrap().map(|row| row.json("value").unwrap())
}

async fn try_number(db: &Db, task: &str) -> i64 {
    let sql = db.sql("SELECT try_number FROM task_instance WHERE task_id = ?").bind(task);
    db.one(sql).await.unwrap().unwrap().int("try_number").unwrap()
}
