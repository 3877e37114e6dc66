//! Variables and connections: from a custom backend, the environment, or the metadata database, in Airflow's order
//! (`airflow/models/variable.py`, `airflow/models/connection.py`, `[secrets] backend`).

mod backend;
mod cipher;
mod connection;
mod environment;
mod stored;
mod uri;

pub use backend::{BackendError, NoBackend, SecretsBackend};
pub use cipher::{Cipher, CipherError, Stored};
pub use connection::Connection;
pub use environment::Environment;
pub use stored::{connection_in, delete_variable, put_variable, variable_keys};

use super::db::{Conn, Db};
use super::error::StoreError;
use super::execution::MultiTeam;

/// Where secrets come from before the database.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// `AIRFLOW_VAR_*` and `AIRFLOW_CONN_*`.
    pub environment: Environment,
    /// `[core] fernet_key`.
    pub cipher: Cipher,
}

impl Sources {
    /// This process's environment, and the database under the keys of `[core] fernet_key`.
    ///
    /// # Errors
    /// When a key is malformed.
    pub fn of_process(fernet_key: &str) -> Result<Self, CipherError> {
        Ok(Self { environment: Environment::of_process(), cipher: Cipher::new(fernet_key)? })
    }
}

/// For whom a secret is read or written.
#[derive(Clone, Copy, Debug)]
pub struct Access<'a> {
    /// Whether there are teams.
    pub multi_team: MultiTeam,
    /// The team of the task that asks.
    pub team: Option<&'a str>,
}

/// Why a secret cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SecretsError {
    /// A backend says that the task must not have it. No other backend is asked then.
    #[error("access denied: {0}")]
    Denied(String),
    /// A backend that is configured cannot be asked at all.
    #[error("{0}")]
    Unavailable(String),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A variable's value, or nothing.
///
/// # Errors
/// As [`SecretsError`]. A backend that merely fails is passed over, with a warning.
pub async fn variable<B: SecretsBackend>(
    db: &Db,
    sources: &Sources,
    backend: &B,
    key: &str,
    access: Access<'_>,
) -> Result<Option<String>, SecretsError> {
    if let Some(value) = settle(backend.variable(key, access.team).await)? {
        return Ok(Some(value));
    }
    if let Some(value) = sources.environment.variable(key, access) {
        return Ok(Some(value.to_owned()));
    }
    Ok(stored::variable(db, &sources.cipher, key, access.team).await?)
}

/// As [`variable`], without a team and without a backend of the deployment's own, on any connection.
///
/// # Errors
/// As any statement.
pub async fn known_variable<C: Conn>(
    conn: &C,
    sources: &Sources,
    key: &str,
) -> Result<Option<String>, StoreError> {
    let access = Access { multi_team: MultiTeam::Off, team: None };
    match sources.environment.variable(key, access) {
        Some(value) => Ok(Some(value.to_owned())),
        None => stored::variable(conn, &sources.cipher, key, None).await,
    }
}

/// A connection, or nothing.
///
/// # Errors
/// As [`variable`]. A definition that cannot be read is passed over, with a warning.
pub async fn connection<B: SecretsBackend>(
    db: &Db,
    sources: &Sources,
    backend: &B,
    conn_id: &str,
    access: Access<'_>,
) -> Result<Option<Connection>, SecretsError> {
    let custom = settle(backend.connection(conn_id, access.team).await)?;
    if let Some(connection) = custom.and_then(|text| parse(conn_id, &text, "the custom secrets backend")) {
        return Ok(Some(connection));
    }
    let text = sources.environment.connection(conn_id, access);
    if let Some(connection) = text.and_then(|text| parse(conn_id, text, "the environment")) {
        return Ok(Some(connection));
    }
    Ok(stored::connection(db, &sources.cipher, conn_id, access.team).await?)
}

fn settle<T>(answer: Result<Option<T>, BackendError>) -> Result<Option<T>, SecretsError> {
    match answer {
        Ok(value) => Ok(value),
        Err(BackendError::Denied(why)) => Err(SecretsError::Denied(why)),
        Err(BackendError::Unavailable(why)) => Err(SecretsError::Unavailable(why)),
        Err(BackendError::Failed(why)) => {
            tracing::warn!(%why, "the custom secrets backend failed; the next source is asked");
            Ok(None)
        }
    }
}

fn parse(conn_id: &str, text: &str, source: &str) -> Option<Connection> {
    match Connection::parse(conn_id, text) {
        Ok(connection) => Some(connection),
        Err(why) => {
            // The definition itself may hold a password and is not shown.
            tracing::warn!(conn_id, source, %why, "the connection's definition cannot be read");
            None
        }
    }
}

#[cfg(test)]
mod tests;
