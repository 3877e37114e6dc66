//! `slipstream_firing`: what triggers did. One row per trigger, run, correlation key and event: its unique key is what makes
//! a firing happen once.

use chrono::{DateTime, Utc};
use serde_json::Value;
use uuid::Uuid;

use slipstream_core::event::Position;
use slipstream_core::ids::{DagId, RunId, TaskId};

use super::{TriggerId, progress, rows_per_statement, text_enum};
use crate::store::{Conn, Kind, Param, Row, StoreError};

text_enum! {
    /// What became of a firing.
    Status, {
        /// It waits for the active run of its lane to end.
        Pending = "pending",
        /// Its effect is written.
        Done = "done",
        /// It had no effect, for a reason.
        Skipped = "skipped",
        /// Its effect could not be written, for a reason.
        Failed = "failed",
    }
}

/// One firing.
#[derive(Clone, Debug, PartialEq)]
pub struct Firing {
    /// Its number.
    pub id: Uuid,
    /// Whose it is.
    pub key: progress::Key,
    /// The Dag acted on.
    pub dag_id: DagId,
    /// The task acted on.
    pub task_id: Option<TaskId>,
    /// The event at which it fired.
    pub position: Position,
    /// The events that it consumed, in the order of the log.
    pub events: Vec<Position>,
    /// What it does, as the trigger says it.
    pub action: String,
    /// What became of it.
    pub status: Status,
    /// Why.
    pub reason: Option<String>,
    /// The run that it made.
    pub result_run_id: Option<RunId>,
    /// The lane that it waits in.
    pub lane: Option<String>,
    /// When it fired.
    pub fired_at: DateTime<Utc>,
}

const COLUMNS: &str = "id, trigger_id, dag_id, task_id, scope_run_id, correlation, position, events, action, status, \
                       reason, result_run_id, lane, fired_at, done_at";
const KINDS: [(&str, Kind); 15] = [
    ("id", Kind::Uuid),
    ("trigger_id", Kind::Int),
    ("dag_id", Kind::Text),
    ("task_id", Kind::Text),
    ("scope_run_id", Kind::Text),
    ("correlation", Kind::Text),
    ("position", Kind::Int),
    ("events", Kind::Json),
    ("action", Kind::Text),
    ("status", Kind::Text),
    ("reason", Kind::Text),
    ("result_run_id", Kind::Text),
    ("lane", Kind::Text),
    ("fired_at", Kind::Time),
    ("done_at", Kind::Time),
];

fn read(row: &Row) -> Result<Firing, StoreError> {
    let events = row.json("events")?;
    let events = events.as_array().into_iter().flatten().filter_map(Value::as_i64).map(Position).collect();
    let key = progress::Key {
        trigger: TriggerId(row.int("trigger_id")?),
        run_id: row.text("scope_run_id")?,
        correlation: row.text("correlation")?,
    };
    Ok(Firing {
        id: row.uuid("id")?,
        key,
        dag_id: row.id("dag_id")?,
        task_id: row.text_opt("task_id")?.map(TaskId::from),
        position: Position(row.int("position")?),
        events,
        action: row.text("action")?,
        status: Status::parse("status", &row.text("status")?)?,
        reason: row.text_opt("reason")?,
        result_run_id: row.text_opt("result_run_id")?.map(RunId::from),
        lane: row.text_opt("lane")?,
        fired_at: row.time("fired_at")?,
    })
}

fn values(firing: &Firing, now: DateTime<Utc>) -> Vec<Param> {
    let events: Vec<Value> = firing.events.iter().map(|position| position.0.into()).collect();
    vec![
        firing.id.into(),
        firing.key.trigger.into(),
        (&firing.dag_id).into(),
        firing.task_id.as_ref().map(ToString::to_string).into(),
        (&firing.key.run_id).into(),
        (&firing.key.correlation).into(),
        firing.position.0.into(),
        Value::Array(events).into(),
        (&firing.action).into(),
        firing.status.into(),
        firing.reason.clone().into(),
        firing.result_run_id.as_ref().map(ToString::to_string).into(),
        firing.lane.clone().into(),
        firing.fired_at.into(),
        (firing.status != Status::Pending).then_some(now).into(),
    ]
}

/// Writes firings.
///
/// # Errors
/// [`StoreError::Refused`] when one has happened before, or as any statement.
pub async fn insert<C: Conn>(tx: &C, firings: &[Firing], now: DateTime<Utc>) -> Result<(), StoreError> {
    for chunk in firings.chunks(rows_per_statement(15)) {
        let sql = tx
            .sql(&format!("INSERT INTO slipstream_firing ({COLUMNS}) ?"))
            .bind_table(&KINDS, chunk.iter().map(|firing| values(firing, now)));
        tx.exec(sql).await?;
    }
    Ok(())
}

/// Whether the trigger has fired at this event before.
///
/// # Errors
/// As any statement.
pub async fn exists<C: Conn>(conn: &C, key: &progress::Key, position: Position) -> Result<bool, StoreError> {
    let sql = conn
        .sql(
            "SELECT 1 AS one FROM slipstream_firing WHERE trigger_id = ? AND scope_run_id = ? AND correlation = ? \
             AND position = ?",
        )
        .bind(key.trigger)
        .bind(&key.run_id)
        .bind(&key.correlation)
        .bind(position.0);
    Ok(conn.one(sql).await?.is_some())
}

