//! `[database] sql_alchemy_conn` in SQLAlchemy's form → what the driver takes.

use std::path::PathBuf;

use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use url::form_urlencoded;

use super::key::Setting;
use super::{Config, ConfigError, keys};
use crate::store::{Dialect, Prepared, Target};

/// Connections of one process to SQLite: readers beside the one writer.
const SQLITE_CONNECTIONS: u32 = 5;
/// "No limit" in SQLAlchemy's pool; a process of ours never wants more.
const UNLIMITED: u32 = 64;

/// libpq's connection parameters that our driver knows as well.
const PASSED_ON: &[&str] = &[
    "sslmode",
    "sslrootcert",
    "sslcert",
    "sslkey",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "application_name",
    "options",
];

impl Config {
    /// Where the metadata database is.
    ///
    /// # Errors
    /// [`ConfigError::Database`] when the URL cannot be understood or names a database that is not supported.
    pub fn database(&self) -> Result<Target, ConfigError> {
        let url = self.get(&keys::database::SQL_ALCHEMY_CONN);
        let (scheme, rest) = url.split_once("://").ok_or_else(|| {
            ConfigError::Database(
                "must look like postgresql+psycopg2://user:password@host/database or sqlite:////path"
                    .to_owned(),
            )
        })?;
        let backend = scheme.split('+').next().unwrap_or(scheme);
        match backend {
            // Airflow takes the two old names of PostgreSQL as well.
            "postgresql" | "postgres" => self.postgres(rest),
            "sqlite" => sqlite(rest),
            "mysql" | "mariadb" => Err(ConfigError::Database(
                "names MySQL, which is not supported yet; use PostgreSQL or SQLite".to_owned(),
            )),
            other => Err(ConfigError::Database(format!(
                "names the unknown database \"{other}\"; use postgresql+psycopg2:// or sqlite:////"
            ))),
        }
    }

    /// The file of the metadata database, if it is SQLite's.
    pub fn sqlite_file(&self) -> Option<PathBuf> {
        let url = self.get(&keys::database::SQL_ALCHEMY_CONN);
        let path = url.strip_prefix("sqlite").and_then(|rest| rest.split_once(":///"))?.1;
        Some(PathBuf::from(path.split('?').next().unwrap_or(path)))
    }

    fn postgres(&self, rest: &str) -> Result<Target, ConfigError> {
        let parts = Parts::parse(rest);
        if parts.host.contains(',') || parts.query.iter().any(|(k, v)| k == "host" && v.contains(',')) {
            return Err(ConfigError::Database(
                "names several hosts, which is not supported yet; name one, or a proxy in front of them"
                    .to_owned(),
            ));
        }
        if let Some(port) = &parts.port
            && port.parse::<u16>().is_err()
        {
            return Err(ConfigError::Database(format!(
                "has the port \"{port}\", which is not a port number"
            )));
        }
        let host = parts.query.iter().rev().find(|(k, _)| k == "host").map(|(_, v)| v.clone());
        let mut target = form_urlencoded::Serializer::new(String::new());
        let named = [
            ("host", Some(parts.host.clone())),
            ("port", parts.port.clone()),
            ("user", parts.user.clone()),
            ("password", parts.password.clone()),
            ("dbname", Some(parts.database.clone())),
        ];
        for (name, value) in named {
            if let Some(value) = value.filter(|value| !(value.is_empty() || name == "host" && host.is_some()))
            {
                target.append_pair(name, &value);
            }
        }
        for (name, value) in &parts.query {
            match name.as_str() {
                // asyncpg's name for it.
                "ssl" => target.append_pair("sslmode", value),
                name if PASSED_ON.contains(&name) => target.append_pair(name, value),
                // Keep-alive and time-out settings have no counterpart; the pool has its own.
                _ => &mut target,
            };
        }
        let schema = self.get(&keys::database::SQL_ALCHEMY_SCHEMA);
        Ok(Target {
            dialect: Dialect::Postgres,
            // Everything is a parameter: nothing can be misread as a part of the URL.
            url: format!("postgres://?{}", target.finish()),
            max_connections: self.pool_size(),
            schema: (!schema.is_empty()).then_some(schema),
            prepared: self.get(&keys::slipstream::PREPARED_STATEMENTS),
        })
    }

    /// Without `sql_alchemy_max_overflow`: a connection beyond those that are kept costs a log-in at the busiest moment, and
    /// waiting for one of the others is shorter.
    fn pool_size(&self) -> u32 {
        match u32::try_from(self.get(&keys::database::SQL_ALCHEMY_POOL_SIZE)) {
            Ok(0) | Err(_) => UNLIMITED,
            Ok(size) => size.clamp(3, UNLIMITED),
        }
    }
}

impl Setting for Prepared {
    type Default = Self;

