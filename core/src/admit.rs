//! Of the task instances that are ready, which go now: pools, limits per dag run and per task, and the executor's room.
//!
//! Mirrors `_executable_task_instances_to_queued` of `airflow/jobs/scheduler_job_runner.py`: candidates come in order of
//! priority and each is admitted or turned away with a reason. What turned one away ([`Starved`]) is left out of the next
//! page of candidates, so that tasks that cannot run never stand in the way of those that can.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::executor::ExecutorIndex;
use crate::ids::{DagId, RunId, TaskId};

/// A pool's size and what is left of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolRoom {
    /// All its slots; `None` is without limit (`slots = -1`).
    pub total: Option<i64>,
    /// Slots that nothing holds now; may be negative after a pool was made smaller.
    pub open: i64,
}

impl PoolRoom {
    /// A pool of `slots` (−1: without limit) of which `held` are in use.
    pub fn new(slots: i64, held: i64) -> Self {
        if slots == -1 {
            Self { total: None, open: i64::MAX }
        } else {
            Self { total: Some(slots), open: slots - held }
        }
    }

    fn take(&mut self, slots: i64) {
        if self.total.is_some() {
            self.open -= slots;
        }
    }
}

/// Which of its executor's slots a task instance takes, so that jobs that never end and tasks that do leave each other room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// One of `[core] parallelism`.
    #[default]
    Batch,
    /// One of `[slipstream] streaming_parallelism`.
    Streaming,
}

/// Free slots of an executor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Slots {
    /// For tasks that end.
    pub batch: i64,
    /// For streaming tasks.
    pub streaming: i64,
}

impl Slots {
    /// Those of a class.
    pub fn of(&self, class: Class) -> i64 {
        match class {
            Class::Batch => self.batch,
            Class::Streaming => self.streaming,
        }
    }

    fn take(&mut self, class: Class) {
        match class {
            Class::Batch => self.batch -= 1,
            Class::Streaming => self.streaming -= 1,
        }
    }
}

/// How many task instances of one kind may be active at once, if the Dag says so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TaskLimits {
    /// `max_active_tis_per_dag`.
    pub per_dag: Option<i64>,
    /// `max_active_tis_per_dagrun`.
    pub per_run: Option<i64>,
}

/// A task instance in state `scheduled`.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Its row.
    pub ti_id: Uuid,
    /// Its Dag.
    pub dag_id: DagId,
    /// Its run.
    pub run_id: RunId,
    /// Its task.
    pub task_id: TaskId,
    /// The pool it names.
    pub pool: String,
    /// The slots it needs there.
    pub pool_slots: i64,
    /// `dag.max_active_tasks`: most queued and running task instances of one dag run.
    pub max_active_tasks: i64,
    /// Limits of its task.
    pub limits: TaskLimits,
    /// Where it is to run; none when the executor that it names does not exist.
    pub executor: Option<ExecutorIndex>,
    /// Which slots it takes there.
    pub class: Class,
    /// Its Dag's team.
    pub team: Option<String>,
}

/// Why a candidate does not go now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Its pool does not exist.
    NoSuchPool,
    /// Its pool belongs to a team that is not its Dag's.
    PoolOfOtherTeam,
    /// Its pool is full.
    PoolFull,
    /// It wants more slots than its pool has at all.
    LargerThanPool,
    /// It wants more slots than are open.
    NotEnoughSlots,
    /// Its dag run has `max_active_tasks` task instances queued or running.
    DagRunFull,
    /// `max_active_tis_per_dag` is reached.
    TaskFull,
    /// `max_active_tis_per_dagrun` is reached.
    TaskInRunFull,
    /// Its executor has no room.
    ExecutorFull,
    /// No executor of that name is configured.
    NoSuchExecutor,
}

/// Queued and running (and for the limits of tasks also deferred and waiting) task instances, counted.
#[derive(Clone, Debug, Default)]
pub struct ActiveCounts {
    /// Queued and running, per dag run.
    pub per_run: BTreeMap<(DagId, RunId), i64>,
    /// Active in the wider sense, per task over all runs.
    pub per_task: BTreeMap<(DagId, TaskId), i64>,
    /// Active in the wider sense, per task within one run.
    pub per_task_in_run: BTreeMap<(DagId, RunId, TaskId), i64>,
}

