//! Counts of upstream task instances by state.

use crate::state::TaskState;

/// How many finished task instances there are of each state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// `success`.
    pub success: u32,
    /// `skipped`.
    pub skipped: u32,
    /// `failed`.
    pub failed: u32,
    /// `upstream_failed`.
    pub upstream_failed: u32,
    /// `removed`.
    pub removed: u32,
}

impl Tally {
    /// All that ended.
    pub fn done(&self) -> u32 {
        self.success + self.skipped + self.failed + self.upstream_failed + self.removed
    }

    /// Counts one more; unfinished ones do not count.
    pub fn add(&mut self, state: Option<TaskState>) {
        if let Some(count) = self.of(state) {
            *count += 1;
        }
    }

    /// Takes back one that was counted.
    pub fn take(&mut self, state: Option<TaskState>) {
        if let Some(count) = self.of(state) {
            *count = count.saturating_sub(1);
        }
    }

    /// Adds another tally.
    pub fn extend(&mut self, other: &Tally) {
        self.success += other.success;
        self.skipped += other.skipped;
        self.failed += other.failed;
        self.upstream_failed += other.upstream_failed;
        self.removed += other.removed;
    }

    fn of(&mut self, state: Option<TaskState>) -> Option<&mut u32> {
        match state? {
            TaskState::Success => Some(&mut self.success),
            TaskState::Skipped => Some(&mut self.skipped),
            TaskState::Failed => Some(&mut self.failed),
            TaskState::UpstreamFailed => Some(&mut self.upstream_failed),
            TaskState::Removed => Some(&mut self.removed),
            _ => None,
        }
    }
}

/// The upstream task instances that matter to one task instance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Upstream {
    /// Those that ended.
    pub tally: Tally,
    /// The setups among those that ended.
    pub setups: Tally,
    /// How many there are in all.
    pub expected: u32,
    /// How many setups there are in all.
    pub expected_setups: u32,
}
