//! All executors of a scheduler: the local one, which is our worker, and those that are hosted.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::Duration;

use slipstream_core::admit::{Class, Slots};
use slipstream_core::executor::{ExecutorIndex, ExecutorName, Roster};
use slipstream_core::ids::TiKey;
use tokio::sync::mpsc;
use uuid::Uuid;

use super::event::ExecutorEvent;
use super::hosted::{HostOptions, HostedExecutor};
use super::local::{LocalExecutor, LocalOptions};
use super::workload::WorkloadKey;
use crate::config::{Config, keys};
use crate::python::{Interpreter, PythonError};

/// News, and from which executor.
pub type Reports = mpsc::UnboundedReceiver<(ExecutorIndex, ExecutorEvent)>;

/// One executor.
#[derive(Clone, Debug)]
pub enum Executor {
    /// Our worker.
    Local(LocalExecutor),
    /// A class of Airflow in a process of its own.
    Hosted(HostedExecutor),
}

/// The executors of `[core] executor`. Local executors of teams are the same worker as everybody's.
#[derive(Debug)]
pub struct Executors {
    roster: Roster,
    all: BTreeMap<ExecutorIndex, Executor>,
    parallelism: i64,
}

/// How much of an executor is in use (`executor.open_slots` and so on).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotUse {
    /// Free.
    pub open: usize,
    /// Taken.
    pub occupied: usize,
}

impl Executors {
    /// Starts what the option names.
    ///
    /// # Errors
    /// When an executor's class cannot be loaded.
    pub async fn start(
        config: &Config,
        roster: Roster,
        interpreter: &Interpreter,
        local: LocalOptions,
    ) -> Result<(Self, Reports), PythonError> {
        let (sender, reports) = mpsc::unbounded_channel();
        let parallelism = i64::try_from(local.parallelism).unwrap_or(i64::MAX);
        let mut all = BTreeMap::new();
        let mut hosts = Vec::new();
        for (index, name) in roster.iter().filter(|(index, _)| roster.stands_for(*index) == *index) {
            if name.is_local() {
                let (executor, events) = LocalExecutor::start(local.clone());
                forward(index, events, sender.clone());
                all.insert(index, Executor::Local(executor));
            } else {
                let options = HostOptions {
                    interpreter: interpreter.clone(),
                    name: name.clone(),
                    timeout: config.get(&keys::slipstream::EXECUTOR_TIMEOUT),
                };
                hosts.push(async move { (index, HostedExecutor::start(options).await) });
            }
        }
        for (index, started) in futures_util::future::join_all(hosts).await {
            let (executor, events) = started?;
            forward(index, events, sender.clone());
            all.insert(index, Executor::Hosted(executor));
        }
        Ok((Self { roster, all, parallelism }, reports))
    }

    /// Only a local executor, which was started already.
    pub fn of_local(
        executor: LocalExecutor,
        events: mpsc::UnboundedReceiver<ExecutorEvent>,
        parallelism: usize,
    ) -> (Self, Reports) {
        let (sender, reports) = mpsc::unbounded_channel();
        forward(ExecutorIndex(0), events, sender);
        let all = BTreeMap::from([(ExecutorIndex(0), Executor::Local(executor))]);
        let parallelism = i64::try_from(parallelism).unwrap_or(i64::MAX);
        (Self { roster: Roster::local(), all, parallelism }, reports)
    }

    /// Starts the hosted ones for the scheduler with this job.
    pub fn begin(&self, job_id: i64) {
        self.hosted().for_each(|(_, executor)| executor.begin(job_id));
    }

    /// Which executors there are, by name.
    pub fn roster(&self) -> &Roster {
        &self.roster
    }

    /// The executor at a place.
    pub fn get(&self, index: ExecutorIndex) -> Option<&Executor> {
        self.all.get(&index)
    }

    /// Where the work of a Dag of `team` goes that asks for `name` (`_try_to_load_executor`).
    pub fn of(&self, name: Option<&str>, team: Option<&str>) -> Option<(ExecutorIndex, &Executor)> {
        let index = self.roster.resolve(name, team)?;
        Some((index, self.all.get(&index)?))
    }

    /// Each of them with its place.
    pub fn all(&self) -> impl Iterator<Item = (ExecutorIndex, &Executor)> {
        self.all.iter().map(|(index, executor)| (*index, executor))
    }

    /// The hosted ones.
    pub fn hosted(&self) -> impl Iterator<Item = (ExecutorIndex, &HostedExecutor)> {
        self.all.iter().filter_map(|(index, executor)| match executor {
            Executor::Hosted(executor) => Some((*index, executor)),
            Executor::Local(_) => None,
        })
    }

