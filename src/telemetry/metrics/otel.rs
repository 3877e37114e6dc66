//! OpenTelemetry: instruments are made when they are first used, and sent together every minute (`otel_logger.py`).

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Gauge, Histogram, Meter, MeterProvider, UpDownCounter};
use opentelemetry_otlp::{MetricExporter, Protocol, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::{
    Aggregation, Instrument, InstrumentKind, PeriodicReader, SdkMeterProvider, Stream,
};

use super::{Tags, Value};
use crate::config::{Config, keys::metrics as keys};
use crate::telemetry::otlp::{self, Signal, Target};

/// The one counter that also goes down.
const UP_DOWN: &str = "dag_processing.processes";

/// The instruments of this process.
#[derive(Debug)]
pub(super) struct Meters {
    provider: SdkMeterProvider,
    meter: Meter,
    prefix: String,
    known: Mutex<HashMap<String, Known>>,
}

#[derive(Clone, Debug)]
enum Known {
    Counter(Counter<u64>),
    UpDown(UpDownCounter<i64>),
    Gauge(Gauge<i64>),
    Histogram(Histogram<f64>),
}

impl Meters {
    /// Starts the thread that sends.
    ///
    /// # Errors
    /// In words, when the collector's address or protocol cannot be used.
    pub(super) fn new(config: &Config) -> Result<Self, String> {
        let target = Target {
            host: config.get(&keys::OTEL_HOST),
            port: config.get(&keys::OTEL_PORT),
            tls: config.get(&keys::OTEL_SSL_ACTIVE),
        };
        otlp::use_tls();
        let exporter = MetricExporter::builder().with_http().with_protocol(Protocol::HttpBinary);
        let exporter = match otlp::endpoint(config, Signal::Metrics, &target)? {
            Some(endpoint) => exporter.with_endpoint(endpoint),
            None => exporter,
        };
        let exporter = exporter.build().map_err(|error| error.to_string())?;
        let every = config.get(&keys::OTEL_INTERVAL_MILLISECONDS);
        let every = config.otel("OTEL_METRIC_EXPORT_INTERVAL").unwrap_or(&every).parse();
        let every = Duration::from_millis(every.unwrap_or(60_000));
        let reader = PeriodicReader::builder(exporter).with_interval(every).build();
        let service = config.get(&keys::OTEL_SERVICE);
        let service = config.otel("OTEL_SERVICE_NAME").unwrap_or(&service);
        let service = if service.is_empty() { "airflow" } else { service }.to_owned();
        let provider = SdkMeterProvider::builder()
            .with_resource(Resource::builder().with_service_name(service).build())
            .with_reader(reader)
            .with_view(exponential)
            .build();
        let meter = provider.meter("airflow._shared.observability.metrics.otel_logger");
        Ok(Self { provider, meter, prefix: config.get(&keys::OTEL_PREFIX), known: Mutex::default() })
    }

    pub(super) fn record(&self, name: &str, value: Value, tags: &Tags<'_>) {
        let tags: Vec<_> =
            tags.iter().map(|(tag, text)| KeyValue::new((*tag).to_owned(), (*text).to_owned())).collect();
        match (self.instrument(name, value), value) {
            (Known::Counter(counter), Value::Count(by)) => counter.add(by.unsigned_abs(), &tags),
            (Known::UpDown(counter), Value::Count(by)) => counter.add(by, &tags),
            (Known::Gauge(gauge), Value::Gauge(value)) => gauge.record(value, &tags),
            (Known::Histogram(histogram), Value::Timing(took)) => {
                histogram.record(took.as_secs_f64() * 1000.0, &tags);
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
            Value::Gauge(_) => Known::Gauge(self.meter.i64_gauge(full).build()),
            Value::Timing(_) => Known::Histogram(self.meter.f64_histogram(full).with_unit("ms").build()),
        };
        known.insert(name.to_owned(), instrument.clone());
        instrument
    }
}

/// Durations are from milliseconds to hours: their buckets adapt.
fn exponential(instrument: &Instrument) -> Option<Stream> {
    let wide = Aggregation::Base2ExponentialHistogram { max_size: 160, max_scale: 20, record_min_max: true };
    (instrument.kind() == InstrumentKind::Histogram)
        .then(|| Stream::builder().with_aggregation(wide).build().ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::otlp::testing::collector;

    #[test]
    fn metrics_arrive_at_the_collector_with_their_tags() {
        let (port, taken) = collector();
        let options = [("metrics", "otel_port", &*port.to_string()), ("metrics", "otel_host", "127.0.0.1")];
        let meters = Meters::new(&Config::from_pairs(&options).unwrap()).unwrap();
        meters.record("scheduler_heartbeat", Value::Count(1), &[]);
        meters.record(UP_DOWN, Value::Count(-1), &[]);
        meters.record("pool.open_slots", Value::Gauge(128), &[("pool_name", "default_pool")]);
        meters.record(
            "dagrun.duration.success",
            Value::Timing(Duration::from_millis(1500)),
            &[("dag_id", "d")],
        );
        meters.flush();
        let request = taken.join().unwrap();
        assert!(request.starts_with("POST /v1/metrics "), "{request}");
        let expected = [
            "airflow.scheduler_heartbeat",
            "airflow.dag_processing.processes",
            "airflow.pool.open_slots",
            "default_pool",
            "airflow.dagrun.duration.success",
            "service.name",
        ];
        for name in expected {
            assert!(request.contains(name), "{name} in {request}");
        }
    }
}
