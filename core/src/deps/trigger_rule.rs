//! The trigger rule on the direct upstream task instances (`airflow/ti_deps/deps/trigger_rule_dep.py`).

use super::{Answer, Upstream, Verdict};
use crate::dag::TriggerRule;
use crate::ids::MapIndex;
use crate::state::TaskState;

/// Judges one task instance with at least one upstream task.
pub fn evaluate(rule: TriggerRule, upstream: &Upstream, map_index: MapIndex) -> Verdict {
    if rule == TriggerRule::Always {
        return Verdict::MET;
    }
    let answer = if is_met(rule, upstream) { Answer::Met } else { Answer::NotMet };
    Verdict { answer, writes: written(rule, upstream, map_index) }
}

/// The state that follows as soon as the rule can no longer be satisfied.
fn written(rule: TriggerRule, upstream: &Upstream, map_index: MapIndex) -> Option<TaskState> {
    let seen = &upstream.tally;
    let all_done = seen.done() >= upstream.expected;
    let any_failed = seen.failed > 0 || seen.upstream_failed > 0;
    let (skipped, failed) = (Some(TaskState::Skipped), Some(TaskState::UpstreamFailed));
    match rule {
        TriggerRule::AllSuccess if any_failed => failed,
        TriggerRule::AllSuccess if seen.skipped > 0 => skipped,
        TriggerRule::AllSuccess => removed_with_its_upstream(seen.success, seen.removed, map_index),
        TriggerRule::AllFailed if seen.success > 0 || seen.skipped > 0 => skipped,
        TriggerRule::OneSuccess if all_done && seen.done() == seen.skipped => skipped,
        TriggerRule::OneSuccess if all_done && seen.success == 0 => failed,
        TriggerRule::OneFailed if all_done && !any_failed => skipped,
        TriggerRule::OneDone if all_done && seen.failed == 0 && seen.success == 0 => skipped,
        TriggerRule::NoneFailed | TriggerRule::NoneFailedMinOneSuccess if any_failed => failed,
        TriggerRule::NoneFailedMinOneSuccess if seen.skipped == upstream.expected => skipped,
        TriggerRule::NoneFailedMinOneSuccess if all_done && seen.success == 0 => failed,
        TriggerRule::NoneSkipped if seen.skipped > 0 => skipped,
        TriggerRule::AllSkipped if seen.success > 0 || any_failed => skipped,
        TriggerRule::AllDoneMinOneSuccess if seen.skipped > 0 => skipped,
        TriggerRule::AllDoneMinOneSuccess if all_done && seen.success == 0 => failed,
        TriggerRule::AllDoneSetupSuccess if all_done && upstream.expected_setups > 0 => {
            if upstream.setups.skipped >= upstream.expected_setups {
                skipped
            } else {
                failed.filter(|_| upstream.setups.success == 0)
            }
        }
        _ => None,
    }
}

fn is_met(rule: TriggerRule, upstream: &Upstream) -> bool {
    let seen = &upstream.tally;
    let expected = upstream.expected;
    let all_done = seen.done() >= expected;
    match rule {
        TriggerRule::AllSuccess => expected <= seen.success + seen.removed,
        TriggerRule::AllFailed => expected <= seen.failed + seen.upstream_failed + seen.removed,
        TriggerRule::AllDone => all_done,
        TriggerRule::OneSuccess => seen.success > 0,
        TriggerRule::OneFailed => seen.failed + seen.upstream_failed > 0,
        TriggerRule::OneDone => seen.success + seen.failed > 0,
        TriggerRule::NoneFailed => expected <= seen.success + seen.skipped + seen.removed,
        TriggerRule::NoneFailedMinOneSuccess => {
            expected <= seen.success + seen.skipped + seen.removed && seen.success > 0
        }
        TriggerRule::NoneSkipped => all_done && seen.skipped == 0,
        TriggerRule::AllSkipped => expected <= seen.skipped,
        TriggerRule::AllDoneSetupSuccess => {
            all_done && (upstream.expected_setups == 0 || upstream.setups.success > 0)
        }
        TriggerRule::AllDoneMinOneSuccess => seen.skipped == 0 && all_done && seen.success > 0,
        TriggerRule::Always => true,
        TriggerRule::Unknown => false,
    }
}

/// A copy whose counterparts upstream were removed goes with them.
pub(super) fn removed_with_its_upstream(
    success: u32,
    removed: u32,
    map_index: MapIndex,
) -> Option<TaskState> {
    let surplus = u32::try_from(map_index.0).is_ok_and(|index| index >= success);
    (removed > 0 && success > 0 && surplus).then_some(TaskState::Removed)
}
