//! Counting events.

use slipstream_core::event::Position;

use super::Filter;
use crate::store::{Conn, StoreError};

/// How many events there are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// All of them.
    pub total: i64,
    /// By sender, in alphabetical order; `None`: those without one.
    pub by_sender: Vec<(Option<String>, i64)>,
}

/// Counts the events after a position that pass a filter.
///
/// # Errors
/// As any statement.
pub async fn count(conn: &impl Conn, after: Position, filter: &Filter) -> Result<Counts, StoreError> {
    let sql = conn.sql("SELECT sender, COUNT(*) AS n FROM slipstream_event WHERE position > ?").bind(after.0);
    let rows = conn.all(filter.push(sql).push(" GROUP BY sender ORDER BY sender")).await?;
    let by_sender: Vec<_> = rows
        .iter()
        .map(|row| Ok((row.text_opt("sender")?, row.int("n")?)))
        .collect::<Result<_, StoreError>>()?;
    Ok(Counts { total: by_sender.iter().map(|(_, n)| n).sum(), by_sender })
}
