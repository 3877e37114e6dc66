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
    /// As a field of a row that travels in a JSON text: what the database makes of it is what [`Param::value`] is.
    fn json(self, dialect: Dialect) -> serde_json::Value {
        match (self, dialect) {
            (Param::Bool(v), _) => v.into(),
            (Param::Int(v), _) => v.into(),
            (Param::Float(v), _) => v.into(),
            (Param::Text(v), _) => v.into(),
            (Param::Bytes(v), _) => v.into(),
            (Param::Time(v), Dialect::Postgres) => {
                v.map(|v| v.to_rfc3339_opts(chrono::SecondsFormat::Micros, true)).into()
            }
            (Param::Time(v), Dialect::Sqlite) => v.map(sqlite_time).into(),
            (Param::Uuid(v), Dialect::Postgres) => v.map(|v| v.to_string()).into(),
            (Param::Uuid(v), Dialect::Sqlite) => v.map(|v| v.simple().to_string()).into(),
            (Param::Json(v), _) => v.map(|v| v.to_string()).into(),
        }
    }

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

/// What a column of [`Sql::bind_table`] holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A whole number.
    Int,
    /// Text.
    Text,
    /// A moment.
    Time,
    /// A UUID.
    Uuid,
    /// JSON, which neither database takes apart on the way.
    Json,
}

impl Kind {
    fn postgres(self) -> &'static str {
        match self {
            Self::Int => "bigint",
            Self::Text | Self::Json => "text",
            Self::Time => "timestamptz",
            Self::Uuid => "uuid",
        }
    }
}

/// How many values a list of so many gets: powers of two, then multiples of 256. Connections keep statements prepared by
/// their texts, and lists of every length would push each other and all others out.
fn padded(length: usize) -> usize {
    if length <= 256 { length.next_power_of_two() } else { length.next_multiple_of(256) }
}

