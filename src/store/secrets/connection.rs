//! A connection and its text forms (`Connection._parse_from_uri` and `Connection.from_json` in
//! `airflow/models/connection.py`).

use std::fmt;

use serde_json::Value as Json;

use super::uri;

/// What a hook needs to reach something (`ConnectionResponse`).
#[derive(Clone, PartialEq, Eq)]
pub struct Connection {
    /// Its id.
    pub conn_id: String,
    /// Its type.
    pub conn_type: String,
    /// The host.
    pub host: Option<String>,
    /// The schema.
    pub schema: Option<String>,
    /// The user.
    pub login: Option<String>,
    /// The password.
    pub password: Option<String>,
    /// The port.
    pub port: Option<i64>,
    /// More, a JSON object as text.
    pub extra: Option<String>,
}

impl Connection {
    /// Reads a URI, or JSON that starts with `{`.
    ///
    /// # Errors
    /// Why it cannot be read, without anything that may be secret.
    pub fn parse(conn_id: &str, text: &str) -> Result<Self, String> {
        let text = text.trim();
        let connection =
            if text.starts_with('{') { from_json(conn_id, text)? } else { uri::parse(conn_id, text)? };
        check_extra(connection.extra.as_deref())?;
        Ok(connection)
    }
}

fn check_extra(extra: Option<&str>) -> Result<(), String> {
    match extra.filter(|extra| !extra.is_empty()).map(serde_json::from_str::<Json>) {
        None | Some(Ok(Json::Object(_))) => Ok(()),
        Some(_) => Err("`extra` is not a JSON object".to_owned()),
    }
}

/// `postgresql` is `postgres`, and types have underscores where schemes have hyphens.
pub(super) fn normal_type(conn_type: &str) -> String {
    if conn_type == "postgresql" { "postgres".to_owned() } else { conn_type.replace('-', "_") }
}

fn from_json(conn_id: &str, text: &str) -> Result<Connection, String> {
    let json: Json = serde_json::from_str(text).map_err(|_| "it is not valid JSON".to_owned())?;
    let member = |name: &str| json.get(name).filter(|value| !value.is_null());
    let text = |name: &str| match member(name) {
        None => Ok(None),
        Some(Json::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(format!("`{name}` is not text")),
    };
    if let Some(uri) = text("uri")? {
        return uri::parse(conn_id, &uri);
    }
    let port = match member("port") {
        None => None,
        Some(Json::Number(number)) => number.as_i64(),
        Some(Json::String(text)) if text.is_empty() => None,
        Some(Json::String(text)) => {
            Some(text.trim().parse().map_err(|_| "`port` is not a whole number".to_owned())?)
        }
        Some(_) => return Err("`port` is not a whole number".to_owned()),
    };
    let extra = match member("extra") {
        None => None,
        Some(Json::String(text)) => Some(text.clone()).filter(|text| !text.is_empty()),
        Some(other) => Some(other.to_string()),
    };
    Ok(Connection {
        conn_id: conn_id.to_owned(),
        conn_type: text("conn_type")?
            .map(|conn_type| normal_type(&conn_type))
            .ok_or("`conn_type` is missing")?,
        host: text("host")?,
        schema: text("schema")?,
        login: text("login")?,
        password: text("password")?,
        port: port.filter(|port| *port != 0),
        extra,
    })
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("conn_id", &self.conn_id)
            .field("conn_type", &self.conn_type)
            .finish_non_exhaustive()
    }
}
