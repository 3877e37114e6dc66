//! What can go wrong in the database, sorted by what the caller can do about it.

use sea_orm::{DbErr, RuntimeErr};
use slipstream_core::state::UnknownState;

/// An error of the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The connection was lost or could not be made. Worth another try later.
    #[error("the metadata database cannot be reached: {0}")]
    Unreachable(String),
    /// Another transaction was in the way (serialization failure, deadlock, lock timeout, busy). Worth another try now.
    #[error("another transaction was in the way: {0}")]
    Conflict(String),
    /// A statement's name meant something else, or nothing, on the connection that a pooler gave. Worth another try now:
    /// names are given up.
    #[error("a pooler between this process and PostgreSQL mixes up prepared statements: {0}")]
    Pooler(String),
    /// A unique or foreign key refused the row: someone else wrote it first, or deleted what it names.
    #[error("the row is refused by a key of the database: {0}")]
    Refused(String),
    /// A value that its column cannot hold: too long, or out of its range.
    #[error("the metadata database rejects a value: {0}")]
    Value(String),
    /// A row is in a state that this version does not know.
    #[error(transparent)]
    UnknownState(#[from] UnknownState),
    /// A column does not hold what it should.
    #[error("column `{column}` {why}")]
    Column {
        /// The column's name in the answer.
        column: String,
        /// What is wrong with it.
        why: String,
    },
    /// A row that was expected is not there.
    #[error("{0} not found")]
    NotFound(String),
    /// The stored data cannot be understood.
    #[error("{0}")]
    Invalid(String),
    /// Anything else.
    #[error("the metadata database refused a statement: {0}")]
    Db(String),
}

impl StoreError {
    /// Whether the same transaction may succeed when it is tried again.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unreachable(_) | Self::Conflict(_) | Self::Pooler(_))
    }
}

impl From<DbErr> for StoreError {
    fn from(error: DbErr) -> Self {
        let text = error.to_string();
        let runtime = match &error {
            DbErr::Conn(inner) | DbErr::Exec(inner) | DbErr::Query(inner) => inner,
            DbErr::ConnectionAcquire(_) => return Self::Unreachable(text),
            _ => return Self::Db(text),
        };
        let RuntimeErr::SqlxError(sqlx) = runtime else { return Self::Unreachable(text) };
        match sqlx.as_ref() {
            sea_orm::SqlxError::Database(db) => match db.code().as_deref() {
                // PostgreSQL: serialization failure, deadlock, lock not available; SQLite: busy, locked and their kin.
                Some("40001" | "40P01" | "55P03" | "5" | "6" | "261" | "262" | "517" | "773") => {
                    Self::Conflict(text)
                }
                // No statement, or already a statement, of that name; or one with other values.
                Some("26000" | "42P05") => Self::Pooler(text),
                Some("08P01") if text.contains("prepared statement") => Self::Pooler(text),
                // Admin shutdown, crash shutdown, cannot connect now, too many connections, database starting or dropped,
                // idle for too long; class 08: trouble with the connection.
                Some("57P01" | "57P02" | "57P03" | "57P05" | "25P03" | "53300") => Self::Unreachable(text),
                Some(code) if code.starts_with("08") && code.len() == 5 => Self::Unreachable(text),
                _ if db.is_unique_violation() || db.is_foreign_key_violation() => Self::Refused(text),
                // Class 22, PostgreSQL's data exceptions. psycopg2 itself raises for a zero byte (22021), and something else.
                Some(code) if code.starts_with("22") && code.len() == 5 && code != "22021" => {
                    Self::Value(text)
                }
                _ => Self::Db(text),
            },
            sea_orm::SqlxError::Io(_)
            | sea_orm::SqlxError::Tls(_)
            | sea_orm::SqlxError::PoolTimedOut
            | sea_orm::SqlxError::PoolClosed
            | sea_orm::SqlxError::WorkerCrashed => Self::Unreachable(text),
            // Whoever listens for a server that is away (a proxy, a balancer) takes the connection and says nothing.
            sea_orm::SqlxError::Protocol(_) if matches!(error, DbErr::Conn(_)) => Self::Unreachable(text),
            _ => Self::Db(text),
        }
    }
}
