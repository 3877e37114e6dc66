//! What the loop notes as it goes, to be read at any moment by who must not wait for it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chrono::Utc;
use serde::Serialize;

use super::rounds::{RoundTimes, Rounds};
use super::state::Step;
use crate::store::job::JobId;

/// How far back [`Pulse`] looks.
const MINUTE: Duration = Duration::from_secs(60);

/// How the loop goes. Shared with the loop, never locked across an await.
#[derive(Clone, Debug)]
pub struct Progress(Arc<Mutex<Noted>>);

#[derive(Debug)]
struct Noted {
    job_id: Option<i64>,
    step: Step,
    rounds: Rounds,
}

/// How the loop goes, in few words. The names of the fields are stable: programs read them.
#[derive(Clone, Debug, Serialize)]
pub struct Pulse {
    /// `job.id`; `None` before there is one.
    pub job_id: Option<i64>,
    /// What the loop does.
    pub step: Step,
    /// How long its rounds of the last minute took.
    pub rounds: RoundTimes,
}

impl Default for Progress {
    fn default() -> Self {
        let step = Step { name: "start", since: Utc::now() };
        Self(Arc::new(Mutex::new(Noted { job_id: None, step, rounds: Rounds::default() })))
    }
}

impl Progress {
    /// This scheduler's job.
    pub(in crate::scheduler) fn of(&self, job: JobId) {
        self.noted().job_id = Some(job.0);
    }

    /// The loop begins with this.
    pub(in crate::scheduler) fn at(&self, name: &'static str) {
        self.noted().step = Step { name, since: Utc::now() };
    }

    /// A round has just ended.
    pub(in crate::scheduler) fn round(&self, took: Duration) {
        self.noted().rounds.add(took, Instant::now());
    }

    /// How long the rounds of the last minutes took.
    pub(in crate::scheduler) fn rounds(&self, window: Duration) -> RoundTimes {
        self.noted().rounds.times(window, Instant::now(), Utc::now())
    }

    /// How the loop goes now.
    pub fn pulse(&self) -> Pulse {
        let rounds = self.rounds(MINUTE);
        let noted = self.noted();
        Pulse { job_id: noted.job_id, step: noted.step.clone(), rounds }
    }

    pub(super) fn step(&self) -> Step {
        self.noted().step.clone()
    }

    fn noted(&self) -> MutexGuard<'_, Noted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loop_that_hangs_is_seen_by_its_step_and_by_its_last_round() {
        let progress = Progress::default();
        let pulse = progress.pulse();
        assert_eq!((pulse.job_id, pulse.step.name, pulse.rounds.ended_at), (None, "start", None));
        progress.of(JobId(7));
        progress.at("poll");
        progress.round(Duration::from_millis(4));
        progress.at("examine runs");
        let pulse = serde_json::to_value(progress.pulse()).unwrap();
        assert_eq!((&pulse["job_id"], &pulse["step"]["name"]), (&7.into(), &"examine runs".into()));
        let rounds = &pulse["rounds"];
        assert_eq!(
            (&rounds["window"], &rounds["count"], &rounds["last"]),
            (&60.into(), &1.into(), &4.0.into())
        );
        assert!(rounds["ended_at"].is_string(), "{rounds}");
    }
}