/// What has no room any more: left out of the next page of candidates.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Starved {
    /// Pools that are full or do not exist.
    pub pools: BTreeSet<String>,
    /// Dag runs that are full.
    pub runs: BTreeSet<(DagId, RunId)>,
    /// Tasks that are full, too large, or whose executor is.
    pub tasks: BTreeSet<(DagId, TaskId)>,
    /// Tasks that are full within one run.
    pub tasks_in_run: BTreeSet<(DagId, RunId, TaskId)>,
}

impl Starved {
    /// How many entries there are: grows when a page found something new.
    pub fn len(&self) -> usize {
        self.pools.len() + self.runs.len() + self.tasks.len() + self.tasks_in_run.len()
    }

    /// Whether nothing is starved.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The critical section's bookkeeping over all pages of one pass.
#[derive(Clone, Debug)]
pub struct Admission {
    pools: BTreeMap<String, PoolRoom>,
    /// Whose a pool is, of those that belong to a team.
    pool_teams: BTreeMap<String, String>,
    active: ActiveCounts,
    /// Free slots per executor.
    executors: BTreeMap<ExecutorIndex, Slots>,
    starved: Starved,
    starving_per_pool: BTreeMap<String, i64>,
}

impl Admission {
    /// Starts a pass with what is in use now.
    pub fn new(
        pools: BTreeMap<String, PoolRoom>,
        active: ActiveCounts,
        executors: BTreeMap<ExecutorIndex, Slots>,
    ) -> Self {
        let full = pools.iter().filter(|(_, room)| room.open <= 0).map(|(name, _)| name.clone());
        let starved = Starved { pools: full.collect(), ..Starved::default() };
        let (pool_teams, starving_per_pool) = (BTreeMap::new(), BTreeMap::new());
        Self { pools, pool_teams, active, executors, starved, starving_per_pool }
    }

    /// Lets pools that belong to a team take only tasks of that team's Dags.
    #[must_use]
    pub fn with_pool_teams(mut self, teams: BTreeMap<String, String>) -> Self {
        self.pool_teams = teams;
        self
    }

    /// Whether no executor has a slot of this class.
    pub fn is_full(&self, class: Class) -> bool {
        self.executors.values().all(|slots| slots.of(class) <= 0)
    }

    /// What has no room any more.
    pub fn starved(&self) -> &Starved {
        &self.starved
    }

    /// Candidates turned away for lack of slots, per pool: the metric `pool.starving_tasks`.
    pub fn starving_per_pool(&self) -> &BTreeMap<String, i64> {
        &self.starving_per_pool
    }

    /// Admits one candidate and books what it takes, or says why not.
    ///
    /// # Errors
    /// The first thing that stands in its way.
    pub fn admit(&mut self, ti: &Candidate) -> Result<(), Refusal> {
        let verdict = self.check(ti);
        match verdict {
            Ok(()) => self.book(ti),
            Err(refusal) => self.starve(ti, refusal),
        }
        verdict
    }

    fn check(&self, ti: &Candidate) -> Result<(), Refusal> {
        let pool = self.pools.get(&ti.pool).ok_or(Refusal::NoSuchPool)?;
        if self.pool_teams.get(&ti.pool).is_some_and(|team| ti.team.as_ref() != Some(team)) {
            return Err(Refusal::PoolOfOtherTeam);
        }
        if pool.open <= 0 {
            return Err(Refusal::PoolFull);
        }
        if pool.total.is_some_and(|total| ti.pool_slots > total) {
            return Err(Refusal::LargerThanPool);
        }
        if ti.pool_slots > pool.open {
            return Err(Refusal::NotEnoughSlots);
        }
        if count(&self.active.per_run, &run_key(ti)) >= ti.max_active_tasks {
            return Err(Refusal::DagRunFull);
        }
        if ti.limits.per_dag.is_some_and(|most| count(&self.active.per_task, &task_key(ti)) >= most) {
            return Err(Refusal::TaskFull);
        }
        if ti
            .limits
            .per_run
            .is_some_and(|most| count(&self.active.per_task_in_run, &task_in_run_key(ti)) >= most)
        {
            return Err(Refusal::TaskInRunFull);
        }
        match ti.executor.and_then(|executor| self.executors.get(&executor)) {
            None => Err(Refusal::NoSuchExecutor),
            Some(free) if free.of(ti.class) <= 0 => Err(Refusal::ExecutorFull),
            Some(_) => Ok(()),
        }
    }

