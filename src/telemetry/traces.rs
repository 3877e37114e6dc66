//! Traces of runs: one span per dag run, sent when it has ended (`DagRun._emit_dagrun_span` of `airflow/models/dagrun.py`).
//! The spans of its tasks are sent by their own processes, with it as their parent.

use std::sync::OnceLock;
use std::time::SystemTime;

use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{BatchSpanProcessor, SpanData, SpanEvents, SpanLinks, SpanProcessor};

use crate::config::{Config, keys::traces as keys};
use crate::telemetry::otlp::{self, Signal, Target};

/// A run that has ended.
#[derive(Clone, Debug)]
pub struct EndedRun<'a> {
    /// Its Dag.
    pub dag_id: &'a str,
    /// `traceparent` and `tracestate` of its `context_carrier`.
    pub carrier: &'a serde_json::Value,
    /// When the span begins.
    pub began: SystemTime,
    /// How it ended.
    pub end: RunEnd,
    /// What else is known about it.
    pub attributes: Vec<(&'static str, String)>,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunEnd {
    /// `success`
    Success,
    /// `failed`
    Failed,
}

static PROCESSOR: OnceLock<BatchSpanProcessor> = OnceLock::new();

/// Starts the thread that sends, if the configuration wants it. Returns which part of new runs is to be traced. Only the
/// first call of a process counts. Not to be called in an asynchronous runtime.
pub fn init(config: &Config) -> Option<f64> {
    if !config.get(&keys::OTEL_ON) {
        return None;
    }
    match processor(config) {
        Ok(processor) => {
            let _ = PROCESSOR.set(processor);
            Some(sampled_share(config))
        }
        Err(error) => {
            tracing::error!(error, "[traces] the collector cannot be used; no traces of runs are sent");
            None
        }
    }
}

/// Whether spans are sent.
pub fn is_on() -> bool {
    PROCESSOR.get().is_some()
}

/// Sends what is still held, at the end of a process. Not to be called in an asynchronous runtime.
pub fn flush() {
    if let Some(Err(error)) = PROCESSOR.get().map(SpanProcessor::force_flush) {
        tracing::warn!(%error, "[traces] the last spans could not be sent");
    }
}

/// Sends the span of a run, unless its trace was not chosen when the run was made.
pub fn dag_run(run: EndedRun<'_>) {
    let (Some(processor), Some(span)) = (PROCESSOR.get(), span(run)) else { return };
    processor.on_end(span);
}

fn processor(config: &Config) -> Result<BatchSpanProcessor, String> {
    match config.otel("OTEL_TRACES_EXPORTER") {
        Some("otlp_proto_http") => {}
        None | Some("otlp") if config.otel("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") == Some("http/protobuf") => {
        }
        None | Some("otlp") if config.otel("OTEL_EXPORTER_OTLP_PROTOCOL") == Some("http/protobuf") => {}
        other => {
            let asked = other.unwrap_or("otlp");
            return Err(format!(
                "OTEL_TRACES_EXPORTER={asked} (OTLP over gRPC, unless OTEL_EXPORTER_OTLP_TRACES_PROTOCOL says otherwise) is not \
                 supported: let the collector receive http/protobuf, and set OTEL_TRACES_EXPORTER=otlp_proto_http"
            ));
        }
    }
    let target = Target {
        host: config.get(&keys::OTEL_HOST),
        port: config.get(&keys::OTEL_PORT),
        tls: config.get(&keys::OTEL_SSL_ACTIVE),
    };
    otlp::use_tls();
    let exporter = SpanExporter::builder().with_http().with_protocol(Protocol::HttpBinary);
    let exporter = match otlp::endpoint(config, Signal::Traces, &target)? {
        Some(endpoint) => exporter.with_endpoint(endpoint),
        None => exporter,
    };
    let exporter = exporter.build().map_err(|error| error.to_string())?;
    let mut processor = BatchSpanProcessor::builder(exporter).build();
    let service = config.get(&keys::OTEL_SERVICE);
    let named =
        config.otel("OTEL_SERVICE_NAME").is_some() || config.otel("OTEL_RESOURCE_ATTRIBUTES").is_some();
    let resource = match named || service.is_empty() {
        true => Resource::builder().build(),
        false => Resource::builder().with_service_name(service).build(),
    };
    processor.set_resource(&resource);
    Ok(processor)
}

