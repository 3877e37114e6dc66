//! Prometheus: metrics are kept until someone reads them over HTTP.

use opentelemetry_sdk::metrics::{Aggregation, Instrument, InstrumentKind, SdkMeterProvider, Stream};
use prometheus::{Registry, TextEncoder};
use regex::RegexSet;

use super::instruments::{Instruments, Unit};
use super::names::patterns;
use super::{Tags, Value};
use crate::config::{Config, keys::metrics as keys};

/// Upper ends of the histograms' buckets in seconds: from what a loop takes to what a run takes.
const BUCKETS: &[f64] =
    &[0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 14_400.0];

/// A run's id in metrics of deadlines; the option that leaves ids of runs out does not know this name of theirs.
const RUN: &str = "dagrun_id";

/// The registry of this process.
#[derive(Debug)]
pub(super) struct Page {
    instruments: Instruments,
    registry: Registry,
    disabled_tags: Option<RegexSet>,
}

impl Page {
    /// # Errors
    /// In words, when the registry cannot be made.
    pub(super) fn new(config: &Config) -> Result<Self, String> {
        let registry = Registry::new();
        let reader = opentelemetry_prometheus::exporter()
            .with_registry(registry.clone())
            .without_target_info()
            .scope_info_enabled(false)
            .build()
            .map_err(|error| error.to_string())?;
        let provider = SdkMeterProvider::builder().with_reader(reader).with_view(buckets).build();
        let instruments = Instruments::new(provider, "airflow".to_owned(), Unit::Seconds);
        // Each value of a tag is a series that is kept: ids of runs would grow without an end.
        let disabled_tags = patterns(&config.get(&keys::STATSD_DISABLED_TAGS));
        Ok(Self { instruments, registry, disabled_tags })
    }

    pub(super) fn record(&self, name: &str, value: Value, tags: &Tags<'_>) {
        let enabled =
            |tag: &str| tag != RUN && self.disabled_tags.as_ref().is_none_or(|set| !set.is_match(tag));
        let tags: Vec<_> = tags.iter().filter(|(tag, _)| enabled(tag)).copied().collect();
        self.instruments.record(name, value, &tags);
    }

    /// The text that Prometheus reads.
    ///
    /// # Errors
    /// In words, when what was measured cannot be written so.
    pub(super) fn text(&self) -> Result<String, String> {
        TextEncoder::new().encode_to_string(&self.registry.gather()).map_err(|error| error.to_string())
    }
}

fn buckets(instrument: &Instrument) -> Option<Stream> {
    let buckets =
        Aggregation::ExplicitBucketHistogram { boundaries: BUCKETS.to_vec(), record_min_max: false };
    (instrument.kind() == InstrumentKind::Histogram)
        .then(|| Stream::builder().with_aggregation(buckets).build().ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn page() -> Page {
        Page::new(&Config::from_pairs(&[]).unwrap()).unwrap()
    }

    #[test]
    fn metrics_have_airflows_names_with_underscores_and_the_units_of_prometheus() {
        let page = page();
        page.record("scheduler_heartbeat", Value::Count(2), &[]);
        page.record("scheduler_heartbeat", Value::Count(1), &[]);
        page.record("pool.open_slots", Value::Gauge(128.0), &[("pool_name", "default_pool")]);
        let took = Value::Timing(Duration::from_millis(1500));
        page.record("scheduler.scheduler_loop_duration", took, &[]);
        let text = page.text().unwrap();
        let expected = [
            "# TYPE airflow_scheduler_heartbeat_total counter\n",
            "airflow_scheduler_heartbeat_total 3\n",
            "airflow_pool_open_slots{pool_name=\"default_pool\"} 128\n",
            "airflow_scheduler_scheduler_loop_duration_seconds_bucket{le=\"1\"} 0\n",
            "airflow_scheduler_scheduler_loop_duration_seconds_bucket{le=\"2.5\"} 1\n",
            "airflow_scheduler_scheduler_loop_duration_seconds_sum 1.5\n",
        ];
        for line in expected {
            assert!(text.contains(line), "{line} in {text}");
        }
    }

    #[test]
    fn tags_that_differ_for_every_run_make_no_series() {
        let page = page();
        let tags = [("job_id", "7"), ("run_id", "r"), ("dagrun_id", "r"), ("dag_id", "d")];
        page.record("job_start", Value::Count(1), &tags);
        let text = page.text().unwrap();
        assert!(text.contains("{dag_id=\"d\"} 1"), "{text}");
    }

    #[test]
    fn values_with_quotes_and_line_ends_do_not_break_the_page() {
        let page = page();
        page.record("ti_failures", Value::Count(1), &[("task_id", "a\"b\nc")]);
        assert!(page.text().unwrap().contains(r#"{task_id="a\"b\nc"} 1"#), "{}", page.text().unwrap());
    }
}
