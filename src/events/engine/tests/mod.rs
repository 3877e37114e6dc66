//! The engine on real databases, from an event to what follows.

mod clocks;
mod faults;
mod lanes;
mod observed;
mod runs;
mod tasks;

use chrono::{TimeDelta, Utc};
use serde_json::{Value, json};

use slipstream_core::event::{Position, Scope};
use slipstream_core::ids::MapIndex;
use slipstream_core::state::TaskState;

use super::Engine;
use super::batch::Care;
use super::testing::{dag, engine, new_event, number, on, send, texts};
use crate::events::triggers::{self, About, Mode, NewExternal, Which};
use crate::store::db::{failpoint, recorder};
use crate::store::events::NewEvent;
use crate::store::testing::{self, NewRun, NewTi, first, on_each_database};
use crate::store::triggers::{TriggerId, commands, firings, progress};
use crate::store::{Conn, Db, Dialect};

/// The runs of all commands.
const COMMANDS: &str = "SELECT run_id AS t FROM slipstream_command ORDER BY id";

fn run_on(key: &str) -> Value {
    json!({"version": 1, "on": on(key), "do": {"run": {}}})
}

async fn runs(db: &Db) -> i64 {
    number(db, "SELECT count(*) AS n FROM dag_run").await
}

/// A running run with task instances, as if it had been made just now.
async fn running(db: &Db, dag_id: &str, run_id: &str, tasks: &[(&str, TaskState)]) {
    let logical_date = testing::at(number(db, "SELECT count(*) AS n FROM dag_run").await);
    NewRun { logical_date, ..NewRun::new(dag_id, run_id) }.insert(db).await;
    let now = db.sql("UPDATE dag_run SET created_at = ?, updated_at = ? WHERE run_id = ?");
    db.exec(now.bind(Utc::now()).bind(Utc::now()).bind(run_id)).await.unwrap();
    for (task, state) in tasks {
        NewTi::new(dag_id, run_id, task).state(*state).insert(db).await;
    }
}

async fn end(db: &Db, run_id: &str, state: &str) {
    let sql = db.sql("UPDATE dag_run SET state = ?, updated_at = ? WHERE run_id = ?");
    db.exec(sql.bind(state).bind(Utc::now()).bind(run_id)).await.unwrap();
}

fn start_on(key: &str) -> Value {
    json!({"version": 1, "on": on(key), "do": {"start": {"when_running": "queue"}}})
}

fn in_run(event: NewEvent, dag_id: &str, run_id: &str) -> NewEvent {
    NewEvent { scope: Scope::Run { dag_id: dag_id.into(), run_id: run_id.into() }, ..event }
}
