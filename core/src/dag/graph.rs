//! The order of a Dag's tasks, and sets of them.

use super::{Task, TaskIndex};

/// A topological order of the tasks.
pub(super) struct Graph {
    /// Every task after all of its upstream tasks.
    pub(super) order: Vec<TaskIndex>,
}

impl Graph {
    /// Fails with a task that is on a circle.
    pub(super) fn new(tasks: &[Task]) -> Result<Self, TaskIndex> {
        let mut waiting: Vec<usize> = tasks.iter().map(|task| task.upstream.len()).collect();
        let mut order: Vec<TaskIndex> = (0..tasks.len())
            .filter(|index| waiting[*index] == 0)
            .map(|index| TaskIndex(index as u32))
            .collect();
        let mut next = 0;
        while let Some(index) = order.get(next).copied() {
            next += 1;
            for below in &tasks[index.at()].downstream {
                waiting[below.at()] -= 1;
                if waiting[below.at()] == 0 {
                    order.push(*below);
                }
            }
        }
        match waiting.iter().position(|count| *count > 0) {
            Some(stuck) => Err(TaskIndex(stuck as u32)),
            None => Ok(Self { order }),
        }
    }
}

/// A set of tasks, one bit each.
#[derive(Clone, Debug)]
pub(super) struct TaskSet(Vec<u64>);

impl TaskSet {
    pub(super) fn new(size: usize) -> Self {
        Self(vec![0; size.div_ceil(64)])
    }

    /// Whether `task` was not in the set before.
    pub(super) fn insert(&mut self, task: TaskIndex) -> bool {
        let (word, bit) = (task.at() / 64, 1 << (task.at() % 64));
        let fresh = self.0[word] & bit == 0;
        self.0[word] |= bit;
        fresh
    }

    pub(super) fn contains(&self, task: TaskIndex) -> bool {
        self.0[task.at() / 64] & (1 << (task.at() % 64)) != 0
    }

    pub(super) fn extend(&mut self, other: &TaskSet) {
        for (word, more) in self.0.iter_mut().zip(&other.0) {
            *word |= more;
        }
    }

    pub(super) fn len(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = TaskIndex> + '_ {
        self.0.iter().enumerate().flat_map(|(position, word)| {
            let mut rest = *word;
            std::iter::from_fn(move || {
                (rest != 0).then(|| {
                    let bit = rest.trailing_zeros();
                    rest &= rest - 1;
                    TaskIndex(position as u32 * 64 + bit)
                })
            })
        })
    }

    /// Everything that `next` leads to from `start`, without `start` itself.
    pub(super) fn reachable<'a>(
        tasks: &'a [Task],
        start: TaskIndex,
        next: impl Fn(&'a Task) -> &'a [TaskIndex],
    ) -> Self {
        let mut reached = Self::new(tasks.len());
        let mut pending = vec![start];
        while let Some(index) = pending.pop() {
            pending.extend(next(&tasks[index.at()]).iter().filter(|found| reached.insert(**found)));
        }
        reached
    }
}
