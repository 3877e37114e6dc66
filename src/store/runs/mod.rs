//! Dag runs and their task instances: what brings them into being and what lets them start.

pub mod active;
pub mod carrier;
pub mod due;
pub mod insert_run;
pub mod insert_task_instances;
pub mod params;
pub mod pickle;
pub mod queued;
pub mod run_id;
pub mod span;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use chrono::TimeDelta;

use super::sql::Dialect;

/// The database's own clock, in the form that its stored times are compared with.
///
/// Which runs are due and which may start is decided by the clock of the database, as in Airflow, so that schedulers on
/// several hosts agree. SQLite's `CURRENT_TIMESTAMP` has whole seconds and sorts before a stored time of the same second;
/// this form has the digits that SQLAlchemy writes.
pub(super) fn db_now(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Postgres => "clock_timestamp()",
        Dialect::Sqlite => "(strftime('%Y-%m-%d %H:%M:%f', 'now') || '000')",
    }
}

/// A moment so long ago by the clock of a SQLite database, in the form of [`db_now`].
fn ago(time: TimeDelta) -> String {
    format!("(strftime('%Y-%m-%d %H:%M:%f', 'now', '-{} seconds') || '000')", time.num_seconds())
}

/// Rows of one `INSERT`, so that its values stay below the limits of both databases (PostgreSQL 65 535, SQLite 32 766).
pub(super) fn rows_per_statement(columns: usize) -> usize {
    (30_000 / columns.max(1)).max(1)
}
