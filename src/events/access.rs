//! Who may do what: tokens, and callers on this machine.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use chrono::Utc;
use slipstream_core::event::AIRFLOW_NAMESPACE;

use crate::store::events::assets::URI;
use crate::store::events::tokens::{self, Right, Token};
use crate::store::events::{Filter, Glob, NewEvent};
use crate::store::{Db, StoreError};

/// How long a token that was removed may still be good.
const CACHE: Duration = Duration::from_secs(1);

/// `[slipstream] events_without_token`: who needs none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WithoutToken {
    /// Callers on this machine.
    Loopback,
    /// Everyone.
    Everyone,
    /// No one.
    Nobody,
}

impl std::str::FromStr for WithoutToken {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "loopback" => Ok(Self::Loopback),
            "everyone" => Ok(Self::Everyone),
            "nobody" => Ok(Self::Nobody),
            other => Err(format!(
                "[slipstream] events_without_token is \"{other}\"; it must be loopback, everyone or nobody"
            )),
        }
    }
}

/// Why a request is not answered.
#[derive(Debug, thiserror::Error)]
pub enum Denied {
    /// There must be a token.
    #[error(
        "this needs a token: send the header \"Authorization: Bearer TOKEN\" (`slipstream tokens add` makes one). \
         Only callers on the scheduler's own machine need none, unless [slipstream] events_without_token says otherwise"
    )]
    NoToken,
    /// The token is not known or has expired.
    #[error("the token is not known, or it has expired")]
    BadToken,
    /// The token is not good for this.
    #[error("the token `{token}` gives no right to {} in namespace `{namespace}`", right.as_str())]
    NoRight {
        /// Name of the token.
        token: String,
        /// What is missing.
        right: Right,
        /// Where.
        namespace: String,
    },
    /// No one may send there.
    #[error(
        "namespace `{AIRFLOW_NAMESPACE}` is reserved for what Airflow itself reports; choose another one"
    )]
    Reserved,
    /// No one may send from there.
    #[error(
        "source `{0}` is reserved: events of `airflow`, `airflow/…`, `/sources/…` and `/hooks/…` are made by the scheduler \
         itself; choose another one"
    )]
    ReservedSource(String),
    /// The token is not good for assets.
    #[error(
        "the token `{token}` may not update assets (`{URI}`), because they start Dags of all namespaces: use a token for \
         namespace `*`, or leave `{URI}` out"
    )]
    NoAsset {
        /// Name of the token.
        token: String,
    },
    /// It could not be found out.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Who calls.
#[derive(Clone, Debug)]
pub enum Caller {
    /// Someone who needs no token.
    Trusted,
    /// The holder of a token.
    Token(Arc<Token>),
}

/// How a request reached us.
#[derive(Clone, Copy, Debug, Default)]
pub struct Origin<'a> {
    /// The other end of the connection.
    pub peer: Option<IpAddr>,
    /// The header `Authorization`.
    pub authorization: Option<&'a str>,
    /// The name by which the caller knows this server.
    pub host: Option<&'a str>,
    /// A proxy or another website's page stands between the caller and us.
    pub relayed: bool,
}

/// The tokens and the rule for callers without one. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Access {
    db: Db,
    without_token: WithoutToken,
    cache: Arc<Mutex<Cached>>,
}

#[derive(Debug, Default)]
struct Cached {
    read: Option<Instant>,
    tokens: Arc<Vec<Token>>,
}

impl Access {
    /// Access by the tokens in the database.
    pub fn new(db: Db, without_token: WithoutToken) -> Self {
        Self { db, without_token, cache: Arc::default() }
    }

