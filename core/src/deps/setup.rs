//! What setups demand of tasks that do not name them as upstream, and teardowns of the tasks in their scope
//! (`airflow/ti_deps/deps/trigger_rule_dep.py`).

use super::{Answer, Upstream, Verdict, trigger_rule};
use crate::ids::MapIndex;
use crate::state::TaskState;

/// Judges a task instance by its indirect setups: they must all have succeeded. No setups, no demand.
pub fn evaluate(setups: &Upstream, map_index: MapIndex) -> Verdict {
    let seen = &setups.tally;
    let writes = if seen.failed > 0 || seen.upstream_failed > 0 {
        Some(TaskState::UpstreamFailed)
    } else if seen.skipped > 0 {
        Some(TaskState::Skipped)
    } else {
        trigger_rule::removed_with_its_upstream(seen.success, seen.removed, map_index)
    };
    let excused = if map_index.is_mapped() { seen.removed } else { 0 };
    let answer = if setups.expected <= seen.success + excused { Answer::Met } else { Answer::NotMet };
    Verdict { answer, writes }
}

/// Judges a teardown whose trigger rule is met: everything between its setups and itself must have ended.
pub fn teardown(scope: &Upstream) -> Answer {
    if scope.tally.done() < scope.expected { Answer::NotMet } else { Answer::Met }
}
