//! Which copies of another task belong to a copy (`_get_relevant_map_indexes` in `airflow/models/taskinstance.py`).

use std::ops::Range;

use super::count::group_count;
use crate::dag::{Dag, GroupIndex, Task, TaskIndex};
use crate::ids::MapIndex;

/// Which copies of another task belong to a copy. The other task's unexpanded instance always does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Relevant {
    /// All of them: the two tasks are in no common mapped group.
    All,
    /// One.
    One(i64),
    /// Several, because the other task is expanded further inside the common group.
    Several(Range<i64>),
}

impl Relevant {
    /// The copies as a range; `None` for all.
    pub fn range(&self) -> Option<Range<i64>> {
        match self {
            Self::All => None,
            Self::One(index) => Some(*index..index + 1),
            Self::Several(range) => Some(range.clone()),
        }
    }
}

/// Which copies of `other` belong to the copy `map_index` of `task`, which has `ti_count` copies in all.
pub fn relevant_map_indexes(
    dag: &Dag,
    task: TaskIndex,
    map_index: MapIndex,
    ti_count: u64,
    other: TaskIndex,
    result: &impl Fn(TaskIndex) -> Option<u64>,
) -> Relevant {
    let Some(common) = common_mapped_group(dag, dag.task(task), dag.task(other)) else {
        return Relevant::All;
    };
    let (Some(around @ 1..), 1..) = (group_count(dag, common, result), ti_count) else {
        return Relevant::All;
    };
    let place = (i128::from(map_index.0) * i128::from(around)).div_euclid(i128::from(ti_count)) as i64;
    if !is_further_mapped_inside(dag, dag.task(other), common) {
        return Relevant::One(place);
    }
    let further = (ti_count / around) as i64;
    Relevant::Several(place * further..(place + 1) * further)
}

/// The innermost mapped group that both are in.
fn common_mapped_group(dag: &Dag, one: &Task, other: &Task) -> Option<GroupIndex> {
    let groups = dag.mapped_groups(one);
    dag.mapped_groups(other).iter().copied().find(|group| groups.contains(group))
}

fn is_further_mapped_inside(dag: &Dag, task: &Task, group: GroupIndex) -> bool {
    task.is_mapped() || dag.mapped_groups(task).first().is_some_and(|innermost| *innermost != group)
}
