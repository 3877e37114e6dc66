//! Appending to the log.

use std::collections::HashMap;

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};
use slipstream_core::event::{Position, Scope};

use super::NewEvent;
use crate::store::sql::sqlite_time;
use crate::store::{Conn, Dialect, Sql, StoreError, Tx};

/// Where an event is in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Its position; of a duplicate, that of the original.
    pub position: Position,
    /// Whether it was there before.
    pub existed: Existed,
}

/// Whether an event of the same source and id was in the log before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existed {
    /// No: it is stored now.
    New,
    /// Yes: the event that was stored first stays as it is.
    Duplicate,
}

/// Rows of one statement. All values of a statement travel as one JSON text, so that this is no limit of the driver's.
const ROWS: usize = 1000;

/// Appends events in their order; returns where each one is. Until the caller's transaction ends, no one else can append.
///
/// # Errors
/// [`StoreError::Invalid`] for an event whose attributes cannot be stored (see [`NewEvent::check`]); as any statement.
pub async fn append(tx: &Tx, events: &[NewEvent], now: DateTime<Utc>) -> Result<Vec<Appended>, StoreError> {
    if events.is_empty() {
        return Ok(Vec::new());
    }
    for event in events {
        event.check().map_err(|error| StoreError::Invalid(error.to_string()))?;
    }
    let head = lock_head(tx).await?;
    let mut known = HashMap::new();
    for chunk in events.chunks(ROWS) {
        stored(tx, chunk, &mut known).await?;
    }
    let mut next = head;
    let mut fresh = Vec::new();
    let mut result = Vec::with_capacity(events.len());
    for event in events {
        let name = (event.source.as_str(), event.id.as_str());
        let existed = match known.get(&name) {
            Some(_) => Existed::Duplicate,
            None => {
                next.0 += 1;
                known.insert(name, next);
                fresh.push((next, event));
                Existed::New
            }
        };
        result.push(Appended { position: known[&name], existed });
    }
    for chunk in fresh.chunks(ROWS) {
        insert(tx, chunk, now).await?;
    }
    if next != head {
        let sql = tx.sql("UPDATE slipstream_log_head SET last_position = ? WHERE id = 1").bind(next.0);
        tx.exec(sql).await?;
    }
    Ok(result)
}

/// Waits for the other writers; then the last position. What they wrote is visible to the statements that follow.
async fn lock_head(tx: &Tx) -> Result<Position, StoreError> {
    let sql = tx
        .sql("SELECT last_position FROM slipstream_log_head WHERE id = 1")
        .push(tx.dialect().pg(" FOR UPDATE"));
    let row = tx.one(sql).await?;
    let row = row.ok_or_else(|| StoreError::NotFound("the row of slipstream_log_head".to_owned()))?;
    Ok(Position(row.int("last_position")?))
}

/// Adds the positions of those events that are stored already.
async fn stored<'e>(
    tx: &Tx,
    events: &'e [NewEvent],
    known: &mut HashMap<(&'e str, &'e str), Position>,
) -> Result<(), StoreError> {
    let names: Vec<_> = events.iter().map(|e| json!({"source": e.source, "id": e.id})).collect();
    let select = "SELECT e.source AS source, e.id AS id, e.position AS position FROM ";
    let from = match tx.dialect() {
        Dialect::Postgres => {
            "json_to_recordset(CAST(? AS json)) AS r(source text, id text) \
             JOIN slipstream_event e ON e.source = r.source AND e.id = r.id"
        }
        Dialect::Sqlite => {
            "json_each(?) r CROSS JOIN slipstream_event e \
             ON e.source = json_extract(r.value, '$.source') AND e.id = json_extract(r.value, '$.id')"
        }
    };
    let rows = tx.all(tx.sql(select).push(from).bind(Value::from(names).to_string())).await?;
    let found: HashMap<_, _> = rows
        .iter()
        .map(|row| Ok(((row.text("source")?, row.text("id")?), Position(row.int("position")?))))
        .collect::<Result<_, StoreError>>()?;
    if found.is_empty() {
        return Ok(());
    }
    for event in events {
        if let Some(position) = found.get(&(event.source.clone(), event.id.clone())) {
            known.insert((&event.source, &event.id), *position);
        }
    }
    Ok(())
}

async fn insert(tx: &Tx, events: &[(Position, &NewEvent)], now: DateTime<Utc>) -> Result<(), StoreError> {
    let dialect = tx.dialect();
    let rows: Vec<_> = events.iter().map(|(position, event)| record(dialect, *position, event)).collect();
    tx.exec(insert_sql(dialect).bind(now).bind(Value::from(rows).to_string())).await?;
    Ok(())
}

fn insert_sql(dialect: Dialect) -> Sql {
    let insert = "INSERT INTO slipstream_event (position, namespace, key, type, source, id, sender, time, received_at, \
                  scope_dag_id, scope_run_id, data, extensions) ";
    let select = match dialect {
        Dialect::Postgres => {
            "SELECT r.position, r.namespace, r.key, r.type, r.source, r.id, r.sender, CAST(r.time AS timestamptz), ?, \
             r.scope_dag_id, r.scope_run_id, CAST(r.data AS json), CAST(r.extensions AS json) \
             FROM json_to_recordset(CAST(? AS json)) AS r(position bigint, namespace text, key text, type text, \
             source text, id text, sender text, time text, scope_dag_id text, scope_run_id text, data text, \
             extensions text)"
        }
        Dialect::Sqlite => {
            "SELECT value ->> 'position', value ->> 'namespace', value ->> 'key', value ->> 'type', \
             value ->> 'source', value ->> 'id', value ->> 'sender', value ->> 'time', ?, \
             value ->> 'scope_dag_id', value ->> 'scope_run_id', value ->> 'data', value ->> 'extensions' \
             FROM json_each(?)"
        }
    };
    Sql::new(dialect, insert).push(select)
}

/// One row. JSON columns are text here, so that neither database takes them apart.
fn record(dialect: Dialect, position: Position, event: &NewEvent) -> Value {
    let time = match dialect {
        Dialect::Postgres => event.time.to_rfc3339_opts(SecondsFormat::Micros, true),
        Dialect::Sqlite => sqlite_time(event.time),
    };
    let (dag_id, run_id) = match &event.scope {
        Scope::All => (None, None),
        Scope::Run { dag_id, run_id } => (Some(dag_id.as_str()), Some(run_id.as_str())),
    };
    json!({
        "position": position.0,
        "namespace": event.namespace,
        "key": event.key,
        "type": event.event_type,
        "source": event.source,
        "id": event.id,
        "sender": event.sender,
        "time": time,
        "scope_dag_id": dag_id,
        "scope_run_id": run_id,
        "data": event.data.to_string(),
        "extensions": serde_json::to_string(&event.extensions).unwrap_or_else(|_| "{}".to_owned()),
    })
}
