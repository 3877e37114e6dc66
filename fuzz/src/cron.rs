//! A cron expression, and what comes next by it: a time zone on the first line, the expression on the second.

use chrono::{DateTime, TimeDelta, Utc};
use slipstream_core::schedule::cron::Cron;
use slipstream_core::schedule::{CronSchedule, Zone};

/// Moments from which to go on: an ordinary one, a leap day, both changes of the clock in Europe, the ends of Python's years.
const FROM: [i64; 6] =
    [1_767_225_600, 1_709_164_800, 1_774_746_000, 1_792_890_000, -62_135_596_800, 253_402_300_799];

const DAY: TimeDelta = TimeDelta::days(1);

/// Reads it, and goes a few steps forwards and backwards from each moment.
pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (zone, expression) = text.split_once('\n').unwrap_or(("UTC", text));
    let Ok(zone) = Zone::from_name(zone) else { return };
    if let Ok(cron) = Cron::parse(expression) {
        let _ = cron.covers_every_hour();
    }
    let schedule = CronSchedule::new(expression, zone);
    for from in FROM.into_iter().filter_map(|seconds| DateTime::<Utc>::from_timestamp(seconds, 999_999_000)) {
        // Not always later and earlier: in the hour that a change of the clock leaves out, the order can turn.
        let mut at = from;
        for _ in 0..4 {
            let Ok(next) = schedule.next(at) else { break };
            assert!(
                at.checked_sub_signed(DAY).is_none_or(|at| next > at),
                "the next moment comes later: {at} {next}"
            );
            at = next;
        }
        let mut at = from;
        for _ in 0..4 {
            let Ok(earlier) = schedule.prev(at) else { break };
            assert!(
                at.checked_add_signed(DAY).is_none_or(|at| earlier < at),
                "the previous moment comes earlier: {at} {earlier}"
            );
            at = earlier;
        }
        let _ = (schedule.align_to_next(from), schedule.align_to_prev(from));
    }
}
