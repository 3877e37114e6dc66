//! Metrics under Airflow's names, sent to StatsD over UDP and never waited for.
//!
//! Each is sent under its name and, while `[metrics] legacy_names_on` holds, under its old dotted name as well, in which the
//! tags are parts of the name. Without [`init`], or with `[metrics] statsd_on` off, sending does nothing.
//! Mirrors `airflow/_shared/observability/metrics/{stats,statsd_logger,datadog_logger}.py`.

use std::fmt::Write as _;
use std::net::UdpSocket;
use std::sync::OnceLock;
use std::time::Duration;

use regex::RegexSet;

use crate::config::{Config, keys::metrics as keys};

/// What a metric is about.
pub type Tags<'a> = [(&'a str, &'a str)];

/// Adds one to a counter.
pub fn incr(name: &str, tags: &Tags<'_>) {
    count(name, 1, tags);
}

/// Adds to a counter.
pub fn count(name: &str, by: i64, tags: &Tags<'_>) {
    send(name, &format!("{by}|c"), tags);
}

/// Says how much there is of something now.
#[allow(clippy::cast_precision_loss)]
pub fn gauge(name: &str, value: i64, tags: &Tags<'_>) {
    send(name, &format!("{value}|g"), tags);
}

/// Says how long something took.
pub fn timing(name: &str, took: Duration, tags: &Tags<'_>) {
    send(name, &format!("{:.6}|ms", took.as_secs_f64() * 1000.0), tags);
}

/// Whether anything is sent at all; lets callers spare the work for a metric.
pub fn is_on() -> bool {
    CLIENT.get().is_some()
}

static CLIENT: OnceLock<Client> = OnceLock::new();

/// Starts sending, if the configuration wants it. Only the first call of a process counts.
pub fn init(config: &Config) {
    if !(config.get(&keys::STATSD_ON) || config.get(&keys::STATSD_DATADOG_ENABLED)) {
        return;
    }
    match Client::connect(config) {
        Ok(client) => {
            let _ = CLIENT.set(client);
        }
        Err(error) => tracing::error!(%error, "[metrics] StatsD cannot be used; no metrics are sent"),
    }
}

fn send(name: &str, value: &str, tags: &Tags<'_>) {
    let Some(client) = CLIENT.get() else { return };
    for line in client.settings.lines(name, value, tags) {
        // A metric that cannot be sent is lost, as StatsD means it.
        let _ = client.socket.send(line.as_bytes());
    }
}

#[derive(Debug)]
struct Client {
    socket: UdpSocket,
    settings: Settings,
}

