//! Which running tasks the database no longer shows as running.

use std::collections::HashSet;

use uuid::Uuid;

use super::db::Conn;
use super::error::StoreError;

/// Most ids in one statement: SQLite takes a limited number of values.
const AT_ONCE: usize = 500;

/// Those of these task instances that are in another state than `running`, or are gone: they were marked, cleared or
/// deleted by somebody.
///
/// # Errors
/// As any statement.
pub async fn not_running(conn: &impl Conn, ids: &[Uuid]) -> Result<Vec<Uuid>, StoreError> {
    let mut running = HashSet::with_capacity(ids.len());
    for some in ids.chunks(AT_ONCE) {
        let sql = conn.sql("SELECT id FROM task_instance WHERE id IN (?) AND state = 'running'");
        for row in conn.all(sql.bind_list(some.iter().copied())).await? {
            running.insert(row.uuid("id")?);
        }
    }
    Ok(ids.iter().filter(|id| !running.contains(*id)).copied().collect())
}
