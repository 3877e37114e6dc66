//! The dag processor's metrics, under Airflow's names.

use std::path::Path;
use std::time::Duration;

use crate::telemetry::metrics;

use super::child::Ending;
use super::files::{FileKey, Files};

/// A child was started.
pub(super) fn started(file: &FileKey) {
    metrics::count("dag_processing.processes", 1, &[("file_path", &file.path), ("action", "start")]);
}

/// A child ended.
pub(super) fn ended(file: &FileKey, ending: Ending, took: Duration) {
    if ending == Ending::TimedOut {
        metrics::count("dag_processing.processes", -1, &[("file_path", &file.path), ("action", "timeout")]);
        metrics::incr("dag_processing.processor_timeouts", &[("file_path", &file.path)]);
    }
    let tags = [("bundle_name", file.bundle.as_str()), ("file_name", stem(file))];
    metrics::timing("dag_processing.last_duration", took, &tags);
}

/// A child ran callbacks and parsed nothing.
pub(super) fn ran_callbacks() {
    metrics::incr("dag_processing.callback_only_count", &[]);
}

/// A callback was queued.
pub(super) fn queued_callback() {
    metrics::incr("dag_processing.other_callback_count", &[]);
}

/// How long the queue is.
pub(super) fn queue(length: usize) {
    metrics::gauge("dag_processing.file_path_queue_size", whole(length), &[]);
}

/// What is known of all files.
pub(super) fn files(files: &Files, now: chrono::DateTime<chrono::Utc>) {
    let (mut dags, mut errors) = (0, 0);
    for (file, state) in files.iter() {
        dags += state.dags;
        errors += state.import_errors;
        if let Some(finish) = state.last_finish {
            let tags = [
                ("file_path", file.path.as_str()),
                ("bundle_name", file.bundle.as_str()),
                ("file_name", stem(file)),
            ];
            metrics::gauge("dag_processing.last_run.seconds_ago", (now - finish).num_seconds(), &tags);
        }
    }
    metrics::gauge("dagbag_size", whole(dags), &[]);
    metrics::gauge("dag_processing.import_errors", whole(errors), &[]);
}

fn stem(file: &FileKey) -> &str {
    Path::new(&file.path).file_stem().and_then(|stem| stem.to_str()).unwrap_or(&file.path)
}

fn whole(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
