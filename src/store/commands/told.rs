//! Events in the form in which a task gets them: CloudEvents with their namespace and position.

use chrono::SecondsFormat;
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::store::{Conn, Row, StoreError};

/// The events of these firings, each once, in the order of the log. One that has been removed by age is left out.
///
/// # Errors
/// As any statement.
pub(super) async fn told<C: Conn>(conn: &C, firings: &[Uuid]) -> Result<Vec<Value>, StoreError> {
    let sql =
        conn.sql("SELECT events FROM slipstream_firing WHERE id IN (?)").bind_list(firings.iter().copied());
    let mut positions = Vec::new();
    for row in conn.all(sql).await? {
        positions.extend(row.json("events")?.as_array().into_iter().flatten().filter_map(Value::as_i64));
    }
    positions.sort_unstable();
    positions.dedup();
    let mut told = Vec::with_capacity(positions.len());
    for some in positions.chunks(AT_ONCE) {
        let sql = conn
            .sql(
                "SELECT position, namespace, key, type, source, id, sender, time, scope_dag_id, scope_run_id, data, \
                 extensions FROM slipstream_event WHERE position IN (?) ORDER BY position",
            )
            .bind_list(some.iter().copied());
        for row in conn.all(sql).await? {
            told.push(cloud_event(&row)?);
        }
    }
    Ok(told)
}

/// Most positions in one statement: SQLite takes a limited number of values.
const AT_ONCE: usize = 500;

fn cloud_event(row: &Row) -> Result<Value, StoreError> {
    let mut event = match row.json("extensions")? {
        Value::Object(extensions) => extensions,
        _ => Map::new(),
    };
    let mut put = |name: &str, value: Value| event.insert(name.to_owned(), value);
    put("specversion", "1.0".into());
    for (name, column) in
        [("id", "id"), ("source", "source"), ("type", "type"), ("subject", "key"), ("namespace", "namespace")]
    {
        put(name, row.text(column)?.into());
    }
    for (name, column) in [("sender", "sender"), ("dagid", "scope_dag_id"), ("runid", "scope_run_id")] {
        if let Some(text) = row.text_opt(column)? {
            put(name, text.into());
        }
    }
    put("time", row.time("time")?.to_rfc3339_opts(SecondsFormat::AutoSi, true).into());
    put("position", row.int("position")?.into());
    put("data", row.json("data")?);
    Ok(Value::Object(event))
}
