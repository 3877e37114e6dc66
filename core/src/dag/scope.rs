//! What setups and teardowns mean for other tasks, and which tasks decide how a run ended.

use std::collections::HashMap;

use super::graph::TaskSet;
use super::{Task, TaskIndex};

/// What setups and teardowns mean for other tasks, and which tasks decide how a run ended.
#[derive(Clone, Debug, Default)]
pub struct Scopes {
    indirect_setups: HashMap<TaskIndex, Vec<TaskIndex>>,
    teardown_scope: HashMap<TaskIndex, Vec<TaskIndex>>,
    watchers: HashMap<TaskIndex, Vec<TaskIndex>>,
    decides_run: Vec<bool>,
}

impl Scopes {
    pub(super) fn new(tasks: &[Task]) -> Self {
        let mut scopes = Self { decides_run: deciding_leaves(tasks), ..Self::default() };
        scopes.add_setups(tasks);
        for (task, watched) in scopes.indirect_setups.iter().chain(&scopes.teardown_scope) {
            for other in watched {
                scopes.watchers.entry(*other).or_default().push(*task);
            }
        }
        scopes
    }

    /// The setups that must have succeeded before a task runs though it does not name them as upstream
    /// (`get_upstreams_only_setups` without the direct upstream tasks). Empty for teardowns.
    pub fn indirect_setups(&self, task: TaskIndex) -> &[TaskIndex] {
        self.indirect_setups.get(&task).map_or(&[], Vec::as_slice)
    }

    /// The tasks between a teardown and its setups, which must have ended before it runs, without its direct upstream
    /// tasks. Empty for other tasks.
    pub fn teardown_scope(&self, task: TaskIndex) -> &[TaskIndex] {
        self.teardown_scope.get(&task).map_or(&[], Vec::as_slice)
    }

    /// The tasks that have `task` in one of the two lists above: they must be looked at again when it changes.
    pub fn watchers(&self, task: TaskIndex) -> &[TaskIndex] {
        self.watchers.get(&task).map_or(&[], Vec::as_slice)
    }

    /// Whether the task is one of those whose end states make the run's (`DagRun._tis_for_dagrun_state`).
    pub fn decides_run(&self, task: TaskIndex) -> bool {
        self.decides_run.get(task.at()).copied().unwrap_or_default()
    }

    fn add_setups(&mut self, tasks: &[Task]) {
        let indexed = || (0..).map(TaskIndex).zip(tasks);
        let teardowns: HashMap<TaskIndex, TaskSet> = indexed()
            .filter(|(_, task)| task.traits.is_teardown)
            .map(|(index, _)| (index, TaskSet::reachable(tasks, index, |task| &task.upstream)))
            .collect();
        for (setup, task) in indexed().filter(|(_, task)| task.traits.is_setup) {
            let below = TaskSet::reachable(tasks, setup, |task| &task.downstream);
            let its_teardowns: Vec<(TaskIndex, &TaskSet)> =
                task.downstream.iter().filter_map(|below| Some((*below, teardowns.get(below)?))).collect();
            for other in below.iter().filter(|other| !tasks[other.at()].traits.is_teardown) {
                let relevant =
                    its_teardowns.is_empty() || its_teardowns.iter().any(|(_, above)| above.contains(other));
                if relevant && tasks[other.at()].upstream.binary_search(&setup).is_err() {
                    self.indirect_setups.entry(other).or_default().push(setup);
                }
            }
            for (teardown, above) in &its_teardowns {
                let direct = &tasks[teardown.at()].upstream;
                let scope = self.teardown_scope.entry(*teardown).or_default();
                let between = below.iter().filter(|other| above.contains(*other));
                scope.extend(between.filter(|other| direct.binary_search(other).is_err()));
            }
        }
        for scope in self.teardown_scope.values_mut() {
            scope.sort_unstable();
            scope.dedup();
        }
    }
}

fn deciding_leaves(tasks: &[Task]) -> Vec<bool> {
    let counts = |task: &Task| !task.traits.is_teardown || task.traits.on_failure_fail_dagrun;
    let leaves: Vec<bool> = tasks
        .iter()
        .map(|task| counts(task) && !task.downstream.iter().any(|below| counts(&tasks[below.at()])))
        .collect();
    if leaves.contains(&true) {
        return leaves;
    }
    tasks.iter().map(|task| task.downstream.is_empty()).collect()
}
