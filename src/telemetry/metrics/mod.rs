//! Metrics under Airflow's names, sent to StatsD or to an OpenTelemetry collector and never waited for, and kept for
//! Prometheus.
//!
//! Each is sent under its name and, while `[metrics] legacy_names_on` holds, under its old dotted name as well, in which the
//! tags are parts of the name. Without [`init`], or when the configuration wants none, sending does nothing.
//! Mirrors `airflow/_shared/observability/metrics/` and `airflow/observability/metrics/stats_utils.py`.

mod held;
mod instruments;
mod legacy;
mod names;
mod normal;
mod otel;
mod prometheus;
mod statsd;
mod teams;
#[cfg(test)]
pub(crate) mod testing;

use std::sync::OnceLock;
use std::time::Duration;

use self::instruments::Instruments;
use self::names::Names;
use crate::config::Config;
use crate::config::keys::{metrics as keys, slipstream};

pub use self::held::Held;
pub use self::normal::normal;
pub use self::teams::{Teams, set_teams, team_of_bundle, team_of_dag, team_tag};

/// What a metric is about.
pub type Tags<'a> = [(&'a str, &'a str)];

/// Adds one to a counter.
pub fn incr(name: &str, tags: &Tags<'_>) {
    count(name, 1, tags);
}

/// Adds to a counter.
pub fn count(name: &str, by: i64, tags: &Tags<'_>) {
    send(name, Value::Count(by), tags);
}

/// Says how much there is of something now.
pub fn gauge(name: &str, value: i64, tags: &Tags<'_>) {
    // Counts of rows are far below the numbers that a float cannot hold.
    send(name, Value::Gauge(value as f64), tags);
}

/// Says how many seconds something lasts or is ago. Only these are gauges with a fraction.
pub fn gauge_seconds(name: &str, seconds: f64, tags: &Tags<'_>) {
    send(name, Value::Gauge(seconds), tags);
}

/// Says how long something took.
pub fn timing(name: &str, took: Duration, tags: &Tags<'_>) {
    send(name, Value::Timing(took), tags);
}

/// Whether anything is measured at all; lets callers spare the work for a metric.
pub fn is_on() -> bool {
    #[cfg(test)]
    if testing::is_on() {
        return true;
    }
    SENDERS.get().is_some_and(|senders| !senders.is_empty())
}

/// What Prometheus reads; `None` if nothing is kept for it.
///
/// # Errors
/// In words, when what was measured cannot be written in its form.
pub fn page() -> Option<Result<String, String>> {
    SENDERS.get()?.iter().find_map(|sender| match &sender.backend {
        Backend::Prometheus(page) => Some(page.text()),
        Backend::Statsd(_) | Backend::Otel(_) => None,
    })
}

/// One measurement.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Value {
    Count(i64),
    Gauge(f64),
    Timing(Duration),
}

/// Where measurements go.
#[derive(Debug)]
enum Backend {
    Statsd(statsd::Client),
    Otel(Instruments),
    Prometheus(prometheus::Page),
}

#[derive(Debug)]
struct Sender {
    names: Names,
    backend: Backend,
}

static SENDERS: OnceLock<Vec<Sender>> = OnceLock::new();

/// Whether this process has a server where Prometheus can read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Page {
    /// It has.
    Served,
    /// What were kept would never be read.
    Missing,
}

/// Starts sending, if the configuration wants it: to one receiver, in Airflow's order of precedence, and to readers of the
/// page. Only the first call of a process counts. Not to be called in an asynchronous runtime.
pub fn init(config: &Config, page: Page) {
    let sent = if config.get(&keys::STATSD_ON) || config.get(&keys::STATSD_DATADOG_ENABLED) {
        Some(statsd::Client::connect(config).map(Backend::Statsd).map_err(|error| error.to_string()))
    } else if config.get(&keys::OTEL_ON) {
        Some(otel::connect(config).map(Backend::Otel))
    } else {
        None
    };
    let kept = (page == Page::Served && config.get(&slipstream::PROMETHEUS))
        .then(|| prometheus::Page::new(config).map(Backend::Prometheus));
    let mut senders = Vec::new();
    for backend in [sent, kept].into_iter().flatten() {
        match backend {
            Ok(backend) => {
                let names = match backend {
                    Backend::Prometheus(_) => Names::new_only(config),
                    Backend::Statsd(_) | Backend::Otel(_) => Names::new(config),
                };
                senders.push(Sender { names, backend });
            }
            Err(error) => tracing::error!(error, "[metrics] a receiver cannot be used; it gets no metrics"),
        }
    }
    let _ = SENDERS.set(senders);
}

/// Sends what is still held, at the end of a process. Not to be called in an asynchronous runtime.
pub fn flush() {
    for sender in SENDERS.get().into_iter().flatten() {
        if let Backend::Otel(meters) = &sender.backend {
            meters.flush();
        }
    }
}

fn send(name: &str, value: Value, tags: &Tags<'_>) {
    if !is_on() {
        return;
    }
    let team = teams::of(tags);
    let with_team: Vec<_>;
    let tags = match &team {
        Some(team) => {
            with_team = tags.iter().copied().chain([(teams::TAG, team.as_str())]).collect();
            &with_team[..]
        }
        None => tags,
    };
    #[cfg(test)]
    testing::take(name, value, tags);
    for sender in SENDERS.get().into_iter().flatten() {
        for (name, tags) in sender.names.of(name, tags) {
            match &sender.backend {
                Backend::Statsd(client) => client.send(&name, value, &tags),
                Backend::Otel(meters) => meters.record(&name, value, &tags),
                Backend::Prometheus(page) => page.record(&name, value, &tags),
            }
        }
    }
}
