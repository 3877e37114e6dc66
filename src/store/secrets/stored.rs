//! Secrets in the metadata database (`airflow/secrets/metastore.py`).

use super::cipher::{Cipher, CipherError, Stored};
use super::connection::Connection;
use crate::store::db::{Conn, Db};
use crate::store::error::StoreError;
use crate::store::row::Row;
use crate::store::sql::Sql;

/// Restricts to secrets of the team and of no team.
fn of_team(sql: Sql, team: Option<&str>) -> Sql {
    match team {
        Some(team) => sql.push(" AND (team_name = ? OR team_name IS NULL)").bind(team),
        None => sql.push(" AND team_name IS NULL"),
    }
}

/// A variable's value. One that cannot be decrypted is nothing, as in Airflow.
pub(super) async fn variable<C: Conn>(
    db: &C,
    cipher: &Cipher,
    key: &str,
    team: Option<&str>,
) -> Result<Option<String>, StoreError> {
    let sql = of_team(db.sql("SELECT val, is_encrypted FROM variable WHERE key = ?").bind(key), team);
    let Some(row) = db.one(sql.push(" LIMIT 1")).await? else { return Ok(None) };
    let Some(value) = row.text_opt("val")? else { return Ok(None) };
    match cipher.decrypt(&value, row.bool("is_encrypted")?.into()) {
        Ok(value) => Ok(Some(value)),
        Err(error) => {
            tracing::error!(key, %error, "the variable cannot be decrypted");
            Ok(None)
        }
    }
}

/// A connection. One that cannot be decrypted is nothing, as in Airflow.
pub(super) async fn connection(
    db: &Db,
    cipher: &Cipher,
    conn_id: &str,
    team: Option<&str>,
) -> Result<Option<Connection>, StoreError> {
    let sql = db
        .sql(
            "SELECT conn_id, conn_type, host, schema, login, port, password, extra, is_encrypted, is_extra_encrypted \
             FROM connection WHERE conn_id = ?",
        )
        .bind(conn_id);
    let Some(row) = db.one(of_team(sql, team).push(" LIMIT 1")).await? else { return Ok(None) };
    match connection_in(&row, cipher)? {
        Ok(connection) => Ok(Some(connection)),
        Err(error) => {
            tracing::error!(conn_id, %error, "the connection cannot be decrypted");
            Ok(None)
        }
    }
}

/// The connection in a row with the columns of the table `connection`.
///
/// # Errors
/// Outside as any reading of a row; inside when a secret cannot be decrypted.
pub fn connection_in(row: &Row, cipher: &Cipher) -> Result<Result<Connection, CipherError>, StoreError> {
    let decrypt = |column: &str, flag: &str| {
        let Some(text) = row.text_opt(column)? else { return Ok(Ok(None)) };
        // An empty secret is never encrypted.
        let form = if text.is_empty() { Stored::Plain } else { row.bool(flag)?.into() };
        Ok::<_, StoreError>(cipher.decrypt(&text, form).map(Some))
    };
    let secrets = (decrypt("password", "is_encrypted")?, decrypt("extra", "is_extra_encrypted")?);
    let (password, extra) = match secrets {
        (Ok(password), Ok(extra)) => (password, extra),
        (Err(error), _) | (_, Err(error)) => return Ok(Err(error)),
    };
    Ok(Ok(Connection {
        conn_id: row.text("conn_id")?,
        conn_type: row.text("conn_type")?,
        host: row.text_opt("host")?,
        schema: row.text_opt("schema")?,
        login: row.text_opt("login")?,
        password,
        port: row.int_opt("port")?,
        extra,
    }))
}

/// A page of the variables' keys, sorted.
///
/// # Errors
/// As any statement.
pub async fn variable_keys(
    db: &Db,
    prefix: Option<&str>,
    team: Option<&str>,
    limit: i64,
    offset: i64,
) -> Result<(Vec<String>, i64), StoreError> {
    let filter = |columns: &str| {
        let mut sql = db.sql(&format!("SELECT {columns} FROM variable WHERE 1 = 1"));
        if let Some(prefix) = prefix {
            let escaped = prefix.replace('/', "//").replace('%', "/%").replace('_', "/_");
            sql = sql.push(" AND key LIKE ? ESCAPE '/'").bind(format!("{escaped}%"));
        }
        match team {
            Some(team) => sql.push(" AND team_name = ?").bind(team),
            None => sql,
        }
    };
    let total = db.one(filter("COUNT(*) AS n")).await?.map_or(Ok(0), |row| row.int("n"))?;
    let sql = filter("key").push(" ORDER BY key LIMIT ? OFFSET ?").bind(limit).bind(offset);
    let keys = db.all(sql).await?.iter().map(|row| row.text("key")).collect::<Result<_, _>>()?;
    Ok((keys, total))
}

/// Stores a variable, encrypted if there is a key.
///
/// # Errors
/// As any statement.
pub async fn put_variable(
    db: &Db,
    cipher: &Cipher,
    key: &str,
    value: &str,
    description: Option<&str>,
    team: Option<&str>,
) -> Result<(), StoreError> {
    let (value, form) = cipher.encrypt(value);
    let sql = db
        .sql(
            "INSERT INTO variable (key, val, description, is_encrypted, team_name) VALUES (?, ?, ?, ?, ?) \
             ON CONFLICT (key) DO UPDATE SET val = excluded.val, description = excluded.description, \
             is_encrypted = excluded.is_encrypted",
        )
        .bind(key)
        .bind(value)
        .bind(description)
        .bind(form == Stored::Encrypted)
        .bind(team);
    db.exec(sql).await?;
    Ok(())
}

/// Deletes a variable; it is no error if there is none.
///
/// # Errors
/// As any statement.
pub async fn delete_variable(db: &Db, key: &str, team: Option<&str>) -> Result<(), StoreError> {
    db.exec(of_team(db.sql("DELETE FROM variable WHERE key = ?").bind(key), team)).await?;
    Ok(())
}
