//! One statement with its values, in the dialect of the database.
//!
//! Airflow's rows are SQLAlchemy's: on SQLite a time is the text `YYYY-MM-DD HH:MM:SS.ffffff` in UTC, a UUID is 32
//! hexadecimal digits and JSON is text. The derived entities of an ORM write other forms that Airflow cannot read, so
//! every value goes through [`Param`], which knows both.

use chrono::{DateTime, Utc};
use sea_orm::{DbBackend, Statement, Value};
use uuid::Uuid;

use slipstream_core::ids::{DagId, GroupId, MapIndex, RunId, TaskId};
use slipstream_core::state::{RunState, RunType, TaskState};

/// The database behind `[database] sql_alchemy_conn`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// PostgreSQL 13 or newer.
    Postgres,
    /// SQLite in WAL mode.
    Sqlite,
}

impl Dialect {
    pub(super) fn backend(self) -> DbBackend {
        match self {
            Self::Postgres => DbBackend::Postgres,
            Self::Sqlite => DbBackend::Sqlite,
        }
    }

    /// `text` on PostgreSQL, nothing on SQLite: row locks, hints and the like.
    pub fn pg(self, text: &'static str) -> &'static str {
        match self {
            Self::Postgres => text,
            Self::Sqlite => "",
        }
    }

    /// One of two texts.
    pub fn pick<'a>(self, postgres: &'a str, sqlite: &'a str) -> &'a str {
        match self {
            Self::Postgres => postgres,
            Self::Sqlite => sqlite,
        }
    }
}

/// A value to bind. The typed `None`s matter: PostgreSQL does not take a text `NULL` for a time.
#[derive(Clone, Debug, PartialEq)]
pub enum Param {
    /// A truth value.
    Bool(Option<bool>),
    /// A whole number.
    Int(Option<i64>),
    /// A floating-point number.
    Float(Option<f64>),
    /// Text.
    Text(Option<String>),
    /// A moment, microseconds kept.
    Time(Option<DateTime<Utc>>),
    /// A UUID.
    Uuid(Option<Uuid>),
    /// JSON. `Some(Null)` is JSON `null`, `None` is SQL `NULL`: Airflow uses both.
    Json(Option<serde_json::Value>),
    /// Bytes.
    Bytes(Option<Vec<u8>>),
}

macro_rules! param_from {
    ($($variant:ident <- $($from:ty => $conv:expr),+;)+) => {
        $($(
            impl From<$from> for Param {
                fn from(v: $from) -> Self {
                    let conv: fn($from) -> _ = $conv;
                    Param::$variant(Some(conv(v)))
                }
            }
            impl From<Option<$from>> for Param {
                fn from(v: Option<$from>) -> Self {
                    let conv: fn($from) -> _ = $conv;
                    Param::$variant(v.map(conv))
                }
            }
        )+)+
    };
}

param_from! {
    Bool <- bool => |v| v;
    Int <- i64 => |v| v, i32 => i64::from, u32 => i64::from, MapIndex => |v| i64::from(v.0);
    Float <- f64 => |v| v;
    Text <- String => |v| v, &str => str::to_owned, &String => String::clone,
        DagId => |v| v.to_string(), &DagId => |v| v.to_string(),
        TaskId => |v| v.to_string(), &TaskId => |v| v.to_string(),
        RunId => |v| v.to_string(), &RunId => |v| v.to_string(),
        GroupId => |v| v.to_string(), &GroupId => |v| v.to_string(),
        TaskState => |v| v.as_str().to_owned(), RunState => |v| v.as_str().to_owned(),
        RunType => |v| v.as_str().to_owned();
    Time <- DateTime<Utc> => |v| v;
    Uuid <- Uuid => |v| v;
    Json <- serde_json::Value => |v| v, &serde_json::Value => serde_json::Value::clone;
    Bytes <- Vec<u8> => |v| v;
}

/// A time as SQLAlchemy's SQLite dialect writes it.
pub(super) fn sqlite_time(time: DateTime<Utc>) -> String {
    time.format("%Y-%m-%d %H:%M:%S%.6f").to_string()
}

impl Param {
    fn value(self, dialect: Dialect) -> Value {
        match (self, dialect) {
            (Param::Bool(v), _) => Value::Bool(v),
            (Param::Int(v), _) => Value::BigInt(v),
            (Param::Float(v), _) => Value::Double(v),
            (Param::Text(v), _) => Value::from(v),
            (Param::Bytes(v), _) => Value::from(v),
            (Param::Time(v), Dialect::Postgres) => Value::ChronoDateTimeUtc(v),
            (Param::Time(v), Dialect::Sqlite) => Value::from(v.map(sqlite_time)),
            (Param::Uuid(v), Dialect::Postgres) => Value::Uuid(v),
            (Param::Uuid(v), Dialect::Sqlite) => Value::from(v.map(|v| v.simple().to_string())),
            (Param::Json(v), Dialect::Postgres) => Value::from(v),
            (Param::Json(v), Dialect::Sqlite) => Value::from(v.map(|v| v.to_string())),
        }
    }
}

/// A statement under construction. Text carries one `?` per value; [`Sql::bind_list`] makes a list of one `?`.
///
/// ```
/// use slipstream::store::{Dialect, Sql};
/// let sql = Sql::new(Dialect::Sqlite, "SELECT 1 FROM job WHERE id IN (?) AND state = ?").bind_list([1_i64, 2]).bind("running");
/// assert_eq!(sql.text(), "SELECT 1 FROM job WHERE id IN (?, ?) AND state = ?");
/// ```
#[derive(Clone, Debug)]
pub struct Sql {
    dialect: Dialect,
    /// Text whose placeholders are filled.
    done: String,
    /// Text whose placeholders are still `?`.
    rest: String,
    values: Vec<Value>,
}

impl Sql {
    /// Starts a statement.
    pub fn new(dialect: Dialect, text: &str) -> Self {
        Self { dialect, done: String::new(), rest: text.to_owned(), values: Vec::new() }
    }

