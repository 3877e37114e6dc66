//! A connection as a URI: `type://login:password@host:port/schema?extra=…`, with Python's `urlsplit` as the measure. A
//! second `://` gives the host a protocol of its own: `http://https://host`.

use percent_encoding::percent_decode_str;
use serde_json::{Map, Value as Json};

use super::connection::{Connection, normal_type};

/// The query argument that holds all of `extra`.
const EXTRA: &str = "__extra__";

/// Reads a connection.
pub(super) fn parse(conn_id: &str, uri: &str) -> Result<Connection, String> {
    let schemes = uri.matches("://").count();
    if schemes > 2 {
        return Err("it has too many `://`".to_owned());
    }
    let scheme = split(uri).scheme;
    let with_protocol = schemes == 2;
    let rest = uri.replace(&format!("{scheme}://"), if with_protocol { "" } else { "//" });
    if with_protocol && rest.split("://").next().is_some_and(|front| front.contains(['@', ':'])) {
        return Err("its second `://` does not follow a protocol".to_owned());
    }
    let parts = split(&rest);
    let authority = Authority::parse(parts.netloc)?;
    let protocol = if with_protocol { parts.scheme.as_str() } else { "" };
    let host = match authority.host {
        host if host.is_empty() || protocol.is_empty() => host,
        host => format!("{protocol}://{host}"),
    };
    Ok(Connection {
        conn_id: conn_id.to_owned(),
        conn_type: normal_type(&scheme),
        host: Some(host),
        schema: Some(unquote(parts.path.strip_prefix('/').unwrap_or(parts.path))),
        login: authority.login.map(unquote),
        password: authority.password.map(unquote),
        port: authority.port,
        extra: extra(parts.query),
    })
}

fn unquote(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

struct Parts<'a> {
    scheme: String,
    netloc: &'a str,
    path: &'a str,
    query: &'a str,
}

/// `urllib.parse.urlsplit`; the fragment is dropped.
fn split(url: &str) -> Parts<'_> {
    let (scheme, rest) = match url.split_once(':') {
        Some((scheme, rest)) if is_scheme(scheme) => (scheme.to_lowercase(), rest),
        _ => (String::new(), url),
    };
    let (netloc, rest) = match rest.strip_prefix("//") {
        Some(rest) => rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len())),
        None => ("", rest),
    };
    let rest = rest.split_once('#').map_or(rest, |(rest, _)| rest);
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    Parts { scheme, netloc, path, query }
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
}

struct Authority<'a> {
    login: Option<&'a str>,
    password: Option<&'a str>,
    host: String,
    port: Option<i64>,
}

impl<'a> Authority<'a> {
    fn parse(netloc: &'a str) -> Result<Self, String> {
        let (user, address) = match netloc.rsplit_once('@') {
            Some((user, address)) => (Some(user), address),
            None => (None, netloc),
        };
        let (login, password) = match user.map(|user| user.split_once(':').ok_or(user)) {
            None => (None, None),
            Some(Ok((login, password))) => (Some(login), Some(password)),
            Some(Err(login)) => (Some(login), None),
        };
        let (name, port) = match address.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((name, rest)) => (name, rest.strip_prefix(':').unwrap_or("")),
            None => address.split_once(':').unwrap_or((address, "")),
        };
        let port = match port {
            "" => None,
            port => match port.parse() {
                Ok(port @ 0..=65535) => Some(port),
                _ => return Err("its port is not a number up to 65535".to_owned()),
            },
        };
        Ok(Self { login, password, host: host(name, address), port })
    }
}

/// The host in lower case, unless it is a path: then as it is written (`_parse_netloc_to_hostname`).
fn host(name: &str, address: &str) -> String {
    let host = unquote(&name.to_lowercase());
    if !host.contains('/') {
        return host;
    }
    unquote(address.split_once(':').map_or(address, |(path, _)| path))
}

/// `extra` from the query: one argument that holds all of it, or each argument as a member, read as JSON where it is.
fn extra(query: &str) -> Option<String> {
    if query.is_empty() {
        return None;
    }
    let mut members = Map::new();
    for (key, value) in form(query) {
        members.insert(key, Json::from(value));
    }
    if let Some(Json::String(extra)) = members.get(EXTRA) {
        return Some(extra.clone());
    }
    for value in members.values_mut() {
        if let Some(parsed) = value.as_str().and_then(|text| serde_json::from_str(text).ok()) {
            *value = parsed;
        }
    }
    Some(Json::Object(members).to_string())
}

/// `urllib.parse.parse_qsl` with blank values.
fn form(query: &str) -> impl Iterator<Item = (String, String)> {
    let text = |text: &str| unquote(&text.replace('+', " "));
    query.split('&').filter(|pair| !pair.is_empty()).map(move |pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (text(key), text(value))
    })
}