/// `OTEL_TRACES_SAMPLER`: Airflow decides about a run's trace when the run is made.
fn sampled_share(config: &Config) -> f64 {
    match config.otel("OTEL_TRACES_SAMPLER").unwrap_or("parentbased_always_on") {
        "always_on" | "parentbased_always_on" => 1.0,
        "always_off" | "parentbased_always_off" => 0.0,
        "traceidratio" | "parentbased_traceidratio" => {
            config.otel("OTEL_TRACES_SAMPLER_ARG").and_then(|text| text.parse().ok()).unwrap_or(1.0)
        }
        other => {
            tracing::warn!(sampler = other, "OTEL_TRACES_SAMPLER is not known; every run is traced");
            1.0
        }
    }
}

fn span(run: EndedRun<'_>) -> Option<SpanData> {
    let mut parent = run.carrier["traceparent"].as_str()?.split('-').skip(1);
    let trace = TraceId::from_hex(parent.next()?).ok()?;
    let span = SpanId::from_hex(parent.next()?).ok()?;
    let flags = u8::from_str_radix(parent.next()?, 16).ok()?;
    if flags & 1 == 0 {
        return None;
    }
    let state = run.carrier["tracestate"].as_str().and_then(|text| text.parse::<TraceState>().ok());
    let attributes = run.attributes.into_iter().map(|(name, text)| KeyValue::new(name, text)).collect();
    Some(SpanData {
        span_context: SpanContext::new(trace, span, TraceFlags::SAMPLED, false, state.unwrap_or_default()),
        parent_span_id: SpanId::INVALID,
        parent_span_is_remote: false,
        span_kind: SpanKind::Internal,
        name: format!("dag_run.{}", run.dag_id).into(),
        start_time: run.began,
        end_time: SystemTime::now(),
        attributes,
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        status: match run.end {
            RunEnd::Success => Status::Ok,
            RunEnd::Failed => Status::error(""),
        },
        instrumentation_scope: InstrumentationScope::builder("airflow.models.dagrun").build(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(flags: &str) -> Option<SpanData> {
        let carrier = json!({
            "traceparent": format!("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-{flags}"),
        });
        let attributes = vec![("airflow.dag_id", "d".to_owned())];
        span(EndedRun {
            dag_id: "d",
            carrier: &carrier,
            began: SystemTime::UNIX_EPOCH,
            end: RunEnd::Failed,
            attributes,
        })
    }

    #[test]
    fn the_span_of_a_run_has_the_ids_that_its_tasks_take_for_their_parent() {
        let span = of("01").unwrap();
        assert_eq!(span.span_context.trace_id().to_string(), "0af7651916cd43dd8448eb211c80319c");
        assert_eq!(span.span_context.span_id().to_string(), "b7ad6b7169203331");
        assert_eq!((span.name.as_ref(), span.parent_span_id), ("dag_run.d", SpanId::INVALID));
        assert!(matches!(span.status, Status::Error { .. }));
    }

    #[test]
    fn a_run_whose_trace_was_not_chosen_sends_nothing() {
        assert_eq!(of("00"), None);
    }

    #[test]
    fn the_span_of_a_run_arrives_at_the_collector() {
        let (port, taken) = crate::telemetry::otlp::testing::collector();
        let home = tempfile::tempdir().unwrap();
        let env = [
            ("AIRFLOW_HOME", home.path().display().to_string()),
            ("OTEL_TRACES_EXPORTER", "otlp_proto_http".to_owned()),
            ("AIRFLOW__TRACES__OTEL_HOST", "127.0.0.1".to_owned()),
            ("AIRFLOW__TRACES__OTEL_PORT", port.to_string()),
        ];
        let config = Config::from_env(env.map(|(name, value)| (name.to_owned(), value))).unwrap();
        let processor = processor(&config).unwrap();
        processor.on_end(of("01").unwrap());
        processor.force_flush().unwrap();
        let request = taken.join().unwrap();
        assert!(request.starts_with("POST /v1/traces "), "{request}");
        assert!(request.contains("dag_run.d") && request.contains("airflow.dag_id"), "{request}");
        assert_eq!(sampled_share(&config).to_bits(), 1f64.to_bits());
    }

    #[test]
    fn what_only_grpc_could_do_is_refused_with_what_to_do_instead() {
        let error = processor(&Config::from_pairs(&[]).unwrap()).unwrap_err();
        assert!(error.contains("set OTEL_TRACES_EXPORTER=otlp_proto_http"), "{error}");
    }
}
