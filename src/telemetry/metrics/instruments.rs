//! Instruments of OpenTelemetry, made when they are first used.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Gauge, Histogram, Meter, MeterProvider, UpDownCounter};
use opentelemetry_sdk::metrics::SdkMeterProvider;

use super::{Tags, Value};

/// The one counter that also goes down.
pub(super) const UP_DOWN: &str = "dag_processing.processes";

/// In what durations are measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Unit {
    Milliseconds,
    Seconds,
}

impl Unit {
    fn name(self) -> &'static str {
        match self {
            Self::Milliseconds => "ms",
            Self::Seconds => "s",
        }
    }

    fn of(self, took: Duration) -> f64 {
        match self {
            Self::Milliseconds => took.as_secs_f64() * 1000.0,
            Self::Seconds => took.as_secs_f64(),
        }
    }
}

/// The instruments of this process.
#[derive(Debug)]
pub(super) struct Instruments {
    provider: SdkMeterProvider,
    meter: Meter,
    prefix: String,
    unit: Unit,
    known: Mutex<HashMap<String, Known>>,
}

#[derive(Clone, Debug)]
enum Known {
    Counter(Counter<u64>),
    UpDown(UpDownCounter<i64>),
    Gauge(Gauge<f64>),
    Histogram(Histogram<f64>),
}

impl Instruments {
    pub(super) fn new(provider: SdkMeterProvider, prefix: String, unit: Unit) -> Self {
        let meter = provider.meter("airflow._shared.observability.metrics.otel_logger");
        Self { provider, meter, prefix, unit, known: Mutex::default() }
    }

    pub(super) fn record(&self, name: &str, value: Value, tags: &Tags<'_>) {
        let tags: Vec<_> =
            tags.iter().map(|(tag, text)| KeyValue::new((*tag).to_owned(), (*text).to_owned())).collect();
        match (self.instrument(name, value), value) {
            (Known::Counter(counter), Value::Count(by)) => counter.add(by.unsigned_abs(), &tags),
            (Known::UpDown(counter), Value::Count(by)) => counter.add(by, &tags),
            (Known::Gauge(gauge), Value::Gauge(value)) => gauge.record(value, &tags),
            (Known::Histogram(histogram), Value::Timing(took)) => {
                histogram.record(self.unit.of(took), &tags);
            }
            // A name has one kind, here as in Airflow's list.
            _ => {}
        }
    }

    pub(super) fn flush(&self) {
        if let Err(error) = self.provider.force_flush() {
            tracing::warn!(%error, "[metrics] the last metrics could not be sent");
        }
    }

    fn instrument(&self, name: &str, value: Value) -> Known {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(instrument) = known.get(name) {
            return instrument.clone();
        }
        let full = format!("{}.{name}", self.prefix);
        let instrument = match value {
            Value::Count(_) if name == UP_DOWN => Known::UpDown(self.meter.i64_up_down_counter(full).build()),
            Value::Count(_) => Known::Counter(self.meter.u64_counter(full).build()),
            Value::Gauge(_) => Known::Gauge(self.meter.f64_gauge(full).build()),
            Value::Timing(_) => {
                Known::Histogram(self.meter.f64_histogram(full).with_unit(self.unit.name()).build())
            }
        };
        known.insert(name.to_owned(), instrument.clone());
        instrument
    }
}
