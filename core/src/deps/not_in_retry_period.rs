//! The wait between two tries (`airflow/ti_deps/deps/not_in_retry_period_dep.py`, `TaskInstance.next_retry_datetime`).

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use sha1::{Digest, Sha1};

use super::Moment;
use crate::dag::Task;
use crate::ids::DagId;

/// What the moment of the next try follows from.
#[derive(Clone, Copy, Debug)]
pub struct FailedTry<'a> {
    /// The Dag.
    pub dag_id: &'a DagId,
    /// The task.
    pub task: &'a Task,
    /// The run's logical date.
    pub logical_date: Option<DateTime<Utc>>,
    /// The number of the try that failed.
    pub try_number: i32,
    /// When it ended.
    pub end_date: Option<DateTime<Utc>>,
    /// Seconds to wait, where a retry policy decided that.
    pub delay_override: Option<f64>,
}

/// Judges a task instance in state `up_for_retry`. `cap` is `[core] max_task_retry_delay`.
pub fn evaluate(failed: &FailedTry<'_>, cap: TimeDelta, now: DateTime<Utc>) -> Moment {
    match next_try(failed, cap) {
        Some(date) if date >= now => Moment::Later(date),
        _ => Moment::Now,
    }
}

/// When the next try may start; `None` when nothing is known about the last one's end.
pub fn next_try(failed: &FailedTry<'_>, cap: TimeDelta) -> Option<DateTime<Utc>> {
    let delay = match failed.delay_override {
        Some(seconds) => TimeDelta::microseconds((seconds * 1e6).round_ties_even() as i64),
        None => delay(failed, cap),
    };
    Some(failed.end_date?.checked_add_signed(delay).unwrap_or(DateTime::<Utc>::MAX_UTC))
}

fn delay(failed: &FailedTry<'_>, cap: TimeDelta) -> TimeDelta {
    let retry = &failed.task.retry;
    if retry.multiplier <= 0.0 || retry.multiplier == 1.0 {
        return retry.delay;
    }
    let base = retry.delay.as_seconds_f64() * retry.multiplier.powf(f64::from(failed.try_number) - 1.0);
    let cap = cap.num_seconds();
    let seconds = if base.ceil() >= cap as f64 {
        cap
    } else {
        let least = (base.ceil() as i64).max(1);
        (least + jitter(failed, least)).min(cap)
    };
    let grown = TimeDelta::seconds(seconds);
    retry.max_delay.map_or(grown, |limit| limit.min(grown))
}

/// The same for the same try on every machine, so that tries that failed together do not start together.
fn jitter(failed: &FailedTry<'_>, modulus: i64) -> i64 {
    let date = failed.logical_date.map_or_else(|| "None".to_owned(), python_text);
    let identity = format!("{}#{}#{date}#{}", failed.dag_id, failed.task.task_id, failed.try_number);
    let modulus = i128::from(modulus);
    let digest = Sha1::digest(identity.as_bytes());
    digest.iter().fold(0, |rest, byte| (rest * 256 + i128::from(*byte)) % modulus) as i64
}

/// `str()` of an aware `datetime`.
fn python_text(date: DateTime<Utc>) -> String {
    let precision =
        if date.timestamp_subsec_micros() == 0 { SecondsFormat::Secs } else { SecondsFormat::Micros };
    date.to_rfc3339_opts(precision, false).replacen('T', " ", 1)
}
