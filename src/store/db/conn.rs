//! What can be asked of the database, outside of a transaction or within one.

use super::{Access, Db, Tx};
#[cfg(test)]
use super::{failpoint, recorder};
use crate::store::error::StoreError;
use crate::store::row::Row;
use crate::store::sql::{Dialect, Sql};
use crate::telemetry::metrics::{self, Held};

/// Where a statement can be sent: the pool, or one transaction.
pub trait Conn: Sync {
    /// The database's dialect.
    fn dialect(&self) -> Dialect;

    /// What may be done.
    fn access(&self) -> Access;

    /// The end of a query that locks rows on PostgreSQL: `text`, or nothing where only reading is allowed.
    fn lock(&self, text: &'static str) -> &'static str {
        match self.access() {
            Access::Write => self.dialect().pg(text),
            Access::ReadOnly => "",
        }
    }

    /// Sends a measurement of what was done here, once it is committed: what is rolled back or tried again did not happen.
    /// Nothing is made where nothing is measured.
    fn measure(&self, held: impl FnOnce() -> Held) {
        if metrics::is_on() {
            self.take_measurement(held());
        }
    }

    /// Sends it, now or with the commit.
    fn take_measurement(&self, held: Held);

    /// Starts a statement for this database.
    fn sql(&self, text: &str) -> Sql {
        Sql::new(self.dialect(), text)
    }

    /// Runs a statement; returns how many rows it changed.
    fn exec(&self, sql: Sql) -> impl Future<Output = Result<u64, StoreError>> + Send;

    /// Runs a query; returns all its rows.
    fn all(&self, sql: Sql) -> impl Future<Output = Result<Vec<Row>, StoreError>> + Send;

    /// Runs a query; returns its first row.
    fn one(&self, sql: Sql) -> impl Future<Output = Result<Option<Row>, StoreError>> + Send;
}

macro_rules! conn {
    ($type:ty) => {
        impl Conn for $type {
            fn dialect(&self) -> Dialect {
                self.dialect
            }

            fn access(&self) -> Access {
                self.access
            }

            fn take_measurement(&self, held: Held) {
                self.hold(held);
            }

            async fn exec(&self, sql: Sql) -> Result<u64, StoreError> {
                #[cfg(test)]
                {
                    failpoint::pass()?;
                    recorder::note(&sql);
                }
                self.statements.noticed(self.sent_exec(sql.statement()).await)
            }

            async fn all(&self, sql: Sql) -> Result<Vec<Row>, StoreError> {
                #[cfg(test)]
                {
                    failpoint::pass()?;
                    recorder::note(&sql);
                }
                let rows = self.statements.noticed(self.sent_all(sql.statement()).await)?;
                Ok(rows.into_iter().map(|row| Row::new(row, self.dialect)).collect())
            }

            async fn one(&self, sql: Sql) -> Result<Option<Row>, StoreError> {
                #[cfg(test)]
                {
                    failpoint::pass()?;
                    recorder::note(&sql);
                }
                let row = self.statements.noticed(self.sent_one(sql.statement()).await)?;
                Ok(row.map(|row| Row::new(row, self.dialect)))
            }
        }
    };
}

conn!(Db);
conn!(Tx);
