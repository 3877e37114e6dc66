//! Final priority weights (`airflow/task/priority_strategy.py`), once per dag version.

use super::graph::{Graph, TaskSet};
use super::read_task::clamp;
use super::{Task, TaskIndex, WeightRule};

/// Writes `priority_weight` of every task.
pub(super) fn assign(tasks: &mut [Task], graph: &Graph) {
    let downstream = |task: &Task| task.weight_rule == WeightRule::Downstream;
    let upstream = |task: &Task| task.weight_rule == WeightRule::Upstream;
    if tasks.iter().any(downstream) {
        let from_the_end = graph.order.iter().rev().copied();
        assign_where(tasks, from_the_end, downstream, |task| &task.downstream, |task| &task.upstream);
    }
    if tasks.iter().any(upstream) {
        let from_the_start = graph.order.iter().copied();
        assign_where(tasks, from_the_start, upstream, |task| &task.upstream, |task| &task.downstream);
    }
}

/// Goes through the tasks in an order in which everything that `ahead` names has been seen; a task's set of relatives
/// is dropped when the last of `behind` has used it, so that memory follows the width of the Dag.
fn assign_where(
    tasks: &mut [Task],
    order: impl Iterator<Item = TaskIndex>,
    applies: impl Fn(&Task) -> bool,
    ahead: impl Fn(&Task) -> &[TaskIndex],
    behind: impl Fn(&Task) -> &[TaskIndex],
) {
    let own: Vec<i64> = tasks.iter().map(|task| task.own_weight).collect();
    let uniform = own.first().copied().filter(|first| own.iter().all(|weight| weight == first));
    let mut users: Vec<usize> = tasks.iter().map(|task| behind(task).len()).collect();
    let mut relatives: Vec<Option<TaskSet>> = vec![None; tasks.len()];
    for index in order {
        let direct = ahead(&tasks[index.at()]);
        let mut set = TaskSet::new(if direct.is_empty() { 0 } else { tasks.len() });
        for relative in direct {
            set.insert(*relative);
            if let Some(further) = &relatives[relative.at()] {
                set.extend(further);
            }
            users[relative.at()] -= 1;
            if users[relative.at()] == 0 {
                relatives[relative.at()] = None;
            }
        }
        let task = &mut tasks[index.at()];
        if applies(task) {
            let sum = match uniform {
                Some(weight) => weight.saturating_mul(set.len() as i64),
                None => set.iter().map(|relative| own[relative.at()]).fold(0, i64::saturating_add),
            };
            task.priority_weight = clamp(task.own_weight.saturating_add(sum));
        }
        if users[index.at()] > 0 {
            relatives[index.at()] = Some(set);
        }
    }
}
