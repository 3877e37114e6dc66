//! The dag processor's metrics, under Airflow's names.

use std::borrow::Cow;
use std::path::Path;
use std::time::Duration;

use crate::telemetry::metrics::{self, normal, team_tag};

use super::child::Ending;
use super::files::{FileKey, Files};

/// What a child went through that changes their number; ends of children that had time count for nothing, as in Airflow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// It was started.
    Start,
    /// Its file is gone.
    Stop,
    /// It took too long.
    Timeout,
    /// The dag processor ended.
    Terminate,
}

/// Counts a child.
pub(super) fn child(file: &FileKey, action: Action) {
    let (by, action) = match action {
        Action::Start => (1, "start"),
        Action::Stop => (-1, "stop"),
        Action::Timeout => (-1, "timeout"),
        Action::Terminate => (-1, "terminate"),
    };
    let (path, team) = (normal(&file.path), metrics::team_of_bundle(&file.bundle));
    let mut tags = vec![("file_path", &*path), ("action", action)];
    tags.extend(team_tag(team.as_deref()));
    metrics::count("dag_processing.processes", by, &tags);
}

/// A child ended.
pub(super) fn ended(file: &FileKey, ending: Ending, took: Duration) {
    if ending == Ending::TimedOut {
        child(file, Action::Timeout);
        let (path, team) = (normal(&file.path), metrics::team_of_bundle(&file.bundle));
        let mut tags = vec![("file_path", &*path)];
        tags.extend(team_tag(team.as_deref()));
        metrics::incr("dag_processing.processor_timeouts", &tags);
        return;
    }
    let (bundle, stem) = (normal(&file.bundle), stem(file));
    metrics::timing(
        "dag_processing.last_duration",
        took,
        &[("bundle_name", &*bundle), ("file_name", &*stem)],
    );
}

/// A child ran callbacks and parsed nothing.
pub(super) fn ran_callbacks(bundle: &str) {
    let team = metrics::team_of_bundle(bundle);
    metrics::incr("dag_processing.callback_only_count", &team_tag(team.as_deref()));
}

/// A callback was queued.
pub(super) fn queued_callback(bundle: &str) {
    let team = metrics::team_of_bundle(bundle);
    metrics::incr("dag_processing.other_callback_count", &team_tag(team.as_deref()));
}

/// How long the queue is.
pub(super) fn queue(length: usize) {
    metrics::gauge("dag_processing.file_path_queue_size", whole(length), &[]);
}

/// How long ago each file was parsed.
pub(super) fn files(files: &Files, now: chrono::DateTime<chrono::Utc>) {
    if !metrics::is_on() {
        return;
    }
    for (file, state) in files.iter() {
        let Some(finish) = state.last_finish else { continue };
        let (path, bundle, stem) = (normal(&file.path), normal(&file.bundle), stem(file));
        let tags = [("file_path", &*path), ("bundle_name", &*bundle), ("file_name", &*stem)];
        let ago = (now - finish).as_seconds_f64();
        metrics::gauge_seconds("dag_processing.last_run.seconds_ago", ago, &tags);
    }
}

/// The queue is empty again, so long after something came into it.
pub(super) fn passed(files: &Files, took: Duration) {
    metrics::gauge_seconds("dag_processing.total_parse_time", took.as_secs_f64(), &[]);
    let (dags, errors) = files
        .iter()
        .fold((0, 0), |(dags, errors), (_, state)| (dags + state.dags, errors + state.import_errors));
    metrics::gauge("dagbag_size", whole(dags), &[]);
    metrics::gauge("dag_processing.import_errors", whole(errors), &[]);
}

/// What is due was queued.
pub(super) fn queued_what_is_due() {
    metrics::incr("dag_processing.file_path_queue_update_count", &[]);
}

fn stem(file: &FileKey) -> Cow<'_, str> {
    normal(Path::new(&file.path).file_stem().and_then(|stem| stem.to_str()).unwrap_or(&file.path))
}

fn whole(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::metrics::testing::Sent;
    use crate::telemetry::metrics::{Teams, set_teams};

    #[test]
    fn children_are_counted_by_what_they_go_through_with_the_team_of_their_bundle() {
        let file = FileKey { bundle: "my bundle".to_owned(), path: "sub/a.py".to_owned() };
        let bundles = [("my bundle".to_owned(), "blue".to_owned())].into();
        set_teams(Teams { bundles, ..Teams::default() });
        let sent = Sent::listen();
        child(&file, Action::Start);
        ended(&file, Ending::TimedOut, Duration::ZERO);
        child(&file, Action::Stop);
        child(&file, Action::Terminate);
        queued_callback(&file.bundle);
        ran_callbacks(&file.bundle);
        ended(&file, Ending::Unknown, Duration::from_millis(5));
        let lines = sent.take("");
        set_teams(Teams::default());
        let expected = [
            "dag_processing.processes:1|c|#file_path:sub_a.py,action:start,team_name:blue",
            "dag_processing.processes:-1|c|#file_path:sub_a.py,action:timeout,team_name:blue",
            "dag_processing.processor_timeouts:1|c|#file_path:sub_a.py,team_name:blue",
            "dag_processing.processes:-1|c|#file_path:sub_a.py,action:stop,team_name:blue",
            "dag_processing.processes:-1|c|#file_path:sub_a.py,action:terminate,team_name:blue",
            "dag_processing.other_callback_count:1|c|#team_name:blue",
            "dag_processing.callback_only_count:1|c|#team_name:blue",
            "dag_processing.last_duration.my_bundle.a:5.000000|ms|#team_name:blue",
            "dag_processing.last_duration:5.000000|ms|#bundle_name:my_bundle,file_name:a,team_name:blue",
        ];
        assert_eq!(lines, expected);
    }
}
