//! What `slipstream debug dump` shows. The names of the fields are stable: programs read them.

use std::collections::BTreeMap;
use std::fmt;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;

use super::rounds::RoundTimes;
use crate::runtime::process::{Child, Memory};
use crate::store::Connections;

/// One scheduler.
#[derive(Clone, Debug, Serialize)]
pub struct State {
    /// The program's version.
    pub version: &'static str,
    /// The process.
    pub pid: u32,
    /// The moment.
    pub at: DateTime<Utc>,
    /// What the loop does.
    pub step: Step,
    /// What the loop knows; `None` if it did not answer in time.
    pub scheduler: Option<LoopState>,
    /// The event engine.
    pub events: Answer<EngineState>,
    /// Pools, by name.
    pub pools: Answer<BTreeMap<String, PoolState>>,
    /// Connections with the metadata database.
    pub connections: Connections,
    /// The process's memory.
    pub memory: Memory,
    /// The processes below it.
    pub children: Vec<Child>,
}

/// A part of a round.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// Its name; `wait` between two rounds.
    pub name: &'static str,
    /// Since when.
    pub since: DateTime<Utc>,
}

/// What had to be asked for.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Answer<T> {
    /// It is known.
    Is(T),
    /// It is not.
    Unknown {
        /// Why.
        error: String,
    },
}

impl<T> Answer<T> {
    /// Whether it is not known.
    pub fn is_unknown(&self) -> bool {
        matches!(self, Self::Unknown { .. })
    }
}

/// What the loop has on its mind.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LoopState {
    /// `job.id`.
    pub job_id: i64,
    /// How long its rounds took.
    pub rounds: RoundTimes,
    /// What is due when, the earliest first.
    pub due: Vec<Due>,
    /// Steps that the next round takes.
    pub next_steps: Vec<&'static str>,
    /// Dag runs.
    pub runs: Runs,
    /// Executors.
    pub executors: Vec<ExecutorState>,
}

/// Something that is due.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Due {
    /// When.
    pub at: DateTime<Utc>,
    /// What.
    pub what: String,
}

/// Dag runs that the loop knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Runs {
    /// Running ones that were examined and wait for a change.
    pub examined: usize,
    /// To be examined in the next rounds.
    pub to_examine: usize,
    /// To be examined when a moment has come: a retry, a sensor's next look, a timeout.
    pub later: usize,
}

/// One executor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ExecutorState {
    /// Its name in `[core] executor`.
    pub name: String,
    /// Our worker, or a process that hosts a class of Airflow.
    pub kind: ExecutorKind,
    /// The worker is connected, or the process answers.
    pub ready: bool,
    /// Process id of the worker.
    pub worker_pid: Option<i32>,
    /// Free slots.
    pub open_slots: i64,
    /// Taken slots.
    pub occupied_slots: usize,
    /// Task instances in its hands.
    pub task_instances: usize,
}

/// What kind of executor it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ExecutorKind {
    /// Our worker.
    Local,
    /// A class of Airflow in a process of its own.
    Hosted,
}

/// The event engine, of all schedulers together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EngineState {
    /// Every event up to it has been put to every trigger.
    pub position: i64,
    /// The newest event.
    pub head: i64,
}

/// A pool's slots.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PoolState {
    /// All; -1 for no limit.
    pub total: i64,
    /// Of running task instances.
    pub running: i64,
    /// Of queued ones.
    pub queued: i64,
    /// Of scheduled ones.
    pub scheduled: i64,
    /// Of deferred ones.
    pub deferred: i64,
    /// Free; `None` without a limit.
    pub open: Option<i64>,
}

fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "slipstream scheduler {}, pid {}, at {}", self.version, self.pid, time(self.at))?;
        writeln!(f, "step         {} since {}", self.step.name, time(self.step.since))?;
        match &self.scheduler {
            Some(state) => state.fmt(f)?,
            None => writeln!(f, "loop         does not answer")?,
        }
        match &self.events {
            Answer::Is(engine) => {
                let behind = engine.head - engine.position;
                writeln!(f, "events       at {} of {}, {behind} behind", engine.position, engine.head)?;
            }
            Answer::Unknown { error } => writeln!(f, "events       unknown: {error}")?,
        }
        match &self.pools {
            Answer::Is(pools) => {
                for (name, pool) in pools {
                    let open = pool.open.map_or_else(|| "any number".to_owned(), |open| open.to_string());
                    writeln!(
                        f,
                        "pool         {name}: {open} of {} open; {} running, {} queued, {} scheduled, {} deferred",
                        pool.total, pool.running, pool.queued, pool.scheduled, pool.deferred
                    )?;
                }
            }
            Answer::Unknown { error } => writeln!(f, "pools        unknown: {error}")?,
        }
        let Connections { most, open, idle } = self.connections;
        writeln!(f, "database     {open} connections open, {idle} of them idle, at most {most}")?;
        writeln!(f, "memory       {}", self.memory)?;
        for child in &self.children {
            writeln!(f, "child        {child}")?;
        }
        Ok(())
    }
}

impl fmt::Display for LoopState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RoundTimes { window, count, p50, p99, max, last, ended_at: _ } = &self.rounds;
        writeln!(f, "job          {}", self.job_id)?;
        writeln!(
            f,
            "rounds       {count} in the last {window} s: p50 {p50} ms, p99 {p99} ms, max {max} ms, last {last} ms"
        )?;
        let Runs { examined, to_examine, later } = self.runs;
        writeln!(f, "runs         {examined} examined, {to_examine} to examine, {later} to examine later")?;
        if !self.next_steps.is_empty() {
            writeln!(f, "next round   {}", self.next_steps.join(", "))?;
        }
        for executor in &self.executors {
            let ready = if executor.ready { "ready" } else { "not there" };
            let worker = executor.worker_pid.map(|pid| format!(", worker {pid}")).unwrap_or_default();
            writeln!(
                f,
                "executor     {}: {ready}{worker}; {} slots open, {} occupied, {} task instances",
                executor.name, executor.open_slots, executor.occupied_slots, executor.task_instances
            )?;
        }
        for due in &self.due {
            writeln!(f, "due          {} {}", time(due.at), due.what)?;
        }
        Ok(())
    }
}
