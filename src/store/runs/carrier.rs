//! The W3C trace context of a dag run (`airflow/_shared/observability/traces/__init__.py`).

use std::sync::OnceLock;

use serde_json::{Value, json};
use uuid::Uuid;

/// The key of `dag_run.conf` that asks for detailed spans.
const DETAIL_KEY: &str = "airflow/task_span_detail_level";

/// Which part of new runs is traced; none without it.
static TRACED: OnceLock<f64> = OnceLock::new();

/// Has this part of all new runs be traced, from 0 to 1. Only the first call of a process counts.
pub fn trace(share: f64) {
    let _ = TRACED.set(share);
}

/// `01`: the run is traced. Decided by the trace's id, as OpenTelemetry's `traceidratio` does.
fn flags(trace: u128, share: Option<f64>) -> &'static str {
    let low = (trace & u128::from(u64::MAX)) as f64;
    match share {
        Some(share) if share >= 1.0 || low < share * 2f64.powi(64) => "01",
        _ => "00",
    }
}

/// 128 random bits. A UUID has six that are not, which would decide whether a run is traced: those of each are covered by
/// random ones of the other.
fn random() -> u128 {
    Uuid::new_v4().as_u128() ^ Uuid::new_v4().as_u128().rotate_left(32)
}

/// A fresh trace for a dag run, as `dag_run.context_carrier` and its task instances' `context_carrier` store it.
///
/// The task instances of a run carry the same context as the run: without a span exporter Airflow's tracer hands the
/// parent's context on unchanged.
pub fn fresh(conf: Option<&Value>) -> Value {
    let (trace, span) = (random(), random() as u64);
    let flags = flags(trace, TRACED.get().copied());
    let mut carrier = json!({ "traceparent": format!("00-{trace:032x}-{span:016x}-{flags}") });
    if let Some(level) = conf.and_then(detail_level) {
        carrier["tracestate"] = Value::from(format!("{DETAIL_KEY}={level}"));
    }
    json!({ "__type": "dict", "__var": carrier })
}

/// The detail level that the run's conf asks for; nothing for none, zero or what is no number.
fn detail_level(conf: &Value) -> Option<i64> {
    let level = match conf.get(DETAIL_KEY)? {
        Value::Number(number) => number.as_i64().or_else(|| number.as_f64().map(|float| float as i64)),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    level.filter(|level| *level != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_of_traced_runs_is_what_was_asked_for() {
        assert_eq!((flags(7, None), flags(u128::MAX, Some(1.0)), flags(0, Some(0.0))), ("00", "01", "00"));
        let traced = (0..1000).filter(|_| flags(random(), Some(0.25)) == "01").count();
        assert!((150..350).contains(&traced), "{traced}");
    }

    #[test]
    fn a_carrier_is_a_valid_unsampled_traceparent() {
        let carrier = fresh(None);
        let parent = carrier["__var"]["traceparent"].as_str().unwrap();
        let parts: Vec<&str> = parent.split('-').collect();
        assert_eq!(parts.iter().map(|part| part.len()).collect::<Vec<_>>(), [2, 32, 16, 2]);
        assert!(carrier["__var"].get("tracestate").is_none());
    }
}
