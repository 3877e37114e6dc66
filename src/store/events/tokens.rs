//! Tokens: who may send to and read from which namespaces.
//!
//! Only a hash of a token is stored. A token is 256 random bits, so that a plain SHA-256 cannot be searched.

use chrono::{DateTime, Utc};
use serde_json::json;
use sha2::{Digest, Sha256};
use slipstream_core::event::AIRFLOW_NAMESPACE;
use uuid::Uuid;

use super::{BadGlob, Glob, Match};
use crate::store::{Conn, Row, StoreError};

/// What a token is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// Send events.
    Send,
    /// Read events and have subscriptions.
    Read,
}

impl Right {
    /// As it is stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Send => "send",
            Self::Read => "read",
        }
    }
}

/// A token as it is stored, without its secret.
#[derive(Clone, Debug)]
pub struct Token {
    /// Its name.
    pub name: String,
    /// The namespaces that it is good for.
    pub namespaces: Match,
    /// What it is good for there.
    pub rights: Vec<Right>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// Until when it is good.
    pub expires_at: Option<DateTime<Utc>>,
    hash: String,
}

impl Token {
    /// Whether it gives a right in a namespace.
    pub fn allows(&self, right: Right, namespace: &str) -> bool {
        self.rights.contains(&right) && self.namespaces.matches(namespace)
    }
}

/// Why a token would be of no use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UselessToken {
    /// A namespace is no pattern.
    #[error("namespace {0}")]
    Namespace(#[from] BadGlob),
    /// It would give the right to what no one may do.
    #[error(
        "no token can send into namespace `{AIRFLOW_NAMESPACE}`, which is reserved for what Airflow itself reports: add it with \
         `--right read`"
    )]
    Reserved,
}

/// Whether a token is good for what it says.
///
/// # Errors
/// [`UselessToken`].
pub fn check(namespaces: &Match, rights: &[Right]) -> Result<(), UselessToken> {
    namespaces.check()?;
    let reserved = |glob: &Glob| *glob == Glob::Exact(AIRFLOW_NAMESPACE.to_owned());
    if rights.contains(&Right::Send) && !namespaces.0.is_empty() && namespaces.0.iter().all(reserved) {
        return Err(UselessToken::Reserved);
    }
    Ok(())
}

/// Makes a token; returns its text, which is told this once.
///
/// # Errors
/// [`StoreError::Refused`] when there is a token of this name; as any statement.
pub async fn add(
    conn: &impl Conn,
    name: &str,
    namespaces: &Match,
    rights: &[Right],
    expires_at: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> Result<String, StoreError> {
    let text = format!("slipstream_{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
    let rights: Vec<_> = rights.iter().map(|right| right.as_str()).collect();
    let sql = conn
        .sql("INSERT INTO slipstream_token (name, hash, namespaces, rights, created_at, expires_at) VALUES ?")
        .bind_rows([vec![
            name.into(),
            hash(&text).into(),
            json!(namespaces).into(),
            json!(rights).into(),
            now.into(),
            expires_at.into(),
        ]]);
    conn.exec(sql).await?;
    Ok(text)
}

/// All tokens, by name.
///
/// # Errors
/// As any statement.
pub async fn list(conn: &impl Conn) -> Result<Vec<Token>, StoreError> {
    let rows = conn.all(conn.sql("SELECT * FROM slipstream_token ORDER BY name")).await?;
    rows.iter().map(token).collect()
}

/// Removes a token; `None`: there is none of this name.
///
/// # Errors
/// As any statement.
pub async fn remove(conn: &impl Conn, name: &str) -> Result<Option<()>, StoreError> {
    let removed = conn.exec(conn.sql("DELETE FROM slipstream_token WHERE name = ?").bind(name)).await?;
    Ok((removed > 0).then_some(()))
}

/// The token as it is now: it may have been removed, or made anew with other rights, or it may have expired.
pub fn again<'t>(tokens: &'t [Token], token: &Token, now: DateTime<Utc>) -> Option<&'t Token> {
    let good = |one: &&Token| one.hash == token.hash && one.expires_at.is_none_or(|expires| now < expires);
    tokens.iter().find(good)
}

/// The token with this text that is still good.
pub fn find<'t>(tokens: &'t [Token], text: &str, now: DateTime<Utc>) -> Option<&'t Token> {
    // What is compared are hashes: how far they agree tells nothing about the token.
    let hash = hash(text);
    tokens.iter().find(|token| token.hash == hash && token.expires_at.is_none_or(|expires| now < expires))
}

fn hash(text: &str) -> String {
    hex::encode(Sha256::digest(text.as_bytes()))
}

fn token(row: &Row) -> Result<Token, StoreError> {
    let namespaces = serde_json::from_value(row.json("namespaces")?);
    let namespaces: Match = namespaces
        .map_err(|error| StoreError::Column { column: "namespaces".to_owned(), why: error.to_string() })?;
    let rights = row.json("rights")?;
    let has = |right: &Right| rights.as_array().is_some_and(|all| all.contains(&right.as_str().into()));
    Ok(Token {
        name: row.text("name")?,
        namespaces,
        rights: [Right::Send, Right::Read].into_iter().filter(has).collect(),
        created_at: row.time("created_at")?,
        expires_at: row.time_opt("expires_at")?,
        hash: row.text("hash")?,
    })
}
