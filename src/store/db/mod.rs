//! The metadata database: its connection pool, transactions, and the retry of what failed through no fault of its own.

mod conn;
mod retry;
mod target;
mod tx;
#[cfg(test)]
mod watched;

use std::sync::{Arc, Mutex};

use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, QueryResult, SqliteTransactionMode, Statement,
    TransactionOptions, TransactionTrait,
};

use super::error::StoreError;
use super::pooler;
use super::sql::Dialect;
use super::statements::{Prepared, Statements};
use super::unnamed::UnnamedTx;
use crate::telemetry::metrics::Held;
use target::{answers, open};
use tx::Open;

pub use conn::Conn;
pub use retry::retry;
pub use target::{Access, Target};
pub use tx::Tx;
#[cfg(test)]
pub(crate) use watched::{failpoint, recorder};

/// Removes all prepared statements from a connection of PostgreSQL.
const FORGET: &str = "DEALLOCATE ALL";

/// The metadata database. Cheap to clone; all clones share one pool.
#[derive(Clone, Debug)]
pub struct Db {
    inner: DatabaseConnection,
    dialect: Dialect,
    access: Access,
    most: u32,
    statements: Arc<Statements>,
}

/// The connections of one process with the metadata database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Connections {
    /// Most.
    pub most: u32,
    /// Open.
    pub open: u32,
    /// Open and not in use.
    pub idle: u32,
}

impl Db {
    /// Connects. The first connection is made at once, so that a wrong address is found here.
    ///
    /// # Errors
    /// [`StoreError::Unreachable`] when no connection can be made.
    pub async fn connect(target: &Target) -> Result<Self, StoreError> {
        Self::connect_for(target, Access::Write).await
    }

    /// [`Db::connect`], for so much. Read-only connections change nothing on the way either: SQLite's file keeps its
    /// journal mode.
    ///
    /// # Errors
    /// As [`Db::connect`].
    pub async fn connect_for(target: &Target, access: Access) -> Result<Self, StoreError> {
        answers(target).await?;
        let mut inner = open(target, access, true, None).await?;
        let unnamed = match (target.dialect, access, target.prepared) {
            (Dialect::Sqlite, _, _) | (_, Access::Write, Prepared::Kept) => false,
            // `BEGIN … READ ONLY` for every statement asks nothing of a pooler, unlike a setting of the session.
            (_, Access::ReadOnly, _) | (_, _, Prepared::Unnamed) => true,
            (_, _, Prepared::Auto) => pooler::found(inner.get_postgres_connection_pool()).await?,
        };
        if unnamed || target.schema.is_some() {
            // What is set at the log-in, and what is kept on both sides, was not known before.
            let _ = inner.close().await;
            inner = open(target, access, !unnamed, target.schema.as_deref().filter(|_| !unnamed)).await?;
        }
        let read_only = access == Access::ReadOnly;
        let statements = Arc::new(Statements::new(unnamed, read_only, target.schema.as_deref()));
        Ok(Self { inner, dialect: target.dialect, access, most: target.max_connections, statements })
    }

    /// Whether statements are sent without names, each within a transaction: see [`super::unnamed`].
    pub fn is_unnamed(&self) -> bool {
        self.statements.are_unnamed()
    }

    /// Starts a transaction; on SQLite it takes the write lock at once, so that it cannot fail halfway. One that only
    /// reads takes no lock, and sees the database as it was at one moment.
    ///
    /// # Errors
    /// As any statement.
    pub async fn begin(&self) -> Result<Tx, StoreError> {
        let open = match self.unnamed().await? {
            Some(tx) => Open::Unnamed(tx),
            None => Open::Driver(self.begin_driver().await?),
        };
        let statements = self.statements.clone();
        Ok(Tx { open, dialect: self.dialect, access: self.access, statements, held: Mutex::default() })
    }

    fn hold(&self, held: Held) {
        held.send();
    }

    async fn unnamed(&self) -> Result<Option<UnnamedTx>, StoreError> {
        if !self.statements.are_unnamed() {
            return Ok(None);
        }
        let pool = self.inner.get_postgres_connection_pool();
        Ok(Some(UnnamedTx::begin(pool, self.statements.begin()).await?))
    }

