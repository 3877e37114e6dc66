//! How many copies a mapped task has (`get_mapped_ti_count`, `get_task_map_length`, `airflow/models/expandinput.py`).

use crate::dag::{Dag, ExpandInput, Fill, GroupIndex, Length, Shape, TaskIndex};

/// How many copies a task has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// It is neither mapped nor inside a mapped group.
    NotMapped,
    /// A result that it is expanded over does not exist (yet).
    Unknown,
    /// So many.
    Known(u64),
}

/// How many copies a task has: the product over its own input and the mapped groups around it. `result` gives the length
/// of a task's result, if it is known.
pub fn count(dag: &Dag, task: TaskIndex, result: &impl Fn(TaskIndex) -> Option<u64>) -> Count {
    let task = dag.task(task);
    let groups = dag.mapped_groups(task);
    if task.expand_input.is_none() && groups.is_empty() {
        return Count::NotMapped;
    }
    let own = task.expand_input.as_ref().map_or(Some(1), |input| input_length(input, result));
    match own.zip(chain_count(dag, groups, result)) {
        Some((own, around)) => Count::Known(own.saturating_mul(around)),
        None => Count::Unknown,
    }
}

/// How many copies follow from the Dag file alone (`get_parse_time_mapped_ti_count`).
pub fn literal_count(dag: &Dag, task: TaskIndex) -> Count {
    count(dag, task, &|_| None)
}

/// How many copies a mapped group has, together with the mapped groups around it.
pub fn group_count(dag: &Dag, group: GroupIndex, result: &impl Fn(TaskIndex) -> Option<u64>) -> Option<u64> {
    chain_count(dag, &dag.group(group).mapped_chain, result)
}

fn chain_count(dag: &Dag, groups: &[GroupIndex], result: &impl Fn(TaskIndex) -> Option<u64>) -> Option<u64> {
    let inputs = groups.iter().filter_map(|group| dag.group(*group).expand_input.as_ref());
    inputs.map(|input| input_length(input, result)).try_fold(1, product)
}

fn input_length(input: &ExpandInput, result: &impl Fn(TaskIndex) -> Option<u64>) -> Option<u64> {
    match &input.shape {
        Shape::Product(arguments) if arguments.is_empty() => Some(0),
        Shape::Product(arguments) => {
            arguments.iter().map(|argument| length(argument, result)).try_fold(1, product)
        }
        Shape::Single(argument) => length(argument, result),
    }
}

fn product(so_far: u64, factor: Option<u64>) -> Option<u64> {
    Some(so_far.saturating_mul(factor?))
}

fn length(argument: &Length, result: &impl Fn(TaskIndex) -> Option<u64>) -> Option<u64> {
    let all = |arguments: &[Length]| -> Option<Vec<u64>> {
        arguments.iter().map(|argument| length(argument, result)).collect()
    };
    match argument {
        Length::Literal(length) => Some(*length),
        Length::Result(task) => result(*task),
        Length::Zip(arguments, Fill::Absent) => all(arguments)?.into_iter().min(),
        Length::Zip(arguments, Fill::Given) => all(arguments)?.into_iter().max(),
        Length::Concat(arguments) => Some(all(arguments)?.into_iter().fold(0, u64::saturating_add)),
        Length::Never => None,
    }
}
