//! Which running dag runs are examined when, and what follows in memory. What is done to a run: [`look`](super::look).
//!
//! Mirrors `_schedule_dag_run` of `airflow/jobs/scheduler_job_runner.py`, but a run is looked at only when something about
//! it may have changed, and is carried on as far as it goes in one look.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use slipstream_core::ids::{DagId, RunId};
use slipstream_core::run::Pausing;

use super::judge::Past;
use super::look::{Looked, Next, Pass};
use super::tick::Scheduler;
use super::timers::Duty;
use crate::store::{StoreError, retry};

/// How long a run that could not be examined is left alone.
const TROUBLED: TimeDelta = TimeDelta::seconds(30);
/// How soon runs of paused Dags are looked at when a run that something happened to was not among those of the others.
const PAUSED_SOON: TimeDelta = TimeDelta::milliseconds(500);

impl Scheduler {
    /// Examines the next portion of the runs on the agenda.
    pub(super) async fn examine_runs(&mut self, now: DateTime<Utc>) -> Result<(), StoreError> {
        let (ids, keys) = self.agenda.take(self.options.runs_per_pass);
        let done = self.examine(&ids, &keys, Pausing::Unpaused, now).await;
        let put_back = self.agenda.numbered();
        self.launched.keep(|run| !ids.contains(&run) || put_back.contains(&run));
        done
    }

    /// Ends runs of paused Dags whose last task has ended; starts nothing new in them.
    pub(super) async fn examine_paused(
        &mut self,
        runs: &BTreeSet<i64>,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        self.examine(runs, &BTreeSet::new(), Pausing::Paused, now).await
    }

    async fn examine(
        &mut self,
        ids: &BTreeSet<i64>,
        keys: &BTreeSet<(DagId, RunId)>,
        pausing: Pausing,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        match self.look_at_all(ids, keys, pausing, now).await {
            Ok(looked) => {
                self.only_read = !looked.is_empty() && looked.iter().all(|look| look.next == Next::NotYet);
                if pausing == Pausing::Unpaused && looked.len() < ids.len() + keys.len() {
                    // One of them may be of a paused Dag, and have ended.
                    self.timers.hasten(Duty::PausedDags, now + PAUSED_SOON);
                }
                looked.into_iter().for_each(|look| self.follow_up(look));
            }
            Err(error) if error.is_transient() => {
                self.agenda.put_back(ids, keys);
                return Err(error);
            }
            Err(error) => {
                tracing::error!(%error, "dag runs could not be examined together; each is examined by itself");
                self.examine_apart(ids, keys, pausing, now).await;
            }
        }
        Ok(())
    }

    /// One run that cannot be examined must not hold up the others.
    async fn examine_apart(
        &mut self,
        ids: &BTreeSet<i64>,
        keys: &BTreeSet<(DagId, RunId)>,
        pausing: Pausing,
        now: DateTime<Utc>,
    ) {
        for id in ids {
            match self.look_at_all(&BTreeSet::from([*id]), &BTreeSet::new(), pausing, now).await {
                Ok(looked) => looked.into_iter().for_each(|look| self.follow_up(look)),
                Err(error) => {
                    tracing::error!(dag_run_id = id, %error, "the dag run cannot be examined; it is looked at again later");
                    // No write up to now brings it back, only the moment or a later write.
                    self.seen.examined(*id, Some(now), None);
                    self.agenda.look_later(now + TROUBLED, *id);
                }
            }
        }
        for key in keys {
            match self.look_at_all(&BTreeSet::new(), &BTreeSet::from([key.clone()]), pausing, now).await {
                Ok(looked) => looked.into_iter().for_each(|look| self.follow_up(look)),
                // The poll finds it by its number, and puts it off then.
                Err(error) => {
                    tracing::error!(dag_id = %key.0, run_id = %key.1, %error, "the dag run cannot be examined");
                }
            }
        }
    }

    async fn look_at_all(
        &self,
        ids: &BTreeSet<i64>,
        keys: &BTreeSet<(DagId, RunId)>,
        pausing: Pausing,
        now: DateTime<Utc>,
    ) -> Result<Vec<Looked>, StoreError> {
        let launched = match pausing {
            Pausing::Unpaused => self.launched.among(ids),
            Pausing::Paused => BTreeSet::new(),
        };
        let pass = Pass {
            db: &self.db,
            events: self.events.as_ref().map(|_| &self.event_memory),
            bag: &self.bag,
            job: self.job.0,
            options: self.options.decisions,
            most_changes: self.options.changes_per_pass,
            // Not twice in a row: what was read may have had to make room for what was read after it.
            most_reading: if self.only_read { u64::MAX } else { self.options.tasks_read_per_pass },
            encrypt: &self.fernet,
            unixname: &self.unixname,
            multi_team: self.options.multi_team,
            pausing,
            launched: &launched,
            policy: self.policy,
            prepared: self.preparing.prepared(),
            now,
        };
        retry("examine dag runs", || pass.run(ids, keys)).await
    }

    /// Looks at the runs that wait for another run of this Dag, which has gone on.
    pub(super) fn look_back(&mut self, dag_id: &DagId, but: Option<i64>) {
        for (run, key) in self.looking_back.of(dag_id, but) {
            match self.resting.until(&key, Utc::now()) {
                Some((run, until)) => self.agenda.look_later(until, run),
                None => self.agenda.look_at(run),
            }
        }
    }

    fn follow_up(&mut self, look: Looked) {
        self.agenda.enqueue |= look.applied.scheduled > 0;
        self.seen.examined(look.run, look.seen, Some(look.marks));
        let ended = matches!(look.next, Next::Ended { .. });
        let key = (look.dag_id.clone(), look.run_id.clone());
        self.looking_back.note(&key, look.run, if ended { Past::Irrelevant } else { look.past });
        if ended || look.applied.changed > 0 {
            self.look_back(&look.dag_id, Some(look.run));
        }
        if look.next != Next::NotYet {
            self.launched.examined(look.run);
        }
        if matches!(look.next, Next::Later(_)) && look.applied.changed == 0 {
            self.resting.rest(key, look.run, look.tis, Utc::now());
        } else {
            self.resting.wake(&key);
        }
        match look.next {
            Next::Later(Some(at)) | Next::Early(Some(at)) => self.agenda.look_later(at, look.run),
            Next::Later(None) | Next::Early(None) | Next::Waits => {}
            Next::Again | Next::NotYet => self.agenda.look_at(look.run),
            Next::Prepare => self.preparing.prepare(look.run, look.dag_id, look.run_id),
            Next::Ended { state, message } => {
                tracing::info!(dag_id = %look.dag_id, run_id = %look.run_id, "Marking run {state}: {message}");
                self.agenda.start_runs = true;
                self.poll_soon();
                self.preparing.forget(look.run);
                self.event_memory.forget(look.run);
                self.trace(look.run, state);
                self.announce(look.dag_id, look.run_id, state, message);
            }
        }
    }
}