    /// Who calls.
    ///
    /// # Errors
    /// [`Denied::NoToken`], [`Denied::BadToken`], [`Denied::Store`].
    pub async fn caller(&self, origin: Origin<'_>) -> Result<Caller, Denied> {
        let Some(header) = origin.authorization else {
            let trusted = match self.without_token {
                WithoutToken::Everyone => true,
                WithoutToken::Nobody => false,
                WithoutToken::Loopback => is_local(origin),
            };
            return if trusted { Ok(Caller::Trusted) } else { Err(Denied::NoToken) };
        };
        let (scheme, text) = header.split_once(' ').unwrap_or_default();
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(Denied::BadToken);
        }
        let known = self.tokens().await?;
        let token = tokens::find(&known, text.trim(), Utc::now()).ok_or(Denied::BadToken)?;
        Ok(Caller::Token(Arc::new(token.clone())))
    }

    /// Whether a caller whom an answer takes long to reach may still have the rest of it.
    ///
    /// # Errors
    /// [`Denied::BadToken`] when the token is no longer good for what it was, [`Denied::Store`].
    pub async fn still(&self, caller: &Caller) -> Result<(), Denied> {
        let Caller::Token(token) = caller else { return Ok(()) };
        let known = self.tokens().await?;
        let again = tokens::again(&known, token, Utc::now()).ok_or(Denied::BadToken)?;
        let as_before = again.namespaces == token.namespaces && again.rights == token.rights;
        as_before.then_some(()).ok_or(Denied::BadToken)
    }

    async fn tokens(&self) -> Result<Arc<Vec<Token>>, StoreError> {
        if let Some(tokens) = self.cached() {
            return Ok(tokens);
        }
        let tokens = Arc::new(tokens::list(&self.db).await?);
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        *cache = Cached { read: Some(Instant::now()), tokens: Arc::clone(&tokens) };
        Ok(tokens)
    }

    fn cached(&self) -> Option<Arc<Vec<Token>>> {
        let cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        cache.read.filter(|read| read.elapsed() < CACHE).map(|_| Arc::clone(&cache.tokens))
    }
}

/// On this machine, and not on behalf of someone else: a proxy, or a page of another website in the user's browser (which
/// may have made its own name point to this machine).
fn is_local(origin: Origin<'_>) -> bool {
    let loopback = |address: IpAddr| address.to_canonical().is_loopback();
    let host = origin.host.unwrap_or("localhost");
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let name = name.trim_matches(['[', ']']);
    let known = name == "localhost" || name.parse().is_ok_and(loopback);
    origin.peer.is_some_and(loopback) && known && !origin.relayed
}

/// Whether an event that comes from outside keeps off what is the scheduler's own: its namespace, and the sources whose ids
/// are easy to guess. Who could send such a name first would have the scheduler's event taken for a duplicate.
///
/// # Errors
/// [`Denied::Reserved`], [`Denied::ReservedSource`].
pub fn from_outside(event: &NewEvent) -> Result<(), Denied> {
    if event.namespace == AIRFLOW_NAMESPACE {
        return Err(Denied::Reserved);
    }
    let source = event.source.as_str();
    if source == "airflow" || ["airflow/", "/sources/", "/hooks/"].iter().any(|own| source.starts_with(own)) {
        return Err(Denied::ReservedSource(event.source.clone()));
    }
    Ok(())
}

impl Caller {
    /// Whether an event may be sent.
    ///
    /// # Errors
    /// [`Denied::NoRight`], [`Denied::NoAsset`], or as [`from_outside`].
    pub fn may_send(&self, event: &NewEvent) -> Result<(), Denied> {
        from_outside(event)?;
        self.may(Right::Send, &event.namespace)?;
        match self {
            Self::Token(token) if event.extensions.contains_key(URI) && !token.namespaces.is_any() => {
                Err(Denied::NoAsset { token: token.name.clone() })
            }
            _ => Ok(()),
        }
    }

    /// Whether a namespace may be read.
    ///
    /// # Errors
    /// [`Denied::NoRight`].
    pub fn may_read(&self, namespace: &str) -> Result<(), Denied> {
        self.may(Right::Read, namespace)
    }

