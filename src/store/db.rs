//! The connection pool, transactions, and the retry of what failed through no fault of its own.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sea_orm::{
    ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DatabaseTransaction, QueryResult,
    SqliteTransactionMode, Statement, TransactionOptions, TransactionTrait,
};

use super::error::StoreError;
use super::pooler;
use super::row::Row;
use super::sql::{Dialect, Sql};
use super::statements::{Prepared, Statements};
use super::unnamed::UnnamedTx;
use crate::telemetry::metrics::{self, Held};

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

/// What may be done through a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Everything.
    Write,
    /// Nothing but reading; the database itself refuses the rest, and no row is locked.
    ReadOnly,
}

/// How to reach the metadata database: what `[database] sql_alchemy_conn` says, in the form that the driver takes.
#[derive(Clone, Debug)]
pub struct Target {
    /// Which database it is.
    pub dialect: Dialect,
    /// `postgres://…` or `sqlite:///path?mode=rw`.
    pub url: String,
    /// Most connections that this process holds at once.
    pub max_connections: u32,
    /// `[database] schema` or `options=-csearch_path=…`: where Airflow's tables are.
    pub schema: Option<String>,
    /// `[slipstream] prepared_statements`.
    pub prepared: Prepared,
}

/// How long a new connection may take.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// Removes all prepared statements from a connection of PostgreSQL.
const FORGET: &str = "DEALLOCATE ALL";
/// Most connections that are kept whether they are used or not.
const MOST_KEPT: u32 = 10;
/// How long a SQLite writer waits for another one. Stock Airflow gives up after five seconds.
const SQLITE_BUSY: Duration = Duration::from_secs(30);

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

/// Opens a pool. `names`: statements are kept by name on both sides; `schema`: set once on every connection.
async fn open(
    target: &Target,
    access: Access,
    names: bool,
    schema: Option<&str>,
) -> Result<DatabaseConnection, StoreError> {
    let mut options = ConnectOptions::new(target.url.clone());
    options
        .max_connections(target.max_connections)
        .min_connections(kept(target))
        .acquire_timeout(Duration::from_secs(20))
        .connect_timeout(CONNECT_LIMIT)
        .idle_timeout(Duration::from_secs(300))
        .sqlx_logging(false)
        .map_sqlx_sqlite_opts(move |options| {
            let options = options.busy_timeout(SQLITE_BUSY).foreign_keys(true);
            match access {
                Access::Write => options.pragma("journal_mode", "WAL").pragma("synchronous", "NORMAL"),
                Access::ReadOnly => options.pragma("query_only", "ON"),
            }
        })
        .map_sqlx_postgres_opts(move |options| {
            // PgBouncer refuses a log-in that sets it, and PostgreSQL 12 and newer write floats exactly without.
            let options = options.extra_float_digits(None);
            if names { options } else { options.statement_cache_capacity(0) }
        });
    if let Some(schema) = schema {
        options.set_schema_search_path(schema);
    }
    Database::connect(options).await.map_err(|error| StoreError::Unreachable(error.to_string()))
}

/// How many connections are opened at once and kept. A log-in to PostgreSQL (SCRAM) takes many hundred turns of the event
/// loop: on a busy process that opened a connection when it needed one, a task would wait for seconds.
fn kept(target: &Target) -> u32 {
    match target.dialect {
        Dialect::Postgres => target.max_connections.min(MOST_KEPT),
        Dialect::Sqlite => 0,
    }
}

/// Whether anything listens at the server's address. The pool would go on asking for a while and then only say that time
/// is up.
async fn answers(target: &Target) -> Result<(), StoreError> {
    let Ok(url) = url::Url::parse(&target.url) else { return Ok(()) };
    // The options win over the address, as in libpq.
    let option = |wanted: &str| {
        url.query_pairs().find(|(name, _)| name == wanted).map(|(_, value)| value.into_owned())
    };
    let host = option("host").or_else(|| url.host_str().map(str::to_owned)).unwrap_or_default();
    // A path, plain or encoded, is a directory of sockets.
    if target.dialect != Dialect::Postgres || host.is_empty() || host.starts_with(['/', '%']) {
        return Ok(());
    }
    let port = option("port").and_then(|port| port.parse().ok()).or(url.port()).unwrap_or(5432);
    let host = host.trim_matches(['[', ']']);
    let why = match tokio::time::timeout(CONNECT_LIMIT, tokio::net::TcpStream::connect((host, port))).await {
        Ok(Ok(_)) => return Ok(()),
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("no answer within {} s", CONNECT_LIMIT.as_secs()),
    };
    Err(StoreError::Unreachable(format!("{host}:{port}: {why}")))
}

/// An open transaction. Dropped without [`Tx::commit`], it is rolled back.
#[derive(Debug)]
pub struct Tx {
    open: Open,
    dialect: Dialect,
    access: Access,
    statements: Arc<Statements>,
    /// Sent when all of it is certain.
    held: Mutex<Vec<Held>>,
}

#[derive(Debug)]
enum Open {
    Driver(DatabaseTransaction),
    Unnamed(UnnamedTx),
}

