//! A serialised timetable, and its next runs.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use slipstream_core::schedule::{Catchup, LastRun, Restriction, Timetable};

/// Now: an ordinary moment, and the ends of Python's years.
const NOW: [i64; 3] = [1_767_225_600, -62_135_596_800, 253_402_300_799];

/// Reads it, and asks for the properties and for a few runs, one after the other.
pub fn run(data: &[u8]) {
    let Ok(json) = serde_json::from_slice::<Value>(data) else { return };
    let Ok(timetable) = Timetable::from_serialized(&json) else { return };
    let _ = timetable.properties();
    for now in NOW.into_iter().filter_map(|seconds| DateTime::<Utc>::from_timestamp(seconds, 0)) {
        let earlier = now.checked_sub_signed(TimeDelta::days(400));
        for catchup in [Catchup::On, Catchup::Off] {
            for earliest in [None, earlier] {
                let restriction = Restriction { earliest, latest: None, catchup };
                let mut last: Option<LastRun> = None;
                for _ in 0..3 {
                    let Ok(Some(next)) = timetable.next_run(last.as_ref(), &restriction, now) else { break };
                    last = Some(LastRun { run_after: next.run_after, data_interval: next.data_interval });
                }
            }
        }
        let _ = timetable.infer_manual_data_interval(now);
    }
}
