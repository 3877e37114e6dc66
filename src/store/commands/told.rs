//! Events in the form in which a task gets them.

use chrono::SecondsFormat;
use serde_json::{Value, json};
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
                "SELECT position, namespace, key, type, source, id, sender, time, data, extensions \
                 FROM slipstream_event WHERE position IN (?) ORDER BY position",
            )
            .bind_list(some.iter().copied());
        for row in conn.all(sql).await? {
            told.push(as_told(&row)?);
        }
    }
    Ok(told)
}

/// Most positions in one statement: SQLite takes a limited number of values.
const AT_ONCE: usize = 500;

/// The same form as in the conf of a run that an event made.
fn as_told(row: &Row) -> Result<Value, StoreError> {
    Ok(json!({
        "position": row.int("position")?,
        "namespace": row.text("namespace")?,
        "key": row.text("key")?,
        "type": row.text("type")?,
        "source": row.text("source")?,
        "id": row.text("id")?,
        "sender": row.text_opt("sender")?,
        "time": row.time("time")?.to_rfc3339_opts(SecondsFormat::AutoSi, true),
        "data": row.json("data")?,
        "extensions": row.json("extensions")?,
    }))
}