impl Client {
    fn connect(config: &Config) -> std::io::Result<Self> {
        let host = config.get(&keys::STATSD_HOST);
        let port = u16::try_from(config.get(&keys::STATSD_PORT)).map_err(std::io::Error::other)?;
        let addresses: Vec<_> = std::net::ToSocketAddrs::to_socket_addrs(&(host.as_str(), port))?.collect();
        let any = if addresses.iter().any(std::net::SocketAddr::is_ipv4) { "0.0.0.0:0" } else { "[::]:0" };
        let socket = UdpSocket::bind(any)?;
        socket.connect(&addresses[..])?;
        socket.set_nonblocking(true)?;
        Ok(Self { socket, settings: Settings::new(config) })
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
struct Settings {
    prefix: String,
    tagging: Tagging,
    constant_tags: Vec<String>,
    legacy: bool,
    allow: Option<RegexSet>,
    block: Option<RegexSet>,
    disabled_tags: Option<RegexSet>,
}

impl Settings {
    fn new(config: &Config) -> Self {
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
            legacy: config.get(&keys::LEGACY_NAMES_ON),
            allow: patterns(&config.get(&keys::METRICS_ALLOW_LIST)),
            block: patterns(&config.get(&keys::METRICS_BLOCK_LIST)),
            disabled_tags: patterns(&config.get(&keys::STATSD_DISABLED_TAGS)),
        }
    }

    fn lines(&self, name: &str, value: &str, tags: &Tags<'_>) -> Vec<String> {
        let mut lines = Vec::with_capacity(2);
        if self.legacy
            && let Some((old, rest)) = legacy(name, tags)
        {
            lines.extend(self.line(&old, value, &rest));
        }
        lines.extend(self.line(name, value, tags));
        lines
    }

    fn line(&self, name: &str, value: &str, tags: &Tags<'_>) -> Option<String> {
        let allowed = match (&self.allow, &self.block) {
            (Some(allow), _) => allow.is_match(name),
            (None, Some(block)) => !block.is_match(name),
            (None, None) => true,
        };
        if !allowed {
            return None;
        }
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
        let _ = write!(line, ":{value}");
        if !datadog.is_empty() {
            let _ = write!(line, "|#{}", datadog.join(","));
        }
        Some(line)
    }
}

fn list(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect()
}

/// Patterns separated by commas, found anywhere in a name.
fn patterns(text: &str) -> Option<RegexSet> {
    let items = list(&text.to_lowercase());
    if items.is_empty() {
        return None;
    }
    RegexSet::new(items)
        .inspect_err(|error| tracing::error!(%error, "a list of metrics has a wrong pattern and is not used"))
        .ok()
}

/// StatsD takes letters, digits and a few marks; anything else becomes an underscore.
fn clean(name: &str) -> String {
    let keep = |c: char| c.is_ascii_alphanumeric() || "_.-/".contains(c);
    name.chars().map(|c| if keep(c) { c } else { '_' }).collect()
}

/// The old names of metrics (`metrics_template.yaml`), where they differ from "name, then its tags".
const LEGACY: &[(&str, &str)] = &[
    ("ti.start", "ti.start.{dag_id}.{task_id}"),
    ("ti.finish", "ti.finish.{dag_id}.{task_id}.{state}"),
    ("task_removed_from_dag", "task_removed_from_dag.{dag_id}"),
    ("task_restored_to_dag", "task_restored_to_dag.{dag_id}"),
    ("task_instance_created", "task_instance_created_{task_type}"),
    ("dag_processing.last_run.seconds_ago", "dag_processing.last_run.seconds_ago.{file_name}"),
    ("dag_processing.last_duration", "dag_processing.last_duration.{bundle_name}.{file_name}"),
    ("executor.open_slots", "executor.open_slots.{executor_class_name}"),
    ("executor.queued_tasks", "executor.queued_tasks.{executor_class_name}"),
    ("executor.running_tasks", "executor.running_tasks.{executor_class_name}"),
    ("pool.open_slots", "pool.open_slots.{pool_name}"),
    ("pool.queued_slots", "pool.queued_slots.{pool_name}"),
    ("pool.running_slots", "pool.running_slots.{pool_name}"),
    ("pool.deferred_slots", "pool.deferred_slots.{pool_name}"),
    ("pool.scheduled_slots", "pool.scheduled_slots.{pool_name}"),
    ("pool.starving_tasks", "pool.starving_tasks.{pool_name}"),
    ("ti.scheduled", "ti.scheduled.{queue}.{dag_id}.{task_id}"),
    ("ti.queued", "ti.queued.{queue}.{dag_id}.{task_id}"),
    ("ti.running", "ti.running.{queue}.{dag_id}.{task_id}"),
    ("ti.deferred", "ti.deferred.{queue}.{dag_id}.{task_id}"),
    ("dagrun.dependency-check", "dagrun.dependency-check.{dag_id}"),
    ("task.duration", "dag.{dag_id}.{task_id}.duration"),
    ("task.scheduled_duration", "dag.{dag_id}.{task_id}.scheduled_duration"),
    ("task.queued_duration", "dag.{dag_id}.{task_id}.queued_duration"),
    ("dagrun.duration.success", "dagrun.duration.success.{dag_id}"),
    ("dagrun.duration.failed", "dagrun.duration.failed.{dag_id}"),
    ("dagrun.schedule_delay", "dagrun.schedule_delay.{dag_id}"),
    ("dagrun.first_task_scheduling_delay", "dagrun.{dag_id}.first_task_scheduling_delay"),
];

/// A metric's old name and the tags that are not part of it. None: it has none, or a tag is missing.
fn legacy<'a>(name: &str, tags: &Tags<'a>) -> Option<(String, Vec<(&'a str, &'a str)>)> {
    let (_, template) = LEGACY.iter().find(|(new, _)| *new == name)?;
    let mut old = (*template).to_owned();
    let mut rest = Vec::new();
    for (tag, value) in tags {
        let place = format!("{{{tag}}}");
        if old.contains(&place) {
            // A dot separates levels of the name.
            old = old.replace(&place, &value.replace('.', "__"));
        } else {
            rest.push((*tag, *value));
        }
    }
    (!old.contains('{')).then_some((old, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(options: &[(&str, &str)]) -> Vec<String> {
        let pairs: Vec<_> = options.iter().map(|(name, value)| ("metrics", *name, *value)).collect();
        let settings = Settings::new(&Config::from_pairs(&pairs).unwrap());
        let tags =
            [("dag_id", "d"), ("task_id", "g.t"), ("state", "success"), ("job_id", "7"), ("queue", "q")];
        settings.lines("ti.finish", "1|c", &tags)
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
