//! OpenTelemetry: all metrics are sent together every minute (`otel_logger.py`).

use std::time::Duration;

use opentelemetry_otlp::{MetricExporter, Protocol, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::{
    Aggregation, Instrument, InstrumentKind, PeriodicReader, SdkMeterProvider, Stream,
};

use super::instruments::{Instruments, Unit};
use crate::config::{Config, keys::metrics as keys};
use crate::telemetry::otlp::{self, Signal, Target};

/// Starts the thread that sends.
///
/// # Errors
/// In words, when the collector's address or protocol cannot be used.
pub(super) fn connect(config: &Config) -> Result<Instruments, String> {
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
    Ok(Instruments::new(provider, config.get(&keys::OTEL_PREFIX), Unit::Milliseconds))
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
    use super::super::Value;
    use super::super::instruments::UP_DOWN;
    use super::*;
    use crate::telemetry::otlp::testing::collector;

    #[test]
    fn metrics_arrive_at_the_collector_with_their_tags() {
        let (port, taken) = collector();
        let options = [("metrics", "otel_port", &*port.to_string()), ("metrics", "otel_host", "127.0.0.1")];
        let meters = connect(&Config::from_pairs(&options).unwrap()).unwrap();
        meters.record("scheduler_heartbeat", Value::Count(1), &[]);
        meters.record(UP_DOWN, Value::Count(-1), &[]);
        meters.record("pool.open_slots", Value::Gauge(128.0), &[("pool_name", "default_pool")]);
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
