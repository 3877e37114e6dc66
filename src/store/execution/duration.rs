//! `TaskInstance.duration_expression_update`: the duration computed by the database from its own `start_date`.

use crate::store::sql::Dialect;

/// The expression for `duration`, with one `?` for the end. SQLite gives it in milliseconds, as Airflow does.
pub(super) fn duration_until(dialect: Dialect) -> &'static str {
    dialect.pick(
        "EXTRACT(EPOCH FROM (? - start_date))",
        "round((julianday(?) - julianday(start_date)) * 86400, 3)",
    )
}
