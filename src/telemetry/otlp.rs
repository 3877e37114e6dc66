//! Where OpenTelemetry data goes: the standard environment variables, or else Airflow's own options
//! (`airflow/_shared/observability/common.py`).

use std::sync::Once;

use crate::config::Config;

/// What is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signal {
    /// Metrics.
    Metrics,
    /// Traces.
    Traces,
}

/// Airflow's own options, which count only without the standard variables.
#[derive(Clone, Debug)]
pub(super) struct Target {
    /// `otel_host`.
    pub(super) host: String,
    /// `otel_port`.
    pub(super) port: String,
    /// `otel_ssl_active`.
    pub(super) tls: String,
}

impl Signal {
    fn path(self) -> &'static str {
        match self {
            Self::Metrics => "metrics",
            Self::Traces => "traces",
        }
    }

    fn variable(self, end: &str) -> String {
        format!("OTEL_EXPORTER_OTLP_{}_{end}", self.path().to_uppercase())
    }
}

/// The address that is to be given to an exporter; `None`: it takes it from the environment itself.
///
/// # Errors
/// In words, when the environment asks for a protocol that is not there.
pub(super) fn endpoint(config: &Config, signal: Signal, target: &Target) -> Result<Option<String>, String> {
    let of_env = |end: &str| {
        config.otel(&signal.variable(end)).or_else(|| config.otel(&format!("OTEL_EXPORTER_OTLP_{end}")))
    };
    if of_env("ENDPOINT").is_none() {
        if target.host.is_empty() || target.port.is_empty() {
            return Ok(None);
        }
        let tls = ["true", "t", "1"].contains(&target.tls.to_lowercase().as_str());
        let scheme = if tls { "https" } else { "http" };
        let host = match target.host.as_str() {
            bare if bare.contains(':') && !bare.starts_with('[') => format!("[{bare}]"),
            host => host.to_owned(),
        };
        return Ok(Some(format!("{scheme}://{host}:{}/v1/{}", target.port, signal.path())));
    }
    match of_env("PROTOCOL") {
        None | Some("http/protobuf") => Ok(None),
        Some(other) => Err(format!(
            "OTLP over {other} is not supported: let the collector receive http/protobuf, and set {} to it",
            signal.variable("PROTOCOL")
        )),
    }
}

/// TLS needs one provider of encryption per process: that of the database's connections.
pub(super) fn use_tls() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // Someone else's choice is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
}

/// A collector for tests.
#[cfg(test)]
pub(super) mod testing {
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::thread::JoinHandle;

    /// Takes one request, on this port; its text as far as it is text.
    pub(crate) fn collector() -> (u16, JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let taken = std::thread::spawn(move || {
            let (mut socket, _) = listener.accept().unwrap();
            let (mut bytes, mut part) = (Vec::new(), [0; 4096]);
            loop {
                let read = socket.read(&mut part).unwrap();
                bytes.extend_from_slice(&part[..read]);
                if read == 0 || is_whole(&String::from_utf8_lossy(&bytes), bytes.len()) {
                    break;
                }
            }
            socket.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap();
            String::from_utf8_lossy(&bytes).into_owned()
        });
        (port, taken)
    }

    fn is_whole(text: &str, length: usize) -> bool {
        let Some((head, _)) = text.split_once("\r\n\r\n") else { return false };
        let of_body = head.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("content-length").then(|| value.parse::<usize>().ok())?
        });
        of_body.is_some_and(|body| length >= head.len() + 4 + body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(env: &[(&str, &str)]) -> Result<Option<String>, String> {
        let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let home = tempfile::tempdir().unwrap();
        let home = ("AIRFLOW_HOME".to_owned(), home.path().display().to_string());
        let config = Config::from_env(env.chain([home])).unwrap();
        let target = Target { host: "::1".to_owned(), port: "4318".to_owned(), tls: "True".to_owned() };
        endpoint(&config, Signal::Metrics, &target)
    }

    #[test]
    fn the_standard_variables_come_before_airflows_options() {
        assert_eq!(of(&[]), Ok(Some("https://[::1]:4318/v1/metrics".to_owned())));
        assert_eq!(of(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318")]), Ok(None));
        let wrong = [("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c"), ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")];
        assert!(of(&wrong).unwrap_err().contains("grpc"));
    }
}
