//! What the engine's tests have in common.

use chrono::Utc;
use serde_json::{Value, json};
use slipstream_core::event::{Event, Position};
use uuid::Uuid;

use super::{Asker, Engine};
use crate::events::wake::LogWake;
use crate::runtime::EventWake;
use crate::store::create_run::RunOptions;
use crate::store::events::{self as log, Appended, NewEvent};
use crate::store::runs::run_id::{DoubleDot, RunIdRules};
use crate::store::testing::{self, first};
use crate::store::{Conn, Db, own_tables};

/// An event in the default namespace.
pub(crate) fn event(position: i64, key: &str) -> Event {
    new_event(key, Value::Null).at(Position(position))
}

/// An event to be appended.
pub(crate) fn new_event(key: &str, data: Value) -> NewEvent {
    NewEvent { key: key.to_owned(), data, ..NewEvent::new("tests", "test", Utc::now()) }
}

/// Appends an event.
pub(crate) async fn send(db: &Db, event: NewEvent) -> Appended {
    let tx = db.begin().await.unwrap();
    let appended = log::append(&tx, &[event], Utc::now()).await.unwrap();
    tx.commit().await.unwrap();
    appended[0]
}

/// An engine whose hints nobody reads.
pub(crate) fn engine(db: &Db) -> Engine {
    engine_with(db, Asker::nobody())
}

/// An engine that asks Python.
pub(crate) fn engine_with(db: &Db, asker: Asker) -> Engine {
    let run_ids = RunIdRules::new(RunIdRules::DEFAULT_PATTERN, DoubleDot::Refused).unwrap();
    let options = RunOptions {
        run_ids,
        unixname: "tests".to_owned(),
        secrets: crate::store::secrets::Sources::default(),
    };
    Engine::new(db.clone(), options, LogWake::new(), EventWake::default(), asker)
}

/// A condition on events with a key.
pub(crate) fn on(key: &str) -> Value {
    json!({"event": {"key": key}})
}

/// A Dag `dag_id` with these triggers, and tasks with theirs; returns its version. The tables must be there.
pub(crate) async fn dag(db: &Db, dag_id: &str, triggers: &[Value], tasks: &[(&str, Vec<Value>)]) -> Uuid {
    own_tables::migrate(db).await.unwrap();
    testing::dag(db, dag_id).await;
    testing::serialized_dag(db, dag_id, serialized(dag_id, triggers, tasks)).await
}

/// The serialised form of such a Dag.
pub(crate) fn serialized(dag_id: &str, triggers: &[Value], tasks: &[(&str, Vec<Value>)]) -> Value {
    let tasks: Vec<Value> = tasks
        .iter()
        .map(|(task_id, triggers)| {
            let mut ours = json!({"triggers": triggers.iter().map(encode).collect::<Vec<_>>()});
            // As `periodic()` writes it.
            if triggers.iter().any(|trigger| trigger["name"] == "periodic") {
                ours["periodic"] = json!({});
            }
            let config =
                json!({"__type": "dict", "__var": {"slipstream": {"__type": "dict", "__var": ours}}});
            let mut task = json!({"task_id": task_id, "task_type": "T", "downstream_task_ids": []});
            if !triggers.is_empty() {
                task["executor_config"] = config;
            }
            json!({"__type": "operator", "__var": task})
        })
        .collect();
    let timetable = json!({"__type": "airflow.timetables.simple.NullTimetable", "__var": {"slipstream": {"triggers": triggers}}});
    json!({"dag_id": dag_id, "tasks": tasks, "timetable": timetable, "timezone": "UTC"})
}

/// As Airflow writes dictionaries.
fn encode(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let inner: serde_json::Map<String, Value> =
                map.iter().map(|(name, value)| (name.clone(), encode(value))).collect();
            json!({"__type": "dict", "__var": inner})
        }
        Value::Array(items) => Value::Array(items.iter().map(encode).collect()),
        other => other.clone(),
    }
}

/// The first column `n` of a query.
pub(crate) async fn number(db: &Db, sql: &str) -> i64 {
    first(db, sql).await.int("n").unwrap()
}

/// The column `t` of every row.
pub(crate) async fn texts(db: &Db, sql: &str) -> Vec<String> {
    db.all(db.sql(sql)).await.unwrap().iter().map(|row| row.text("t").unwrap()).collect()
}