fn pad<T: Clone>(values: &mut Vec<T>) {
    if let Some(last) = values.last().cloned() {
        values.resize(padded(values.len()), last);
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

    /// Fills the next `?` with as many values as there are, separated by commas; with `NULL` if there is none. After `IN (` the
    /// last one is repeated (see `padded`).
    #[must_use]
    pub fn bind_list<P: Into<Param>>(mut self, values: impl IntoIterator<Item = P>) -> Self {
        self.advance();
        let mut values: Vec<Param> = values.into_iter().map(Into::into).collect();
        if self.done.ends_with("IN (") {
            pad(&mut values);
        }
        if values.is_empty() {
            self.done.push_str("NULL");
        }
        for (at, value) in values.into_iter().enumerate() {
            if at > 0 {
                self.done.push_str(", ");
            }
            self.place(value);
        }
        self
    }

    /// As [`Sql::bind_rows`], for a row-wise `IN (VALUES ?)`: the last row is repeated (see `padded`).
    #[must_use]
    pub fn bind_keys(self, rows: impl IntoIterator<Item = Vec<Param>>) -> Self {
        let mut rows: Vec<Vec<Param>> = rows.into_iter().collect();
        pad(&mut rows);
        self.bind_rows(rows)
    }

    /// Fills the next `?` with a query for these rows, to be inserted: one text, however many they are. All values travel
    /// as one JSON text.
    #[must_use]
    pub fn bind_table(
        mut self,
        columns: &[(&str, Kind)],
        rows: impl IntoIterator<Item = Vec<Param>>,
    ) -> Self {
        self.advance();
        let dialect = self.dialect;
        let names = || columns.iter().map(|(name, _)| (*name).to_owned());
        let rows: Vec<serde_json::Value> = rows
            .into_iter()
            .map(|row| names().zip(row.into_iter().map(|value| value.json(dialect))).collect())
            .collect();
        let (fields, from, end) = match dialect {
            Dialect::Postgres => {
                let field = |(name, kind): &(&str, Kind)| match kind {
                    Kind::Json => format!("CAST(r.{name} AS json)"),
                    _ => format!("r.{name}"),
                };
                let typed = |(name, kind): &(&str, Kind)| format!("{name} {}", kind.postgres());
                let typed = columns.iter().map(typed).collect::<Vec<_>>().join(", ");
                let fields: Vec<String> = columns.iter().map(field).collect();
                (fields, " FROM json_to_recordset(CAST(", format!(" AS json)) AS r({typed})"))
            }
            Dialect::Sqlite => {
                let field = |(name, _): &(&str, Kind)| format!("value ->> '{name}'");
                // Without a condition an `ON CONFLICT` that follows would be taken for a join.
                (columns.iter().map(field).collect(), " FROM json_each(", ") WHERE true".to_owned())
            }
        };
        self.done.push_str("SELECT ");
        self.done.push_str(&fields.join(", "));
        self.done.push_str(from);
        self.place(serde_json::Value::from(rows).to_string().into());
        self.done.push_str(&end);
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
    use crate::store::Conn;
    use crate::store::testing;

    #[test]
    fn postgres_numbers_its_placeholders() {
        let sql = Sql::new(Dialect::Postgres, "UPDATE job SET state = ? WHERE id IN (?) AND x = ?")
            .bind("failed")
            .bind_list([7_i64, 8])
            .bind(true);
        assert_eq!(sql.text(), "UPDATE job SET state = $1 WHERE id IN ($2, $3) AND x = $4");
    }

    #[test]
    fn lists_of_many_lengths_are_few_texts() {
        let text = |length: i64| Sql::new(Dialect::Postgres, "x IN (?)").bind_list(0..length).text();
        assert_eq!(text(3), "x IN ($1, $2, $3, $4)");
        let texts: std::collections::BTreeSet<String> = (1..=1000).map(text).collect();
        assert_eq!(texts.len(), 12);
        let keys = |length: i64| (0..length).map(|n| vec![n.into(), n.into()]);
        let text = |length| Sql::new(Dialect::Sqlite, "IN (VALUES ?)").bind_keys(keys(length)).text();
        assert_eq!(text(3), text(4));
    }

    #[test]
    fn rows_of_a_table_arrive_as_they_were_bound() {
        testing::on_each_database(async |db| {
            let columns = [
                ("n", Kind::Int),
                ("t", Kind::Text),
                ("at", Kind::Time),
                ("id", Kind::Uuid),
                ("doc", Kind::Json),
            ];
            let (at, id) = (testing::at(7), Uuid::from_u128(9));
            let doc = serde_json::json!({"a": [1, "x"], "b": null});
            let types = db.dialect().pick(
                "(n bigint, t text, at timestamptz, id uuid, doc json)",
                "(n bigint, t text, at timestamp, id char(32), doc json)",
            );
            let tx = db.begin().await.unwrap();
            tx.exec(tx.sql(&format!("CREATE TEMPORARY TABLE kinds {types}"))).await.unwrap();
            let full = vec![7.into(), "it's \"so\"".into(), at.into(), id.into(), doc.clone().into()];
            let none = vec![
                Param::Int(None),
                Param::Text(None),
                Param::Time(None),
                Param::Uuid(None),
                Param::Json(None),
            ];
            let sql = tx.sql("INSERT INTO kinds (n, t, at, id, doc) ?").bind_table(&columns, [full, none]);
            assert_eq!(tx.exec(sql).await.unwrap(), 2);
            let sql = tx.sql("SELECT * FROM kinds WHERE n = ? AND at = ? AND id = ?");
            let row = tx.one(sql.bind(7).bind(at).bind(id)).await.unwrap().unwrap();
            assert_eq!((row.text("t").unwrap().as_str(), row.json("doc").unwrap()), ("it's \"so\"", doc));
            assert_eq!((row.time("at").unwrap(), row.uuid("id").unwrap()), (at, id));
            let sql = tx.sql("SELECT count(*) AS n FROM kinds WHERE n IS NULL AND t IS NULL AND at IS NULL AND id IS NULL AND doc IS NULL");
            assert_eq!(tx.one(sql).await.unwrap().unwrap().int("n").unwrap(), 1);
        });
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
