//! `slipstream_trigger`: one row per trigger, kept when its Dag no longer has it, because firings and pinned runs name it.

use chrono::{DateTime, Utc};
use serde_json::Value;

use slipstream_core::event::Position;
use slipstream_core::ids::{DagId, TaskId};

use super::text_enum;
use crate::store::{Conn, Param, Row, StoreError};

/// `slipstream_trigger.id`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TriggerId(pub i64);

impl std::fmt::Display for TriggerId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl From<TriggerId> for Param {
    fn from(id: TriggerId) -> Self {
        id.0.into()
    }
}

text_enum! {
    /// Who made a trigger.
    Origin, {
        /// A Dag file: it follows the newest serialised version.
        File = "file",
        /// `slipstream triggers add`: it stays until it is deleted.
        External = "external",
    }
}

text_enum! {
    /// Whether a trigger acts.
    Status, {
        /// It does.
        Active = "active",
        /// A person paused it: events pass it by.
        Paused = "paused",
        /// Its Dag no longer has it; runs pinned to an older version still may.
        Retired = "retired",
    }
}

/// One trigger.
#[derive(Clone, Debug, PartialEq)]
pub struct TriggerRow {
    /// Its number.
    pub id: TriggerId,
    /// Its unique name.
    pub name: String,
    /// The Dag that it acts on.
    pub dag_id: DagId,
    /// The task that it acts on; `None` for the Dag itself.
    pub task_id: Option<TaskId>,
    /// Who made it.
    pub origin: Origin,
    /// What it says.
    pub spec: Value,
    /// Hash of `spec`.
    pub spec_hash: String,
    /// Whether it acts.
    pub status: Status,
    /// It sees events after this position.
    pub from_position: Position,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
}

/// A trigger that is to be written.
#[derive(Clone, Debug, PartialEq)]
pub struct NewTrigger {
    /// Its unique name.
    pub name: String,
    /// The Dag that it acts on.
    pub dag_id: DagId,
    /// The task that it acts on.
    pub task_id: Option<TaskId>,
    /// Who made it.
    pub origin: Origin,
    /// What it says.
    pub spec: Value,
    /// Hash of `spec`.
    pub spec_hash: String,
}

const COLUMNS: &str =
    "id, name, dag_id, task_id, origin, spec, spec_hash, status, from_position, created_at, updated_at";

fn read(row: &Row) -> Result<TriggerRow, StoreError> {
    Ok(TriggerRow {
        id: TriggerId(row.int("id")?),
        name: row.text("name")?,
        dag_id: row.id("dag_id")?,
        task_id: row.text_opt("task_id")?.map(TaskId::from),
        origin: Origin::parse("origin", &row.text("origin")?)?,
        spec: row.json("spec")?,
        spec_hash: row.text("spec_hash")?,
        status: Status::parse("status", &row.text("status")?)?,
        from_position: Position(row.int("from_position")?),
        created_at: row.time("created_at")?,
        updated_at: row.time("updated_at")?,
    })
}

/// Every trigger, in the order in which they were made.
///
/// # Errors
/// As any statement.
pub async fn all<C: Conn>(conn: &C) -> Result<Vec<TriggerRow>, StoreError> {
    let sql = conn.sql(&format!("SELECT {COLUMNS} FROM slipstream_trigger ORDER BY id"));
    conn.all(sql).await?.iter().map(read).collect()
}

/// The trigger of this name.
///
/// # Errors
/// [`StoreError::NotFound`], or as any statement.
pub async fn named<C: Conn>(conn: &C, name: &str) -> Result<TriggerRow, StoreError> {
    let sql = conn.sql(&format!("SELECT {COLUMNS} FROM slipstream_trigger WHERE name = ?")).bind(name);
    let row =
        conn.one(sql).await?.ok_or_else(|| StoreError::NotFound(format!("the trigger '{name}' was")))?;
    read(&row)
}

