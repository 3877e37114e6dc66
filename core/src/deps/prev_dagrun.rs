//! `depends_on_past` and `wait_for_downstream` (`airflow/ti_deps/deps/prev_dagrun_dep.py`).

use super::Answer;
use crate::dag::{Dag, Task};
use crate::ids::TaskId;
use crate::run::{Loaded, PreviousRun, RunFacts};
use crate::state::TaskState;

/// Judges a task by its instances in the previous run.
pub fn evaluate(dag: &Dag, task: &Task, run: &RunFacts, loaded: &Loaded) -> Answer {
    if !task.past.depends_on_past || run.backfill_ordinal == Some(1) {
        return Answer::Met;
    }
    let Some(previous) = &loaded.previous_run else {
        return Answer::Met;
    };
    let started = |start| previous.logical_date.is_none_or(|date| date >= start);
    if dag.catchup && !task.start_date.is_none_or(started) {
        return Answer::Met;
    }
    if !previous.has(&task.task_id) {
        let first = task.past.ignore_first && !loaded.ever_ran.contains(&task.task_id);
        return if first { Answer::Met } else { Answer::NotMet };
    }
    let below_ended_well =
        || task.downstream.iter().all(|below| previous.ended_well(&dag.task(*below).task_id));
    if previous.ended_well(&task.task_id) && (!task.past.wait_for_downstream || below_ended_well()) {
        Answer::Met
    } else {
        Answer::NotMet
    }
}

impl PreviousRun {
    fn has(&self, task_id: &TaskId) -> bool {
        self.states.get(task_id).is_some_and(|states| !states.is_empty())
    }

    fn ended_well(&self, task_id: &TaskId) -> bool {
        let mut states = self.states.get(task_id).into_iter().flatten();
        states.all(|state| state.is_some_and(TaskState::is_success))
    }
}
