//! Metrics under Airflow's names, sent to StatsD or to an OpenTelemetry collector and never waited for.
//!
//! Each is sent under its name and, while `[metrics] legacy_names_on` holds, under its old dotted name as well, in which the
//! tags are parts of the name. Without [`init`], or when the configuration wants none, sending does nothing.
//! Mirrors `airflow/_shared/observability/metrics/` and `airflow/observability/metrics/stats_utils.py`.

mod legacy;
mod names;
mod otel;
mod statsd;

use std::sync::OnceLock;
use std::time::Duration;

use self::names::Names;
use crate::config::{Config, keys::metrics as keys};

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
    send(name, Value::Gauge(value), tags);
}

/// Says how long something took.
pub fn timing(name: &str, took: Duration, tags: &Tags<'_>) {
    send(name, Value::Timing(took), tags);
}

/// Whether anything is sent at all; lets callers spare the work for a metric.
pub fn is_on() -> bool {
    SENDER.get().is_some()
}

/// One measurement.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Value {
    Count(i64),
    Gauge(i64),
    Timing(Duration),
}

/// Where measurements go.
#[derive(Debug)]
enum Backend {
    Statsd(statsd::Client),
    Otel(otel::Meters),
}

#[derive(Debug)]
struct Sender {
    names: Names,
    backend: Backend,
}

static SENDER: OnceLock<Sender> = OnceLock::new();

/// Starts sending, if the configuration wants it: to one receiver, in Airflow's order of precedence. Only the first call of a
/// process counts. Not to be called in an asynchronous runtime.
pub fn init(config: &Config) {
    let backend = if config.get(&keys::STATSD_ON) || config.get(&keys::STATSD_DATADOG_ENABLED) {
        statsd::Client::connect(config).map(Backend::Statsd).map_err(|error| error.to_string())
    } else if config.get(&keys::OTEL_ON) {
        otel::Meters::new(config).map(Backend::Otel)
    } else {
        return;
    };
    match backend {
        Ok(backend) => {
            let _ = SENDER.set(Sender { names: Names::new(config), backend });
        }
        Err(error) => tracing::error!(error, "[metrics] the receiver cannot be used; no metrics are sent"),
    }
}

/// Sends what is still held, at the end of a process. Not to be called in an asynchronous runtime.
pub fn flush() {
    if let Some(Sender { backend: Backend::Otel(meters), .. }) = SENDER.get() {
        meters.flush();
    }
}

fn send(name: &str, value: Value, tags: &Tags<'_>) {
    let Some(sender) = SENDER.get() else { return };
    for (name, tags) in sender.names.of(name, tags) {
        match &sender.backend {
            Backend::Statsd(client) => client.send(&name, value, &tags),
            Backend::Otel(meters) => meters.record(&name, value, &tags),
        }
    }
}