/// Writes a new, active trigger that sees events after `from`.
///
/// # Errors
/// [`StoreError::Refused`] when the name is taken, or as any statement.
pub async fn insert<C: Conn>(
    tx: &C,
    trigger: &NewTrigger,
    from: Position,
    now: DateTime<Utc>,
) -> Result<TriggerId, StoreError> {
    let values = vec![
        (&trigger.name).into(),
        (&trigger.dag_id).into(),
        trigger.task_id.as_ref().map(ToString::to_string).into(),
        trigger.origin.into(),
        (&trigger.spec).into(),
        (&trigger.spec_hash).into(),
        Status::Active.into(),
        from.0.into(),
        now.into(),
        now.into(),
    ];
    let sql = tx
        .sql(
            "INSERT INTO slipstream_trigger (name, dag_id, task_id, origin, spec, spec_hash, status, from_position, \
             created_at, updated_at) VALUES ? RETURNING id",
        )
        .bind_rows([values]);
    let row = tx.one(sql).await?.ok_or_else(|| StoreError::Invalid("no row was inserted".to_owned()))?;
    touch(tx).await?;
    Ok(TriggerId(row.int("id")?))
}

/// Replaces what a trigger says and where it begins; it is active afterwards unless a person paused it.
///
/// # Errors
/// As any statement.
pub async fn replace<C: Conn>(
    tx: &C,
    id: TriggerId,
    trigger: &NewTrigger,
    from: Position,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let sql = tx
        .sql(
            "UPDATE slipstream_trigger SET dag_id = ?, task_id = ?, spec = ?, spec_hash = ?, from_position = ?, \
             status = CASE WHEN status = 'paused' THEN 'paused' ELSE 'active' END, updated_at = ? WHERE id = ?",
        )
        .bind(&trigger.dag_id)
        .bind(trigger.task_id.as_ref().map(ToString::to_string))
        .bind(&trigger.spec)
        .bind(&trigger.spec_hash)
        .bind(from.0)
        .bind(now)
        .bind(id);
    tx.exec(sql).await?;
    touch(tx).await
}

/// Changes whether a trigger acts; `from` moves its beginning.
///
/// # Errors
/// As any statement.
pub async fn set_status<C: Conn>(
    tx: &C,
    id: TriggerId,
    status: Status,
    from: Option<Position>,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let sql = tx
        .sql(
            "UPDATE slipstream_trigger SET status = ?, from_position = COALESCE(?, from_position), updated_at = ? \
             WHERE id = ?",
        )
        .bind(status)
        .bind(from.map(|position| position.0))
        .bind(now)
        .bind(id);
    tx.exec(sql).await?;
    touch(tx).await
}

/// Removes a trigger with its progress and dead letters; its firings and decisions stay as a record.
///
/// # Errors
/// As any statement.
pub async fn delete<C: Conn>(tx: &C, id: TriggerId) -> Result<(), StoreError> {
    for table in ["slipstream_trigger_state", "slipstream_dead_letter"] {
        tx.exec(tx.sql(&format!("DELETE FROM {table} WHERE trigger_id = ?")).bind(id)).await?;
    }
    tx.exec(tx.sql("DELETE FROM slipstream_trigger WHERE id = ?").bind(id)).await?;
    touch(tx).await
}

/// The counter that every change of a trigger moves, so that others know when to read them again.
const COUNTER: &str = "registry";

/// The counter's value; 0 before the first change.
///
/// # Errors
/// As any statement.
pub async fn version<C: Conn>(conn: &C) -> Result<i64, StoreError> {
    let sql = conn.sql("SELECT position FROM slipstream_cursor WHERE name = ?").bind(COUNTER);
    conn.one(sql).await?.map_or(Ok(0), |row| row.int("position"))
}

/// The counter, and when any Dag's newest version was last written; one small query, for asking often.
///
/// # Errors
/// As any statement.
pub async fn look<C: Conn>(conn: &C) -> Result<(i64, Option<DateTime<Utc>>), StoreError> {
    let sql = conn
        .sql(
            "SELECT (SELECT position FROM slipstream_cursor WHERE name = ?) AS counter, \
             (SELECT max(last_updated) FROM dag_version) AS versions",
        )
        .bind(COUNTER);
    let row =
        conn.one(sql).await?.ok_or_else(|| StoreError::NotFound("the counter of triggers was".to_owned()))?;
    Ok((row.int_opt("counter")?.unwrap_or(0), row.time_opt("versions")?))
}

async fn touch<C: Conn>(tx: &C) -> Result<(), StoreError> {
    let sql = tx
        .sql(
            "INSERT INTO slipstream_cursor (name, position) VALUES (?, 1) \
             ON CONFLICT (name) DO UPDATE SET position = slipstream_cursor.position + 1",
        )
        .bind(COUNTER);
    tx.exec(sql).await.map(drop)
}