    fn from_default(default: Self) -> Self {
        default
    }

    fn default_text(default: Self) -> String {
        default.as_str().to_owned()
    }

    fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let known = Self::ALL.into_iter().find(|one| one.as_str() == text);
        known.ok_or_else(|| format!("must be auto, kept or unnamed, not \"{text}\""))
    }
}

fn sqlite(rest: &str) -> Result<Target, ConfigError> {
    let path = rest.split('?').next().unwrap_or(rest);
    // `sqlite://` + host (none) + `/` + path.
    let path = path.strip_prefix('/').unwrap_or(path);
    if !path.starts_with('/') {
        return Err(ConfigError::Database(format!(
            "must name the SQLite file by its absolute path (sqlite:////…), not \"{path}\""
        )));
    }
    let path = path.split('/').map(|part| utf8_percent_encode(part, NON_ALPHANUMERIC).to_string());
    Ok(Target {
        dialect: Dialect::Sqlite,
        url: format!("sqlite://{}?mode=rw", path.collect::<Vec<_>>().join("/")),
        max_connections: SQLITE_CONNECTIONS,
        schema: None,
        prepared: Prepared::Auto,
    })
}

/// A URL cut as SQLAlchemy's `make_url` cuts it (`sqlalchemy/engine/url.py`).
#[derive(Debug, PartialEq, Eq)]
struct Parts {
    user: Option<String>,
    password: Option<String>,
    host: String,
    port: Option<String>,
    database: String,
    query: Vec<(String, String)>,
}

impl Parts {
    fn parse(rest: &str) -> Self {
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (login, place) = match rest.rsplit_once('@') {
            Some((login, place)) => (Some(login), place),
            None => (None, rest),
        };
        let (address, database) = place.split_once('/').unwrap_or((place, ""));
        let (host, port) = match address.strip_prefix('[').and_then(|inner| inner.split_once(']')) {
            Some((host, port)) => (host, port.strip_prefix(':')),
            None => match address.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (address, None),
            },
        };
        let (user, password) = match login {
            Some(login) => match login.split_once(':') {
                Some((user, password)) => (Some(user), Some(password)),
                None => (Some(login), None),
            },
            None => (None, None),
        };
        Self {
            user: user.map(decoded),
            password: password.map(decoded),
            host: decoded(host),
            port: port.filter(|port| !port.is_empty()).map(str::to_owned),
            database: decoded(database),
            query: form_urlencoded::parse(query.as_bytes()).into_owned().collect(),
        }
    }
}

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(url: &str) -> Result<Target, ConfigError> {
        Config::from_pairs(&[("database", "sql_alchemy_conn", url)]).unwrap().database()
    }

    #[test]
    fn postgresql_urls_of_sqlalchemy_become_driver_parameters() {
        let url =
            "postgresql+psycopg2://air%40flow:p%2Fw:x@db.example:5433/meta?sslmode=require&keepalives=1";
        assert_eq!(
            target(url).unwrap().url,
            "postgres://?host=db.example&port=5433&user=air%40flow&password=p%2Fw%3Ax&dbname=meta&sslmode=require"
        );
        let socket = target("postgresql+asyncpg://u@/meta?host=/var/run/postgresql").unwrap().url;
        assert_eq!(socket, "postgres://?user=u&dbname=meta&host=%2Fvar%2Frun%2Fpostgresql");
        assert_eq!(target("postgresql://[::1]:5/m").unwrap().url, "postgres://?host=%3A%3A1&port=5&dbname=m");
    }

    #[test]
    fn what_is_done_with_prepared_statements_is_one_of_three_words() {
        let set = |text| Config::from_pairs(&[("slipstream", "prepared_statements", text)]);
        assert_eq!(set("unnamed").unwrap().get(&keys::slipstream::PREPARED_STATEMENTS), Prepared::Unnamed);
        assert!(set("never").unwrap_err().to_string().contains("auto, kept or unnamed"));
    }

    #[test]
    fn sqlite_files_are_named_by_absolute_paths() {
        assert_eq!(target("sqlite:////tmp/a b.db").unwrap().url, "sqlite:///tmp/a%20b%2Edb?mode=rw");
        assert!(target("sqlite:///airflow.db").unwrap_err().to_string().contains("absolute path"));
    }

    #[test]
    fn what_cannot_be_connected_to_is_refused_in_words() {
        for (url, words) in [
            ("mysql://u@h/d", "not supported yet"),
            ("oracle://u@h/d", "unknown database"),
            ("nonsense", "must look like"),
            ("postgresql://h:x/d", "not a port number"),
            ("postgresql://a,b/d", "several hosts"),
        ] {
            assert!(target(url).unwrap_err().to_string().contains(words), "{url}");
        }
    }
}
