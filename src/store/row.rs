//! Reading columns of a row, whichever form the database gave them.

use chrono::{DateTime, NaiveDateTime, Utc};
use sea_orm::{QueryResult, TryGetable};
use uuid::Uuid;

use slipstream_core::state::UnknownState;

use super::error::StoreError;
use super::sql::Dialect;

/// One row of an answer. Columns are read by name; reading a `NULL` through a function that promises a value is an error
/// that names the column.
#[derive(Debug)]
pub struct Row {
    inner: QueryResult,
    dialect: Dialect,
}

impl Row {
    pub(super) fn new(inner: QueryResult, dialect: Dialect) -> Self {
        Self { inner, dialect }
    }

    fn get<T: TryGetable>(&self, column: &str) -> Result<Option<T>, StoreError> {
        self.inner
            .try_get::<Option<T>>("", column)
            .map_err(|error| StoreError::Column { column: column.to_owned(), why: error.to_string() })
    }

    fn some<T>(&self, column: &str, value: Option<T>) -> Result<T, StoreError> {
        value.ok_or_else(|| StoreError::Column { column: column.to_owned(), why: "is NULL".to_owned() })
    }

    fn bad<T>(&self, column: &str, text: &str, what: &str) -> Result<T, StoreError> {
        Err(StoreError::Column { column: column.to_owned(), why: format!("`{text}` is not {what}") })
    }

    /// A text that is never `NULL`.
    pub fn text(&self, column: &str) -> Result<String, StoreError> {
        self.some(column, self.get(column)?)
    }

    /// A text.
    pub fn text_opt(&self, column: &str) -> Result<Option<String>, StoreError> {
        self.get(column)
    }

    /// A text as one of our identifier types.
    pub fn id<T: From<String>>(&self, column: &str) -> Result<T, StoreError> {
        Ok(T::from(self.text(column)?))
    }

    /// A whole number that is never `NULL`, of a 32- or 64-bit column.
    pub fn int(&self, column: &str) -> Result<i64, StoreError> {
        self.some(column, self.int_opt(column)?)
    }

    /// A whole number, of a 32- or 64-bit column.
    pub fn int_opt(&self, column: &str) -> Result<Option<i64>, StoreError> {
        match self.dialect {
            // PostgreSQL is strict about widths: an `int4` cannot be read as an `int8`.
            Dialect::Postgres => match self.get::<i32>(column) {
                Ok(value) => Ok(value.map(i64::from)),
                Err(_) => self.get::<i64>(column),
            },
            Dialect::Sqlite => self.get::<i64>(column),
        }
    }

    /// A 32-bit number that is never `NULL`.
    pub fn int32(&self, column: &str) -> Result<i32, StoreError> {
        let value = self.int(column)?;
        i32::try_from(value).or_else(|_| self.bad(column, &value.to_string(), "a 32-bit number"))
    }

    /// A floating-point number.
    pub fn float_opt(&self, column: &str) -> Result<Option<f64>, StoreError> {
        self.get(column)
    }

    /// A truth value; `NULL` is false.
    pub fn bool(&self, column: &str) -> Result<bool, StoreError> {
        match self.dialect {
            Dialect::Postgres => Ok(self.get::<bool>(column)?.unwrap_or(false)),
            Dialect::Sqlite => Ok(self.get::<i64>(column)?.unwrap_or(0) != 0),
        }
    }

    /// A moment.
    pub fn time_opt(&self, column: &str) -> Result<Option<DateTime<Utc>>, StoreError> {
        match self.dialect {
            Dialect::Postgres => self.get::<DateTime<Utc>>(column),
            Dialect::Sqlite => {
                let Some(text) = self.get::<String>(column)? else { return Ok(None) };
                match parse_sqlite_time(&text) {
                    Some(time) => Ok(Some(time)),
                    None => self.bad(column, &text, "a time"),
                }
            }
        }
    }

    /// A moment that is never `NULL`.
    pub fn time(&self, column: &str) -> Result<DateTime<Utc>, StoreError> {
        self.some(column, self.time_opt(column)?)
    }

    /// A UUID.
    pub fn uuid_opt(&self, column: &str) -> Result<Option<Uuid>, StoreError> {
        match self.dialect {
            Dialect::Postgres => self.get::<Uuid>(column),
            Dialect::Sqlite => {
                let Some(text) = self.get::<String>(column)? else { return Ok(None) };
                match Uuid::parse_str(&text) {
                    Ok(id) => Ok(Some(id)),
                    Err(_) => self.bad(column, &text, "a UUID"),
                }
            }
        }
    }

    /// A UUID that is never `NULL`.
    pub fn uuid(&self, column: &str) -> Result<Uuid, StoreError> {
        self.some(column, self.uuid_opt(column)?)
    }

    /// JSON; SQL `NULL` and JSON `null` are both `Null`, as every reader of Airflow's columns must treat them.
    pub fn json(&self, column: &str) -> Result<serde_json::Value, StoreError> {
        match self.dialect {
            Dialect::Postgres => {
                Ok(self.get::<serde_json::Value>(column)?.unwrap_or(serde_json::Value::Null))
            }
            Dialect::Sqlite => {
                // SQLite gives a column of type JSON numeric affinity: a bare number is stored as a number.
                if let Ok(Some(number)) = self.get::<i64>(column) {
                    return Ok(number.into());
                }
                if let Ok(Some(number)) = self.get::<f64>(column) {
                    return Ok(number.into());
                }
                let Some(text) = self.get::<String>(column)? else { return Ok(serde_json::Value::Null) };
                serde_json::from_str(&text).or_else(|_| self.bad(column, &text, "JSON"))
            }
        }
    }

    /// Bytes.
    pub fn bytes_opt(&self, column: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.get(column)
    }

    /// A state; `NULL` is Airflow's "none".
    pub fn state_opt<S: std::str::FromStr<Err = UnknownState>>(
        &self,
        column: &str,
    ) -> Result<Option<S>, StoreError> {
        Ok(self.text_opt(column)?.map(|text| text.parse()).transpose()?)
    }

    /// A state that is never `NULL`.
    pub fn state<S: std::str::FromStr<Err = UnknownState>>(&self, column: &str) -> Result<S, StoreError> {
        let state = self.state_opt(column)?;
        self.some(column, state)
    }
}

/// Times in SQLite come from SQLAlchemy (`2026-01-02 03:04:05.000000`) or from SQLite's own functions.
fn parse_sqlite_time(text: &str) -> Option<DateTime<Utc>> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Some(time.with_timezone(&Utc));
    }
    ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f"]
        .iter()
        .find_map(|format| NaiveDateTime::parse_from_str(text, format).ok())
        .map(|naive| naive.and_utc())
}