    /// Free slots of each.
    pub fn rooms(&self) -> BTreeMap<ExecutorIndex, Slots> {
        self.all.iter().map(|(index, executor)| (*index, executor.room())).collect()
    }

    /// The executor that keeps slots for streaming tasks, if one does; hosted ones know no such thing.
    pub fn streaming_at(&self) -> Option<ExecutorIndex> {
        let apart = |executor: &Executor| match executor {
            Executor::Local(executor) => executor.has_streaming_slots(),
            Executor::Hosted(_) => false,
        };
        self.all.iter().find(|(_, executor)| apart(executor)).map(|(index, _)| *index)
    }

    /// Slots that are taken by other than streaming tasks, over all of them.
    pub fn slots_occupied(&self) -> usize {
        self.all.values().map(Executor::slots_occupied).sum()
    }

    /// Those that name a task instance when it is queued.
    pub fn pre_assigning(&self) -> BTreeSet<ExecutorIndex> {
        let pre = |executor: &HostedExecutor| executor.facts().pre_assigns_external_executor_id;
        self.hosted().filter(|(_, executor)| pre(executor)).map(|(index, _)| index).collect()
    }

    /// The task instances that any of them has.
    pub fn held_tasks(&self) -> HashSet<Uuid> {
        self.all.values().flat_map(Executor::held_tasks).collect()
    }

    /// `repr(executor)`, as it stands in messages that people search for.
    pub fn shown(&self, index: ExecutorIndex) -> String {
        match self.get(index) {
            Some(Executor::Hosted(executor)) => executor.facts().repr.clone(),
            _ => format!("LocalExecutor(parallelism={})", self.parallelism),
        }
    }

    /// The use of the local executor, with the name under which it is counted; hosted ones count by themselves.
    pub fn local_use(&self) -> Option<(SlotUse, &ExecutorName)> {
        self.all.iter().find_map(|(index, executor)| match executor {
            Executor::Local(executor) => Some((
                SlotUse {
                    open: executor.slots_available(Class::Batch),
                    occupied: executor.slots_occupied(Class::Batch),
                },
                self.roster.get(*index)?,
            )),
            Executor::Hosted(_) => None,
        })
    }

    /// Returns when all of them have what they were given.
    pub async fn handed_over(&self) {
        for executor in self.all.values() {
            match executor {
                Executor::Local(executor) => executor.handed_over().await,
                Executor::Hosted(executor) => executor.handed_over().await,
            }
        }
    }

    /// Ends the hosted ones; the worker goes on.
    pub async fn end(&self, limit: Duration) {
        futures_util::future::join_all(self.hosted().map(|(_, executor)| executor.end(limit))).await;
    }
}

impl Executor {
    /// Slots that are free.
    pub fn room(&self) -> Slots {
        let number = |slots| i64::try_from(slots).unwrap_or(i64::MAX);
        match self {
            Self::Local(executor) => Slots {
                batch: number(executor.slots_available(Class::Batch)),
                streaming: number(executor.slots_available(Class::Streaming)),
            },
            Self::Hosted(executor) => Slots { batch: number(executor.slots_available()), streaming: 0 },
        }
    }

    /// Slots that are taken by other than streaming tasks.
    pub fn slots_occupied(&self) -> usize {
        match self {
            Self::Local(executor) => executor.slots_occupied(Class::Batch),
            Self::Hosted(executor) => executor.slots_occupied(),
        }
    }

    /// The task instances that it has.
    pub fn held_tasks(&self) -> HashSet<Uuid> {
        match self {
            Self::Local(executor) => executor.held_tasks(),
            Self::Hosted(executor) => executor.held_tasks(),
        }
    }

    /// Ends a try that sends no heartbeat.
    pub fn give_up(&self, ti_id: Uuid, key: &TiKey) {
        match self {
            Self::Local(executor) => {
                executor.kill(WorkloadKey::Task { ti_id, try_number: key.try_number });
            }
            Self::Hosted(executor) => executor.fail(key.clone()),
        }
    }
}

fn forward(
    index: ExecutorIndex,
    mut from: mpsc::UnboundedReceiver<ExecutorEvent>,
    to: mpsc::UnboundedSender<(ExecutorIndex, ExecutorEvent)>,
) {
    tokio::spawn(async move {
        while let Some(event) = from.recv().await {
            if to.send((index, event)).is_err() {
                return;
            }
        }
    });
}
