//! How many partitions of a window have to be there (`airflow/partition_mappers/wait_policy.py`).

use std::collections::BTreeSet;

/// When a rolled-up partition is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitPolicy {
    /// Every key.
    ForAll,
    /// At least this many keys, or all but this many if negative; never 0.
    MinimumCount(i64),
}

/// The answer of a policy (`PartitionSatisfaction`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Satisfaction {
    /// Enough keys are there.
    Satisfied,
    /// More keys have to come.
    Waiting,
    /// No number of keys would be enough.
    Unreachable {
        /// Why, in Airflow's words.
        reason: String,
    },
}

impl WaitPolicy {
    /// Judges the keys that are there against those that the window expects (`is_satisfied_by_keys`).
    pub fn judge(self, matched: &BTreeSet<String>, expected: &BTreeSet<String>) -> Satisfaction {
        let count = |keys: usize| i64::try_from(keys).unwrap_or(i64::MAX);
        let needed = count(expected.len());
        let satisfied = match self {
            Self::ForAll => expected.is_subset(matched),
            Self::MinimumCount(n) if n > needed => {
                let reason = format!(
                    "wait policy MinimumCount(n={n}) can never be satisfied given the window's cardinality {needed}"
                );
                return Satisfaction::Unreachable { reason };
            }
            Self::MinimumCount(n) => {
                let there = count(matched.intersection(expected).count());
                there >= if n > 0 { n } else { needed.saturating_add(n).max(0) }
            }
        };
        if satisfied { Satisfaction::Satisfied } else { Satisfaction::Waiting }
    }
}
