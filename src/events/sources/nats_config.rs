//! How a stream of NATS JetStream is reached.

use std::path::PathBuf;

use super::fields::Fields;

/// A stream, and how to log in.
#[derive(Clone)]
pub struct NatsConfig {
    /// Addresses of the servers.
    pub(super) servers: Vec<async_nats::ServerAddr>,
    /// The stream.
    pub(super) stream: String,
    /// Which subjects; none: all of the stream.
    pub(super) subjects: Vec<String>,
    /// The name under which the server shows us.
    pub(super) consumer: String,
    /// Who we are.
    pub(super) login: Login,
    /// Encryption.
    pub(super) tls: Tls,
}

impl std::fmt::Debug for NatsConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NatsConfig").field("stream", &self.stream).finish_non_exhaustive()
    }
}

/// Who we are to the servers.
#[derive(Clone)]
pub(super) enum Login {
    None,
    Token(String),
    User {
        user: String,
        password: String,
    },
    /// A seed.
    Nkey(String),
    /// A file with a token and a seed.
    Credentials(PathBuf),
}

/// Encryption.
#[derive(Clone, Default)]
pub(super) struct Tls {
    /// Even if no server asks for it.
    pub(super) required: bool,
    /// Certificates of authorities, in a PEM file.
    pub(super) authorities: Option<PathBuf>,
    /// Our certificate and its key, in PEM files.
    pub(super) client: Option<(PathBuf, PathBuf)>,
}

impl NatsConfig {
    pub(super) fn read(name: &str, fields: &mut Fields) -> Result<Self, String> {
        let servers = fields
            .required_list("servers")?
            .iter()
            .map(|text| text.parse().map_err(|_| fields.wrong("servers", "has something that is no address")))
            .collect::<Result<_, _>>()?;
        let stream = fields.required("stream")?;
        let subjects = fields.list("subjects")?;
        let consumer = fields.text("consumer")?.unwrap_or_else(|| format!("slipstream-{name}"));
        if let Some(field) = [("stream", &stream), ("consumer", &consumer)]
            .iter()
            .find(|(_, text)| text.contains(|c: char| ".*>/\\".contains(c) || c.is_whitespace()))
            .map(|(field, _)| *field)
        {
            return Err(fields.wrong(field, "must be without dots, stars, slashes and spaces"));
        }
        let login = login(fields)?;
        let tls = Tls {
            required: fields.flag("tls")?,
            authorities: fields.text("tls_ca")?.map(PathBuf::from),
            client: match (fields.text("tls_cert")?, fields.text("tls_key")?) {
                (Some(cert), Some(key)) => Some((cert.into(), key.into())),
                (None, None) => None,
                (Some(_), None) => return Err(fields.wrong("tls_cert", "needs `tls_key` with it")),
                (None, Some(_)) => return Err(fields.wrong("tls_key", "needs `tls_cert` with it")),
            },
        };
        Ok(Self { servers, stream, subjects, consumer, login, tls })
    }
}

fn login(fields: &mut Fields) -> Result<Login, String> {
    let mut found: Vec<(&str, Login)> = Vec::new();
    match (fields.text("user")?, fields.text("password")?) {
        (Some(user), Some(password)) => found.push(("user", Login::User { user, password })),
        (None, None) => (),
        (Some(_), None) => return Err(fields.wrong("user", "needs `password` with it")),
        (None, Some(_)) => return Err(fields.wrong("password", "needs `user` with it")),
    }
    found.extend(fields.text("token")?.map(|token| ("token", Login::Token(token))));
    found.extend(fields.text("nkey")?.map(|seed| ("nkey", Login::Nkey(seed))));
    found.extend(fields.text("credentials")?.map(|path| ("credentials", Login::Credentials(path.into()))));
    match found.len() {
        0 => Ok(Login::None),
        1 => Ok(found.swap_remove(0).1),
        _ => Err(fields.wrong(found[1].0, &format!("and `{}` exclude each other", found[0].0))),
    }
}