impl Tx {
    /// Makes everything done in it visible and lasting.
    ///
    /// # Errors
    /// As any statement; then nothing was done.
    pub async fn commit(self) -> Result<(), StoreError> {
        #[cfg(test)]
        failpoint::pass()?;
        match self.open {
            Open::Driver(tx) => tx.commit().await?,
            Open::Unnamed(tx) => tx.commit().await?,
        }
        self.held.into_inner().unwrap_or_else(PoisonError::into_inner).iter().for_each(Held::send);
        Ok(())
    }

    fn hold(&self, held: Held) {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).push(held);
    }

    /// Undoes everything done in it.
    ///
    /// # Errors
    /// As any statement.
    pub async fn rollback(self) -> Result<(), StoreError> {
        match self.open {
            Open::Driver(tx) => tx.rollback().await?,
            Open::Unnamed(tx) => tx.rollback().await?,
        }
        Ok(())
    }
}

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

impl Tx {
    async fn sent_exec(&self, statement: Statement) -> Result<u64, StoreError> {
        Ok(match &self.open {
            Open::Driver(tx) => tx.execute_raw(statement).await?.rows_affected(),
            Open::Unnamed(tx) => tx.exec(statement).await?,
        })
    }

    async fn sent_all(&self, statement: Statement) -> Result<Vec<QueryResult>, StoreError> {
        Ok(match &self.open {
            Open::Driver(tx) => tx.query_all_raw(statement).await?,
            Open::Unnamed(tx) => tx.all(statement).await?,
        })
    }

    async fn sent_one(&self, statement: Statement) -> Result<Option<QueryResult>, StoreError> {
        Ok(match &self.open {
            Open::Driver(tx) => tx.query_one_raw(statement).await?,
            Open::Unnamed(tx) => tx.one(statement).await?,
        })
    }
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

/// Lets a test lose the database after so many statements, as a process that is killed does: what is not committed is gone.
#[cfg(test)]
pub(crate) mod failpoint {
    use std::cell::Cell;

    use super::StoreError;

    thread_local! {
        static LEFT: Cell<Option<u32>> = const { Cell::new(None) };
        static CUT: Cell<bool> = const { Cell::new(false) };
    }

    /// The statements of this thread fail after `statements` more of them; commits count as well.
    pub(crate) fn after(statements: u32) {
        LEFT.set(Some(statements));
        CUT.set(false);
    }

    /// Statements work again. Whether any had failed.
    pub(crate) fn off() -> bool {
        LEFT.set(None);
        CUT.get()
    }

    pub(super) fn pass() -> Result<(), StoreError> {
        match LEFT.get() {
            Some(0) => {
                CUT.set(true);
                Err(StoreError::Unreachable("a test cut the connection".to_owned()))
            }
            Some(left) => {
                LEFT.set(Some(left - 1));
                Ok(())
            }
            None => Ok(()),
        }
    }
}

/// Lets a test see which statements its thread sends.
#[cfg(test)]
pub(crate) mod recorder {
    use std::cell::RefCell;

    use super::Sql;

    thread_local! {
        static SENT: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
    }

    pub(super) fn note(sql: &Sql) {
        SENT.with_borrow_mut(|sent| sent.iter_mut().for_each(|sent| sent.push(sql.text())));
    }

    /// The texts of the statements that `work` sends.
    pub(crate) async fn of(work: impl Future<Output = ()>) -> Vec<String> {
        SENT.set(Some(Vec::new()));
        work.await;
        SENT.take().unwrap_or_default()
    }
}

/// How often a transaction is tried before its error is the caller's: `[database] max_db_retries` is 3 in Airflow; short
/// transactions under several schedulers want a few more.
const TRIES: u32 = 5;

/// Runs `work` again, a few times and a little later each time, while it fails in a transient way.
///
/// `work` must do everything in one transaction of its own: a failed try has then done nothing.
///
/// # Errors
/// The last try's error, or at once one that is not transient.
pub async fn retry<T, F, W>(what: &'static str, mut work: W) -> Result<T, StoreError>
where
    W: FnMut() -> F,
    F: Future<Output = Result<T, StoreError>>,
{
    let mut pause = Duration::from_millis(20);
    for attempt in 1.. {
        match work().await {
            Err(error) if error.is_transient() && attempt < TRIES => {
                tracing::debug!(what, attempt, %error, "transaction is tried again");
                tokio::time::sleep(pause).await;
                pause = (pause * 3).min(Duration::from_secs(2));
            }
            result => return result,
        }
    }
    unreachable!("the loop above returns")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing;

    #[test]
    fn a_server_that_does_not_listen_is_named_at_once() {
        testing::block_on(async {
            for url in
                ["postgres://u:secret@127.0.0.1:1/x", "postgres://?host=127.0.0.1&port=1&password=secret"]
            {
                let target = Target {
                    dialect: Dialect::Postgres,
                    url: url.to_owned(),
                    max_connections: 1,
                    schema: None,
                    prepared: Prepared::Auto,
                };
                let error = Db::connect(&target).await.unwrap_err().to_string();
                assert!(error.contains("127.0.0.1:1") && !error.contains("secret"), "{error}");
            }
        });
    }

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