    /// Adds more text; earlier placeholders must have been bound or are bound first.
    #[must_use]
    pub fn push(mut self, text: &str) -> Self {
        self.rest.push_str(text);
        self
    }

    /// Adds text if `condition` holds.
    #[must_use]
    pub fn push_if(self, condition: bool, text: &str) -> Self {
        if condition { self.push(text) } else { self }
    }

    /// Fills the next `?`.
    #[must_use]
    pub fn bind(mut self, value: impl Into<Param>) -> Self {
        self.advance();
        self.place(value.into());
        self
    }

    /// Fills the next `?` with as many values as there are, separated by commas; with `NULL` if there is none.
    #[must_use]
    pub fn bind_list<P: Into<Param>>(mut self, values: impl IntoIterator<Item = P>) -> Self {
        self.advance();
        let mut any = false;
        for value in values {
            if any {
                self.done.push_str(", ");
            }
            self.place(value.into());
            any = true;
        }
        if !any {
            self.done.push_str("NULL");
        }
        self
    }

    /// Fills the next `?` with rows `(a, b), (c, d)`: the values of an `INSERT` or a row-wise `IN`.
    #[must_use]
    pub fn bind_rows(mut self, rows: impl IntoIterator<Item = Vec<Param>>) -> Self {
        self.advance();
        for (i, row) in rows.into_iter().enumerate() {
            self.done.push_str(if i == 0 { "(" } else { ", (" });
            for (j, value) in row.into_iter().enumerate() {
                if j > 0 {
                    self.done.push_str(", ");
                }
                self.place(value);
            }
            self.done.push(')');
        }
        self
    }

    /// The statement's text so far.
    pub fn text(&self) -> String {
        format!("{}{}", self.done, self.rest)
    }

    pub(super) fn statement(self) -> Statement {
        debug_assert!(!self.rest.contains('?'), "unbound placeholder in: {}{}", self.done, self.rest);
        Statement::from_sql_and_values(
            self.dialect.backend(),
            format!("{}{}", self.done, self.rest),
            self.values,
        )
    }

    /// Moves the text before the next `?` to the finished part and drops the `?`.
    fn advance(&mut self) {
        let at = self.rest.find('?');
        debug_assert!(at.is_some(), "more values than placeholders in: {}", self.done);
        if let Some(at) = at {
            let tail = self.rest.split_off(at + 1);
            self.done.push_str(&self.rest[..at]);
            self.rest = tail;
        }
    }

    fn place(&mut self, value: Param) {
        self.values.push(value.value(self.dialect));
        match self.dialect {
            Dialect::Postgres => self.done.push_str(&format!("${}", self.values.len())),
            Dialect::Sqlite => self.done.push('?'),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn postgres_numbers_its_placeholders() {
        let sql = Sql::new(Dialect::Postgres, "UPDATE job SET state = ? WHERE id IN (?) AND x = ?")
            .bind("failed")
            .bind_list([7_i64, 8])
            .bind(true);
        assert_eq!(sql.text(), "UPDATE job SET state = $1 WHERE id IN ($2, $3) AND x = $4");
    }

    #[test]
    fn an_empty_list_matches_nothing() {
        assert_eq!(Sql::new(Dialect::Postgres, "IN (?)").bind_list(Vec::<i64>::new()).text(), "IN (NULL)");
    }

    #[test]
    fn sqlite_times_always_have_six_digits() {
        let time = "2026-01-02T03:04:05Z".parse().unwrap();
        assert_eq!(sqlite_time(time), "2026-01-02 03:04:05.000000");
    }
}