    async fn begin_driver(&self) -> Result<DatabaseTransaction, StoreError> {
        let mode = match self.access {
            Access::Write => SqliteTransactionMode::Immediate,
            Access::ReadOnly => SqliteTransactionMode::Deferred,
        };
        let options = TransactionOptions { sqlite_transaction_mode: Some(mode), ..Default::default() };
        Ok(self.inner.begin_with_options(options).await?)
    }

    /// A transaction of the driver's, for what is not a statement of ours: migrations. To be ended with
    /// [`Db::commit_migration`].
    pub(super) async fn begin_migration(&self) -> Result<DatabaseTransaction, StoreError> {
        let tx = self.begin_driver().await?;
        if self.statements.are_unnamed() {
            // The driver names its statements; those of others may still be on the connection that the pooler gave.
            tx.execute_unprepared(FORGET).await?;
            if let Some(path) = self.statements.set_local() {
                tx.execute_unprepared(path).await?;
            }
        }
        Ok(tx)
    }

    /// Makes everything done in it visible and lasting.
    pub(super) async fn commit_migration(&self, tx: DatabaseTransaction) -> Result<(), StoreError> {
        if self.statements.are_unnamed() {
            tx.execute_unprepared(FORGET).await?;
        }
        Ok(tx.commit().await?)
    }

    /// How many connections there are at this moment.
    pub fn connections(&self) -> Connections {
        let (open, idle) = match self.dialect {
            Dialect::Postgres => {
                let pool = self.inner.get_postgres_connection_pool();
                (pool.size(), pool.num_idle())
            }
            Dialect::Sqlite => {
                let pool = self.inner.get_sqlite_connection_pool();
                (pool.size(), pool.num_idle())
            }
        };
        Connections { most: self.most, open, idle: u32::try_from(idle).unwrap_or(u32::MAX) }
    }

    /// Closes the pool.
    pub async fn close(self) {
        // A pool that cannot be closed is dropped all the same.
        let _ = self.inner.close().await;
    }
}

impl Db {
    async fn sent_exec(&self, statement: Statement) -> Result<u64, StoreError> {
        let Some(tx) = self.unnamed().await? else {
            return Ok(self.inner.execute_raw(statement).await?.rows_affected());
        };
        let changed = tx.exec(statement).await?;
        tx.commit().await?;
        Ok(changed)
    }

    async fn sent_all(&self, statement: Statement) -> Result<Vec<QueryResult>, StoreError> {
        let Some(tx) = self.unnamed().await? else { return Ok(self.inner.query_all_raw(statement).await?) };
        let rows = tx.all(statement).await?;
        tx.commit().await?;
        Ok(rows)
    }

    async fn sent_one(&self, statement: Statement) -> Result<Option<QueryResult>, StoreError> {
        let Some(tx) = self.unnamed().await? else { return Ok(self.inner.query_one_raw(statement).await?) };
        let row = tx.one(statement).await?;
        tx.commit().await?;
        Ok(row)
    }
}

#[cfg(test)]
mod tests {
    use sea_orm::{ConnectOptions, Database};

    use super::*;
    use crate::store::testing;

    #[test]
    fn a_proxy_that_takes_connections_for_a_server_that_is_away_is_an_outage() {
        testing::block_on(async {
            let proxy = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let url = format!("postgres://u@{}/x", proxy.local_addr().unwrap());
            let server = tokio::spawn(async move {
                loop {
                    drop(proxy.accept().await);
                }
            });
            let mut options = ConnectOptions::new(url);
            options.connect_lazy(true).sqlx_logging(false);
            let inner = Database::connect(options).await.unwrap();
            for unnamed in [false, true] {
                let statements = Arc::new(Statements::new(unnamed, false, None));
                let (dialect, access) = (Dialect::Postgres, Access::Write);
                let db = Db { inner: inner.clone(), dialect, access, most: 1, statements };
                let error = db.begin().await.err().unwrap();
                assert!(matches!(error, StoreError::Unreachable(_)), "{error}");
            }
            server.abort();
        });
    }
}