    fn book(&mut self, ti: &Candidate) {
        if let Some(pool) = self.pools.get_mut(&ti.pool) {
            pool.take(ti.pool_slots);
        }
        if let Some(free) = ti.executor.and_then(|executor| self.executors.get_mut(&executor)) {
            free.take(ti.class);
        }
        *self.active.per_run.entry(run_key(ti)).or_default() += 1;
        *self.active.per_task.entry(task_key(ti)).or_default() += 1;
        *self.active.per_task_in_run.entry(task_in_run_key(ti)).or_default() += 1;
    }

    fn starve(&mut self, ti: &Candidate, refusal: Refusal) {
        match refusal {
            Refusal::NoSuchPool => {
                self.starved.pools.insert(ti.pool.clone());
            }
            Refusal::PoolFull => {
                *self.starving_per_pool.entry(ti.pool.clone()).or_default() += 1;
                self.starved.pools.insert(ti.pool.clone());
            }
            Refusal::LargerThanPool | Refusal::NotEnoughSlots => {
                *self.starving_per_pool.entry(ti.pool.clone()).or_default() += 1;
                self.starved.tasks.insert(task_key(ti));
            }
            // Airflow leaves out the whole Dag here, and with it the Dag's other runs that have room.
            Refusal::DagRunFull => {
                self.starved.runs.insert(run_key(ti));
            }
            Refusal::TaskFull
            | Refusal::ExecutorFull
            | Refusal::NoSuchExecutor
            | Refusal::PoolOfOtherTeam => {
                self.starved.tasks.insert(task_key(ti));
            }
            Refusal::TaskInRunFull => {
                self.starved.tasks_in_run.insert(task_in_run_key(ti));
            }
        }
    }
}

fn count<K: Ord>(counts: &BTreeMap<K, i64>, key: &K) -> i64 {
    counts.get(key).copied().unwrap_or(0)
}

fn run_key(ti: &Candidate) -> (DagId, RunId) {
    (ti.dag_id.clone(), ti.run_id.clone())
}

fn task_key(ti: &Candidate) -> (DagId, TaskId) {
    (ti.dag_id.clone(), ti.task_id.clone())
}

fn task_in_run_key(ti: &Candidate) -> (DagId, RunId, TaskId) {
    (ti.dag_id.clone(), ti.run_id.clone(), ti.task_id.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(task: &str) -> Candidate {
        Candidate {
            ti_id: Uuid::nil(),
            dag_id: "dag".into(),
            run_id: "run".into(),
            task_id: task.into(),
            pool: "default_pool".into(),
            pool_slots: 1,
            max_active_tasks: 16,
            limits: TaskLimits::default(),
            executor: Some(ExecutorIndex(0)),
            class: Class::Batch,
            team: None,
        }
    }

    fn admission(slots: i64, free: i64) -> Admission {
        Admission::new(
            [("default_pool".to_owned(), PoolRoom::new(slots, 0))].into(),
            ActiveCounts::default(),
            [(ExecutorIndex(0), Slots { batch: free, streaming: 0 })].into(),
        )
    }

    #[test]
    fn a_pool_gives_out_no_more_slots_than_it_has() {
        let mut admission = admission(2, 10);
        assert_eq!(admission.admit(&candidate("a")), Ok(()));
        assert_eq!(
            admission.admit(&Candidate { pool_slots: 2, ..candidate("b") }),
            Err(Refusal::NotEnoughSlots)
        );
        assert_eq!(admission.admit(&candidate("c")), Ok(()));
        assert_eq!(admission.admit(&candidate("d")), Err(Refusal::PoolFull));
        assert!(admission.starved().pools.contains("default_pool"));
        assert_eq!(admission.starving_per_pool()["default_pool"], 2);
    }

    #[test]
    fn a_pool_of_minus_one_slots_has_no_limit() {
        let mut admission = admission(-1, 1000);
        for i in 0..500 {
            assert_eq!(
                admission.admit(&Candidate {
                    max_active_tasks: 1000,
                    pool_slots: 7,
                    ..candidate(&format!("t{i}"))
                }),
                Ok(())
            );
        }
    }

    #[test]
    fn a_task_in_a_pool_that_does_not_exist_waits() {
        let mut admission = admission(1, 1);
        assert_eq!(
            admission.admit(&Candidate { pool: "gone".into(), ..candidate("a") }),
            Err(Refusal::NoSuchPool)
        );
    }

    #[test]
    fn a_pool_of_a_team_takes_tasks_of_that_team_only() {
        let teams = [("default_pool".to_owned(), "red".to_owned())].into();
        let mut admission = admission(3, 10).with_pool_teams(teams);
        let of = |task, team: Option<&str>| Candidate { team: team.map(str::to_owned), ..candidate(task) };
        assert_eq!(admission.admit(&of("a", None)), Err(Refusal::PoolOfOtherTeam));
        assert_eq!(admission.admit(&of("b", Some("blue"))), Err(Refusal::PoolOfOtherTeam));
        assert_eq!(admission.admit(&of("c", Some("red"))), Ok(()));
        assert!(admission.starved().pools.is_empty(), "others may use it");
    }

    #[test]
    fn a_task_larger_than_its_pool_never_goes() {
        let mut admission = admission(2, 10);
        assert_eq!(
            admission.admit(&Candidate { pool_slots: 3, ..candidate("a") }),
            Err(Refusal::LargerThanPool)
        );
    }

    #[test]
    fn a_full_run_does_not_hold_back_the_dags_other_runs() {
        let mut admission = admission(10, 10);
        let tight =
            |task, run: &str| Candidate { max_active_tasks: 1, run_id: run.into(), ..candidate(task) };
        assert_eq!(admission.admit(&tight("a", "one")), Ok(()));
        assert_eq!(admission.admit(&tight("b", "one")), Err(Refusal::DagRunFull));
        assert_eq!(admission.admit(&tight("a", "two")), Ok(()));
    }

    #[test]
    fn limits_of_a_task_hold_over_all_runs_and_within_one() {
        let mut admission = admission(10, 10);
        let limits = TaskLimits { per_dag: Some(2), per_run: Some(1) };
        let of = |run: &str| Candidate { limits, run_id: run.into(), ..candidate("a") };
        assert_eq!(admission.admit(&of("one")), Ok(()));
        assert_eq!(admission.admit(&of("one")), Err(Refusal::TaskInRunFull));
        assert_eq!(admission.admit(&of("two")), Ok(()));
        assert_eq!(admission.admit(&of("three")), Err(Refusal::TaskFull));
    }

    #[test]
    fn streaming_tasks_and_others_do_not_take_each_others_slots() {
        let mut admission = Admission::new(
            [("default_pool".to_owned(), PoolRoom::new(3, 0))].into(),
            ActiveCounts::default(),
            [(ExecutorIndex(0), Slots { batch: 1, streaming: 2 })].into(),
        );
        let stream = |task| Candidate { class: Class::Streaming, ..candidate(task) };
        assert_eq!(admission.admit(&stream("s")), Ok(()));
        assert_eq!(admission.admit(&candidate("a")), Ok(()));
        assert!(admission.is_full(Class::Batch) && !admission.is_full(Class::Streaming));
        assert_eq!(admission.admit(&candidate("b")), Err(Refusal::ExecutorFull));
        assert_eq!(admission.admit(&stream("s2")), Ok(()));
        assert_eq!(admission.admit(&stream("s3")), Err(Refusal::PoolFull), "pools hold for both");
    }

    #[test]
    fn an_executor_without_room_blocks_only_its_own_tasks() {
        let mut admission = Admission::new(
            [("default_pool".to_owned(), PoolRoom::new(10, 0))].into(),
            ActiveCounts::default(),
            [(ExecutorIndex(0), Slots { batch: 1, streaming: 0 }), (ExecutorIndex(1), Slots::default())]
                .into(),
        );
        let other = Candidate { executor: Some(ExecutorIndex(1)), ..candidate("a") };
        assert_eq!(admission.admit(&other), Err(Refusal::ExecutorFull));
        assert_eq!(admission.admit(&candidate("b")), Ok(()));
        let unknown = Candidate { executor: None, ..candidate("c") };
        assert_eq!(admission.admit(&unknown), Err(Refusal::NoSuchExecutor));
    }
}
