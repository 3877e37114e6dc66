//! Task groups, as far as scheduling needs them.

use super::ExpandInput;
use crate::ids::GroupId;

/// A group's place in [`super::Dag::groups`]. The root group is the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupIndex(pub u32);

impl GroupIndex {
    /// The root group, which every Dag has.
    pub const ROOT: GroupIndex = GroupIndex(0);

    /// As an index into a slice with one element per group.
    pub fn at(self) -> usize {
        self.0 as usize
    }
}

/// A task group (`airflow/serialization/definitions/taskgroup.py`).
#[derive(Clone, Debug)]
pub struct Group {
    /// Its full id; `None` for the root.
    pub group_id: Option<GroupId>,
    /// The group around it; `None` for the root.
    pub parent: Option<GroupIndex>,
    /// What it is expanded over, if it is mapped.
    pub expand_input: Option<ExpandInput>,
    /// The mapped groups among it and the groups around it, innermost first.
    pub mapped_chain: Vec<GroupIndex>,
}
