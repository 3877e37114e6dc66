//! Where the database is, and how connections to it are opened.

use std::time::Duration;

use sea_orm::{ConnectOptions, Database, DatabaseConnection};

use crate::store::error::StoreError;
use crate::store::sql::Dialect;
use crate::store::statements::Prepared;

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
/// Most connections that are kept whether they are used or not.
const MOST_KEPT: u32 = 10;
/// How long a SQLite writer waits for another one. Stock Airflow gives up after five seconds.
const SQLITE_BUSY: Duration = Duration::from_secs(30);

/// Opens a pool. `names`: statements are kept by name on both sides; `schema`: set once on every connection.
pub(super) async fn open(
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
pub(super) async fn answers(target: &Target) -> Result<(), StoreError> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Db;
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
}
