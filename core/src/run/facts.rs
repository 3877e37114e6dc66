//! What is known about a dag run when it is judged.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use uuid::Uuid;

use super::EventFacts;
use crate::dag::Dag;
use crate::ids::{DagId, MapIndex, RunId, TaskId};
use crate::state::{RunState, RunType, TaskState};

/// A row of `dag_run`, as far as decisions need it.
#[derive(Clone, Debug)]
pub struct RunFacts {
    /// The Dag.
    pub dag_id: DagId,
    /// The run.
    pub run_id: RunId,
    /// What it was made by.
    pub run_type: RunType,
    /// Its state.
    pub state: RunState,
    /// `logical_date`.
    pub logical_date: Option<DateTime<Utc>>,
    /// `data_interval_start`.
    pub data_interval_start: Option<DateTime<Utc>>,
    /// `data_interval_end`.
    pub data_interval_end: Option<DateTime<Utc>>,
    /// `run_after`.
    pub run_after: DateTime<Utc>,
    /// When it was started.
    pub start_date: Option<DateTime<Utc>>,
    /// Its place in its backfill (`backfill_dag_run.sort_ordinal`), if it belongs to one.
    pub backfill_ordinal: Option<i32>,
}

/// A row of `task_instance`, as far as decisions need it.
#[derive(Clone, Debug)]
pub struct TiFacts {
    /// Its primary key.
    pub id: Uuid,
    /// The task; it may be missing from the Dag.
    pub task_id: TaskId,
    /// Which copy of it.
    pub map_index: MapIndex,
    /// Its state.
    pub state: Option<TaskState>,
    /// The number of its current or last try; 0 before the first.
    pub try_number: i32,
    /// The last try number that may be followed by a retry.
    pub max_tries: i32,
    /// When its current or last try started.
    pub start_date: Option<DateTime<Utc>>,
    /// When its last try ended.
    pub end_date: Option<DateTime<Utc>>,
    /// Seconds to wait before the next try, where a retry policy decided that.
    pub retry_delay_override: Option<f64>,
}

/// Everything that one judgement is made of.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The version of the Dag that the run goes by.
    pub dag: &'a Dag,
    /// The run.
    pub run: &'a RunFacts,
    /// All its task instances, in any order.
    pub tis: &'a [TiFacts],
    /// What [`super::needs`] asked for.
    pub loaded: &'a Loaded,
    /// What the configuration says.
    pub options: Options,
}

/// Configuration that decisions depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// `[core] max_task_retry_delay`: where exponential growth of retry delays ends.
    pub max_retry_delay: TimeDelta,
    /// Whether the Dag is paused.
    pub pausing: Pausing,
}

/// Which runs are looked at, by their Dag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pausing {
    /// Of Dags that are not paused: they are carried on.
    Unpaused,
    /// Of paused Dags: they may end, but nothing new is started, they follow no new version of their Dag, and `dagrun_timeout` does
    /// not strike (`SchedulerJobRunner._update_dag_run_state_for_paused_dags`).
    Paused,
}

impl Default for Options {
    /// Airflow's defaults.
    fn default() -> Self {
        Self { max_retry_delay: TimeDelta::days(1), pausing: Pausing::Unpaused }
    }
}

/// The answers to [`super::Needs`]. What was asked for and not found is simply absent.
#[derive(Clone, Debug, Default)]
pub struct Loaded {
    /// The previous run, if one was asked for and exists.
    pub previous_run: Option<PreviousRun>,
    /// Of the tasks asked for, those that have a task instance in any run with a smaller logical date.
    pub ever_ran: HashSet<TaskId>,
    /// What the XComs `skipmixin_key` say, by the task and map index that pushed them.
    pub skips: HashMap<(TaskId, MapIndex), SkipVerdict>,
    /// `task_map.length` of rows with a negative map index.
    pub map_lengths: HashMap<TaskId, u64>,
    /// How many XComs `return_value` with a map index of 0 or more a task has.
    pub result_counts: HashMap<TaskId, u64>,
    /// `reschedule_date` of the newest `task_reschedule` row, by task instance.
    pub reschedules: HashMap<Uuid, DateTime<Utc>>,
    /// The part of events; `None` for a Dag without event tasks.
    pub events: Option<EventFacts>,
}

/// The run that tasks with `depends_on_past` look back at.
#[derive(Clone, Debug, Default)]
pub struct PreviousRun {
    /// Its logical date.
    pub logical_date: Option<DateTime<Utc>>,
    /// The states of all instances of the tasks asked for; a task without any is absent.
    pub states: HashMap<TaskId, Vec<Option<TaskState>>>,
}

/// What a task with `SkipMixin` decided about the tasks directly after it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SkipVerdict {
    /// Only these run, if given.
    pub followed: Option<Vec<String>>,
    /// These do not run, if given.
    pub skipped: Option<Vec<String>>,
}

impl SkipVerdict {
    /// Reads the value of the XCom `skipmixin_key`; `None` if it holds no verdict.
    pub fn from_xcom(value: &Value) -> Option<Self> {
        let list = |key: &str| {
            let given = value.get(key)?;
            let items = given.get("__data__").or_else(|| given.get("__var")).unwrap_or(given);
            Some(items.as_array()?.iter().filter_map(Value::as_str).map(str::to_owned).collect())
        };
        let verdict = Self { followed: list("followed"), skipped: list("skipped") };
        (verdict != Self::default()).then_some(verdict)
    }

    /// Whether the task is to be skipped.
    pub fn skips(&self, task_id: &TaskId) -> bool {
        let names = |list: &[String]| list.iter().any(|name| name == task_id.as_str());
        self.followed.as_deref().is_some_and(|followed| !names(followed))
            || self.skipped.as_deref().is_some_and(names)
    }
}
