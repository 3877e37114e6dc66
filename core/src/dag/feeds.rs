//! Which tasks' results decide how many copies of which other tasks there are.

use std::collections::HashMap;

use super::{Group, Task, TaskIndex};

/// Which tasks' results decide how many copies of which other tasks there are.
#[derive(Clone, Debug, Default)]
pub struct Feeds {
    sources: HashMap<TaskIndex, Vec<TaskIndex>>,
    fed: HashMap<TaskIndex, Vec<TaskIndex>>,
}

impl Feeds {
    pub(super) fn new(tasks: &[Task], groups: &[Group]) -> Self {
        let mut feeds = Self::default();
        for (index, task) in (0..).map(TaskIndex).zip(tasks) {
            let around = &groups[task.group.at()].mapped_chain;
            let inputs = around.iter().filter_map(|group| groups[group.at()].expand_input.as_ref());
            let mut sources: Vec<TaskIndex> =
                task.expand_input.iter().chain(inputs).flat_map(|input| &input.sources).copied().collect();
            sources.sort_unstable();
            sources.dedup();
            for source in &sources {
                feeds.fed.entry(*source).or_default().push(index);
            }
            if !sources.is_empty() {
                feeds.sources.insert(index, sources);
            }
        }
        feeds
    }

    /// Whether no task is expanded over a result.
    pub fn is_empty(&self) -> bool {
        self.sources.is_empty()
    }

    /// The tasks whose results a task, or a group around it, is expanded over.
    pub fn sources(&self, task: TaskIndex) -> &[TaskIndex] {
        self.sources.get(&task).map_or(&[], Vec::as_slice)
    }

    /// The tasks that are expanded over the result of `source`.
    pub fn fed_by(&self, source: TaskIndex) -> &[TaskIndex] {
        self.fed.get(&source).map_or(&[], Vec::as_slice)
    }
}