/// Says what became of a firing that waited.
///
/// # Errors
/// As any statement.
pub async fn settle<C: Conn>(tx: &C, firing: &Firing, now: DateTime<Utc>) -> Result<(), StoreError> {
    let sql = tx
        .sql("UPDATE slipstream_firing SET status = ?, reason = ?, result_run_id = ?, done_at = ? WHERE id = ?")
        .bind(firing.status)
        .bind(firing.reason.clone())
        .bind(firing.result_run_id.as_ref().map(ToString::to_string))
        .bind((firing.status != Status::Pending).then_some(now))
        .bind(firing.id);
    tx.exec(sql).await.map(drop)
}

/// Whether firings wait in a lane.
///
/// # Errors
/// As any statement.
pub async fn is_waiting<C: Conn>(conn: &C, dag_id: &DagId, lane: &str) -> Result<bool, StoreError> {
    let sql = conn
        .sql("SELECT 1 AS one FROM slipstream_firing WHERE dag_id = ? AND lane = ? AND status = 'pending' LIMIT 1")
        .bind(dag_id)
        .bind(lane);
    Ok(conn.one(sql).await?.is_some())
}

/// Whether any firing waits.
///
/// # Errors
/// As any statement.
pub async fn any_waits<C: Conn>(conn: &C) -> Result<bool, StoreError> {
    let sql = conn.sql("SELECT 1 AS one FROM slipstream_firing WHERE status = 'pending' LIMIT 1");
    Ok(conn.one(sql).await?.is_some())
}

/// The first firing of each lane in which no run is active, in the order of their events. Those of triggers and Dags that are
/// paused are left out, so that only what can go on takes one of the `most` places.
///
/// # Errors
/// As any statement.
pub async fn free<C: Conn>(conn: &C, most: i64) -> Result<Vec<Firing>, StoreError> {
    let sql = conn
        .sql(&format!(
            "SELECT {COLUMNS} FROM (SELECT {COLUMNS}, \
             ROW_NUMBER() OVER (PARTITION BY dag_id, lane ORDER BY position, id) AS place \
             FROM slipstream_firing WHERE status = 'pending') waiting \
             WHERE (lane IS NULL OR place = 1) \
             AND EXISTS (SELECT 1 FROM dag WHERE dag.dag_id = waiting.dag_id AND NOT dag.is_paused \
             AND NOT dag.is_stale AND NOT dag.has_import_errors) \
             AND NOT EXISTS (SELECT 1 FROM slipstream_trigger t WHERE t.id = waiting.trigger_id AND t.status = 'paused') \
             AND NOT EXISTS (SELECT 1 FROM dag_run dr JOIN slipstream_firing made \
             ON made.result_run_id = dr.run_id AND made.dag_id = dr.dag_id \
             WHERE dr.dag_id = waiting.dag_id AND dr.state IN ('queued', 'running') AND made.lane = waiting.lane) \
             ORDER BY position, id LIMIT ?"
        ))
        .bind(most);
    conn.all(sql).await?.iter().map(read).collect()
}

/// Firings of a trigger whose effect failed, in the order of their events.
///
/// # Errors
/// As any statement.
pub async fn failed<C: Conn>(conn: &C, trigger: TriggerId) -> Result<Vec<Firing>, StoreError> {
    let sql = conn
        .sql(&format!(
            "SELECT {COLUMNS} FROM slipstream_firing WHERE status = 'failed' AND trigger_id = ? ORDER BY position, id"
        ))
        .bind(trigger);
    conn.all(sql).await?.iter().map(read).collect()
}

/// Which firings one asks for.
#[derive(Clone, Copy, Debug)]
pub enum Of<'a> {
    /// Of a trigger.
    Trigger(TriggerId),
    /// At an event, or with it.
    Event(Position),
    /// In a run, or that made it.
    Run(&'a DagId, &'a RunId),
    /// On a task.
    Task(&'a DagId, &'a TaskId),
}

/// The newest firings.
///
/// # Errors
/// As any statement.
pub async fn list<C: Conn>(conn: &C, of: Of<'_>, most: i64) -> Result<Vec<Firing>, StoreError> {
    let sql = conn.sql(&format!("SELECT {COLUMNS} FROM slipstream_firing WHERE "));
    let sql = match of {
        Of::Trigger(trigger) => sql.push("trigger_id = ?").bind(trigger),
        Of::Event(position) => sql.push("position = ?").bind(position.0),
        Of::Run(dag_id, run_id) => sql
            .push("dag_id = ? AND (result_run_id = ? OR scope_run_id = ?)")
            .bind(dag_id)
            .bind(run_id)
            .bind(run_id),
        Of::Task(dag_id, task_id) => sql.push("dag_id = ? AND task_id = ?").bind(dag_id).bind(task_id),
    };
    conn.all(sql.push(" ORDER BY position DESC, id LIMIT ?").bind(most)).await?.iter().map(read).collect()
}
