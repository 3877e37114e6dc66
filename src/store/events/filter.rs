//! Which events someone wants or may see, decided by the database.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use slipstream_core::event::Position;

use crate::store::Sql;

/// A pattern for one attribute: a text as it is, `*`, or a beginning followed by `*`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum Glob {
    /// Everything.
    Any,
    /// This text.
    Exact(String),
    /// Everything that begins so.
    Prefix(String),
}

/// Why a text is no pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` has a `*` before its end; only `*` alone and prefixes such as `model.*` work")]
pub struct BadGlob(String);

impl Glob {
    /// Whether what a person wrote means what it looks like: a `*` stands only at the end.
    ///
    /// # Errors
    /// [`BadGlob`].
    pub fn check(&self) -> Result<(), BadGlob> {
        match self {
            Self::Exact(text) | Self::Prefix(text) if text.contains('*') => {
                Err(BadGlob(String::from(self.clone())))
            }
            _ => Ok(()),
        }
    }

    /// Whether the pattern covers a text.
    pub fn matches(&self, text: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(exact) => exact == text,
            Self::Prefix(prefix) => text.starts_with(prefix.as_str()),
        }
    }

    /// Whether it covers everything that another pattern covers.
    pub fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Any, _) => true,
            (_, Self::Any) => false,
            (_, Self::Exact(text)) => self.matches(text),
            (Self::Prefix(wide), Self::Prefix(narrow)) => narrow.starts_with(wide.as_str()),
            (Self::Exact(_), Self::Prefix(_)) => false,
        }
    }
}

impl From<&str> for Glob {
    fn from(text: &str) -> Self {
        match text.strip_suffix('*') {
            Some("") => Self::Any,
            Some(prefix) => Self::Prefix(prefix.to_owned()),
            None => Self::Exact(text.to_owned()),
        }
    }
}

impl From<String> for Glob {
    fn from(text: String) -> Self {
        text.as_str().into()
    }
}

impl From<Glob> for String {
    fn from(glob: Glob) -> Self {
        match glob {
            Glob::Any => "*".to_owned(),
            Glob::Exact(text) => text,
            Glob::Prefix(prefix) => prefix + "*",
        }
    }
}

/// One of several patterns; without any, everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Match(pub Vec<Glob>);

impl Match {
    /// Whether all are patterns.
    ///
    /// # Errors
    /// [`BadGlob`].
    pub fn check(&self) -> Result<(), BadGlob> {
        self.0.iter().try_for_each(Glob::check)
    }

    /// One text as it is.
    pub fn exact(text: &str) -> Self {
        Self(vec![Glob::Exact(text.to_owned())])
    }

    /// Whether everything matches.
    pub fn is_any(&self) -> bool {
        self.0.is_empty() || self.0.contains(&Glob::Any)
    }

    /// Whether a text matches.
    pub fn matches(&self, text: &str) -> bool {
        self.0.is_empty() || self.0.iter().any(|glob| glob.matches(text))
    }

    /// Whether everything that a pattern covers matches.
    pub fn covers(&self, other: &Glob) -> bool {
        self.0.is_empty() || self.0.iter().any(|glob| glob.covers(other))
    }

    /// Patterns separated by commas.
    pub fn list(text: &str) -> Self {
        Self(text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(Glob::from).collect())
    }

    fn push(&self, sql: Sql, column: &'static str) -> Sql {
        if self.is_any() {
            return sql;
        }
        let exact: Vec<_> = self
            .0
            .iter()
            .filter_map(|glob| if let Glob::Exact(text) = glob { Some(text) } else { None })
            .collect();
        let mut sql = sql.push(" AND (");
        let mut joint = "";
        if let [text] = exact[..] {
            sql = sql.push(column).push(" = ?").bind(text);
            joint = " OR ";
        } else if !exact.is_empty() {
            sql = sql.push(column).push(" IN (?)").bind_list(exact);
            joint = " OR ";
        }
        for glob in &self.0 {
            if let Glob::Prefix(prefix) = glob {
                // Not LIKE: SQLite's knows no case, and both have wildcards to escape.
                let length = i64::try_from(prefix.chars().count()).unwrap_or(i64::MAX);
                sql = sql.push(joint).push("substr(").push(column).push(", 1, CAST(? AS integer)) = ?");
                sql = sql.bind(length).bind(prefix);
                joint = " OR ";
            }
        }
        sql.push(")")
    }
}

/// Which events are meant. By default all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Filter {
    /// Namespaces.
    pub namespace: Match,
    /// Keys.
    pub key: Match,
    /// Types.
    #[serde(rename = "type")]
    pub event_type: Match,
    /// Sources.
    pub source: Match,
    /// Senders. An event without a sender is only in "everything".
    pub sender: Match,
    /// Only events of a run's scope: its Dag.
    pub dag_id: Option<String>,
    /// Only events of a run's scope: the run.
    pub run_id: Option<String>,
    /// Only what happened then or later, on the sender's clock.
    pub since: Option<DateTime<Utc>>,
    /// Only up to this position, inclusive.
    pub until: Option<Position>,
    /// Namespaces that the reader may see, whatever it asks for.
    #[serde(skip)]
    pub allowed: Match,
}

impl Filter {
    /// Events with a key in a namespace.
    pub fn by_key(namespace: &str, key: &str) -> Self {
        Self { namespace: Match::exact(namespace), key: Match::exact(key), ..Self::default() }
    }

    /// Whether all of its patterns are some.
    ///
    /// # Errors
    /// A sentence that names the attribute.
    pub fn check(&self) -> Result<(), String> {
        let all = [
            ("namespace", &self.namespace),
            ("key", &self.key),
            ("type", &self.event_type),
            ("source", &self.source),
            ("sender", &self.sender),
        ];
        all.into_iter().try_for_each(|(name, globs)| globs.check().map_err(|error| format!("{name} {error}")))
    }

    /// Adds the conditions to a statement that has a `WHERE` with one condition already.
    pub(super) fn push(&self, sql: Sql) -> Sql {
        let mut sql = self.namespace.push(sql, "namespace");
        sql = self.allowed.push(sql, "namespace");
        sql = self.key.push(sql, "key");
        sql = self.event_type.push(sql, "type");
        sql = self.source.push(sql, "source");
        sql = self.sender.push(sql, "sender");
        if let Some(dag_id) = &self.dag_id {
            sql = sql.push(" AND scope_dag_id = ?").bind(dag_id);
        }
        if let Some(run_id) = &self.run_id {
            sql = sql.push(" AND scope_run_id = ?").bind(run_id);
        }
        if let Some(since) = self.since {
            sql = sql.push(" AND time >= ?").bind(since);
        }
        if let Some(until) = self.until {
            sql = sql.push(" AND position <= ?").bind(until.0);
        }
        sql
    }
}
