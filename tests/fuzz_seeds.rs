//! The seeds of the fuzz targets, through the same functions: so that neither rots while nobody fuzzes.

#![allow(clippy::unwrap_used)] // a test that cannot go on has failed
#![allow(clippy::expect_used, unreachable_pub)] // the targets are a package of their own

#[path = "../fuzz/src/cloudevent.rs"]
mod cloudevent;
#[path = "../fuzz/src/cron.rs"]
mod cron;
#[path = "../fuzz/src/dag.rs"]
mod dag;
#[path = "../fuzz/src/filter.rs"]
mod filter;
#[path = "../fuzz/src/frame.rs"]
mod frame;
#[path = "../fuzz/src/timetable.rs"]
mod timetable;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

/// The limit of a fuzz run is a second; tests run unoptimised and beside others.
const LIMIT: Duration = Duration::from_secs(20);

fn seeds(target: &str, run: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(target);
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() > 2, "{target} has seeds");
    for file in files {
        let started = Instant::now();
        run(&fs::read(&file).unwrap());
        assert!(started.elapsed() < LIMIT, "{} takes too long", file.display());
    }
}

#[test]
fn seeds_of_dags() {
    seeds("dag", dag::run);
}

#[test]
fn seeds_of_frames() {
    seeds("frame", frame::run);
}

#[test]
fn seeds_of_cloudevents() {
    seeds("cloudevent", cloudevent::run);
}

#[test]
fn seeds_of_cron_expressions() {
    seeds("cron", cron::run);
}

#[test]
fn seeds_of_timetables() {
    seeds("timetable", timetable::run);
}

#[test]
fn seeds_of_filters() {
    seeds("filter", filter::run);
}