    /// Whether all that a filter is about may be read. Without namespaces of its own, it gets the caller's.
    ///
    /// # Errors
    /// [`Denied::NoRight`], which names the namespace.
    pub fn may_read_all(&self, filter: &mut Filter) -> Result<(), Denied> {
        let Self::Token(token) = self else { return Ok(()) };
        if !token.rights.contains(&Right::Read) {
            return Err(no_right(token, Right::Read, "*"));
        }
        if filter.namespace.0.is_empty() {
            filter.namespace = token.namespaces.clone();
        }
        match filter.namespace.0.iter().find(|glob| !token.namespaces.covers(glob)) {
            Some(glob) => Err(no_right(token, Right::Read, &String::from(glob.clone()))),
            None => Ok(()),
        }
    }

    /// Restricts what is read to what may be read.
    ///
    /// # Errors
    /// [`Denied::NoRight`] when a namespace is asked for that may not be read.
    pub fn restrict(&self, filter: &mut Filter) -> Result<(), Denied> {
        let Self::Token(token) = self else { return Ok(()) };
        for glob in &filter.namespace.0 {
            if let Glob::Exact(namespace) = glob {
                self.may_read(namespace)?;
            }
        }
        if !token.rights.contains(&Right::Read) {
            return Err(no_right(token, Right::Read, "*"));
        }
        filter.allowed = token.namespaces.clone();
        Ok(())
    }

    /// Whether a right is given in every namespace: for what concerns Dags rather than events.
    ///
    /// # Errors
    /// [`Denied::NoRight`].
    pub fn may_everywhere(&self, right: Right) -> Result<(), Denied> {
        match self {
            Self::Token(token) if !token.namespaces.is_any() || !token.rights.contains(&right) => {
                Err(no_right(token, right, "*"))
            }
            _ => Ok(()),
        }
    }

    /// Whether everything may be done in a namespace; `*`: in all of them.
    fn may(&self, right: Right, namespace: &str) -> Result<(), Denied> {
        match self {
            Self::Token(token) if !token.allows(right, namespace) => Err(no_right(token, right, namespace)),
            _ => Ok(()),
        }
    }
}

fn no_right(token: &Token, right: Right, namespace: &str) -> Denied {
    Denied::NoRight { token: token.name.clone(), right, namespace: namespace.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_scheduler_makes_itself_cannot_be_sent_from_outside() {
        let from = |source: &str| from_outside(&NewEvent::new(source, "t", Utc::now()));
        for own in ["airflow", "airflow/triggers", "/sources/orders", "/hooks/github"] {
            let error = from(own).unwrap_err().to_string();
            assert!(error.contains(&format!("source `{own}` is reserved")), "{error}");
        }
        for other in ["airflow-2", "/http", "/aiflow", "sources/x", "/cli/airflow", "/tasks/d/t"] {
            from(other).unwrap();
        }
        let told =
            NewEvent { namespace: AIRFLOW_NAMESPACE.to_owned(), ..NewEvent::new("x", "t", Utc::now()) };
        assert!(matches!(from_outside(&told), Err(Denied::Reserved)));
    }

    #[test]
    fn only_direct_callers_on_this_machine_are_local() {
        let local = |peer: &str, host: Option<&str>, relayed| {
            is_local(Origin { peer: peer.parse().ok(), authorization: None, host, relayed })
        };
        assert!(local("127.0.0.1", Some("localhost:8974"), false));
        assert!(local("::1", Some("[::1]:8974"), false));
        assert!(local("::ffff:127.0.0.1", Some("127.0.0.1"), false));
        assert!(local("127.0.0.1", None, false));
        assert!(!local("10.0.0.1", Some("localhost"), false));
        assert!(!local("127.0.0.1", Some("evil.example:8974"), false), "a name that was made to point here");
        assert!(!local("127.0.0.1", Some("localhost"), true), "a proxy");
        assert!(!local("", None, false));
    }
}
