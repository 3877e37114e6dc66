//! StatsD over UDP, in three dialects (`statsd_logger.py`, `datadog_logger.py`).

use std::fmt::Write as _;
use std::net::UdpSocket;

use regex::RegexSet;

use super::names::{list, patterns};
use super::{Tags, Value};
use crate::config::{Config, keys::metrics as keys};

#[derive(Debug)]
pub(super) struct Client {
    socket: UdpSocket,
    settings: Settings,
}

impl Client {
    /// Opens the socket.
    ///
    /// # Errors
    /// For a host or a port that is none.
    pub(super) fn connect(config: &Config) -> std::io::Result<Self> {
        let host = config.get(&keys::STATSD_HOST);
        let port = u16::try_from(config.get(&keys::STATSD_PORT)).map_err(std::io::Error::other)?;
        let addresses: Vec<_> = std::net::ToSocketAddrs::to_socket_addrs(&(host.as_str(), port))?.collect();
        let any = if addresses.iter().any(std::net::SocketAddr::is_ipv4) { "0.0.0.0:0" } else { "[::]:0" };
        let socket = UdpSocket::bind(any)?;
        socket.connect(&addresses[..])?;
        socket.set_nonblocking(true)?;
        Ok(Self { socket, settings: Settings::new(config) })
    }

    /// A metric that cannot be sent is lost, as StatsD means it.
    pub(super) fn send(&self, name: &str, value: Value, tags: &Tags<'_>) {
        let _ = self.socket.send(self.settings.line(name, value, tags).as_bytes());
    }
}

/// How tags are written.
#[derive(Debug, PartialEq, Eq)]
enum Tagging {
    None,
    Influx,
    Datadog,
}

#[derive(Debug)]
pub(super) struct Settings {
    prefix: String,
    tagging: Tagging,
    constant_tags: Vec<String>,
    disabled_tags: Option<RegexSet>,
}

impl Settings {
    pub(super) fn new(config: &Config) -> Self {
        let datadog = config.get(&keys::STATSD_DATADOG_ENABLED);
        let tagging = match (datadog, config.get(&keys::STATSD_INFLUXDB_ENABLED)) {
            (true, _) if config.get(&keys::STATSD_DATADOG_METRICS_TAGS) => Tagging::Datadog,
            (false, true) => Tagging::Influx,
            _ => Tagging::None,
        };
        let constant = config.get(&keys::STATSD_DATADOG_TAGS);
        Self {
            prefix: config.get(&keys::STATSD_PREFIX),
            tagging,
            constant_tags: if datadog { list(&constant) } else { Vec::new() },
            disabled_tags: patterns(&config.get(&keys::STATSD_DISABLED_TAGS)),
        }
    }

    pub(super) fn line(&self, name: &str, value: Value, tags: &Tags<'_>) -> String {
        let tags =
            tags.iter().filter(|(tag, _)| self.disabled_tags.as_ref().is_none_or(|set| !set.is_match(tag)));
        let mut line = if self.prefix.is_empty() { String::new() } else { format!("{}.", self.prefix) };
        line.push_str(&clean(name));
        let mut datadog = self.constant_tags.clone();
        for (tag, text) in tags {
            match self.tagging {
                Tagging::Influx if !format!("{tag}{text}").contains([',', '=']) => {
                    let _ = write!(line, ",{tag}={text}");
                }
                Tagging::Datadog => datadog.push(format!("{tag}:{text}")),
                _ => {}
            }
        }
        let _ = match value {
            Value::Count(by) => write!(line, ":{by}|c"),
            Value::Gauge(value) => write!(line, ":{value}|g"),
            Value::Timing(took) => write!(line, ":{:.6}|ms", took.as_secs_f64() * 1000.0),
        };
        if !datadog.is_empty() {
            let _ = write!(line, "|#{}", datadog.join(","));
        }
        line
    }
}

/// StatsD takes letters, digits and a few marks; anything else becomes an underscore.
fn clean(name: &str) -> String {
    let keep = |c: char| c.is_ascii_alphanumeric() || "_.-/".contains(c);
    name.chars().map(|c| if keep(c) { c } else { '_' }).collect()
}

#[cfg(test)]
mod tests {
    use super::super::names::Names;
    use super::*;

    fn lines(options: &[(&str, &str)]) -> Vec<String> {
        let pairs: Vec<_> = options.iter().map(|(name, value)| ("metrics", *name, *value)).collect();
        let config = Config::from_pairs(&pairs).unwrap();
        let (settings, names) = (Settings::new(&config), Names::new(&config));
        let tags =
            [("dag_id", "d"), ("task_id", "g.t"), ("state", "success"), ("job_id", "7"), ("queue", "q")];
        let names = names.of("ti.finish", &tags);
        names.iter().map(|(name, tags)| settings.line(name, Value::Count(1), tags)).collect()
    }

    #[test]
    fn a_metric_has_its_old_name_and_its_new_one() {
        assert_eq!(lines(&[]), ["airflow.ti.finish.d.g__t.success:1|c", "airflow.ti.finish:1|c"]);
        assert_eq!(lines(&[("legacy_names_on", "False")]), ["airflow.ti.finish:1|c"]);
    }

    #[test]
    fn tags_are_written_as_influxdb_or_datadog_want_them() {
        let influx = lines(&[("statsd_influxdb_enabled", "True")]);
        assert_eq!(influx[1], "airflow.ti.finish,dag_id=d,task_id=g.t,state=success,queue=q:1|c");
        let datadog = lines(&[("statsd_datadog_enabled", "True"), ("statsd_datadog_tags", "env:x")]);
        assert_eq!(datadog[0], "airflow.ti.finish.d.g__t.success:1|c|#env:x,queue:q");
    }

    #[test]
    fn lists_choose_what_is_sent() {
        assert!(lines(&[("metrics_allow_list", "scheduler,executor")]).is_empty());
        assert!(lines(&[("metrics_block_list", "^ti")]).is_empty());
        assert_eq!(lines(&[("metrics_allow_list", "finish$")]).len(), 1);
    }
}
