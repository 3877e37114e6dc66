//! Tables: what each dependency says.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use super::not_in_retry_period::{FailedTry, next_try};
use super::{
    Answer, Moment, Tally, Upstream, Verdict, mapped_task_upstream, prev_dagrun, ready_to_reschedule, setup,
    trigger_rule,
};
use crate::dag::{Dag, TriggerRule};
use crate::ids::MapIndex;
use crate::run::{Loaded, PreviousRun, RunFacts};
use crate::state::{RunState, RunType, TaskState};

/// `s`uccess, s`k`ipped, `f`ailed, `u`pstream_failed, `r`emoved, `.` unfinished.
fn upstream(states: &str) -> Upstream {
    let mut upstream = Upstream { expected: states.len() as u32, ..Upstream::default() };
    for letter in states.chars() {
        upstream.tally.add(match letter {
            's' => Some(TaskState::Success),
            'k' => Some(TaskState::Skipped),
            'f' => Some(TaskState::Failed),
            'u' => Some(TaskState::UpstreamFailed),
            'r' => Some(TaskState::Removed),
            _ => None,
        });
    }
    upstream
}

fn short(verdict: Verdict) -> &'static str {
    match (verdict.answer, verdict.writes) {
        (_, Some(state)) => state.as_str(),
        (Answer::Met, None) => "met",
        (Answer::NotMet, None) => "waits",
    }
}

#[test]
fn each_trigger_rule_judges_as_its_table_says() {
    use TriggerRule as Rule;
    let table: &[(Rule, &[(&str, &str)])] = &[
        (
            Rule::AllSuccess,
            &[
                ("ss", "met"),
                ("sr", "met"),
                ("s.", "waits"),
                ("k.", "skipped"),
                ("kf", "upstream_failed"),
                ("u.", "upstream_failed"),
            ],
        ),
        (
            Rule::AllFailed,
            &[("fu", "met"), ("fr", "met"), ("f.", "waits"), ("s.", "skipped"), ("fk", "skipped")],
        ),
        (Rule::AllDone, &[("sk", "met"), ("fu", "met"), ("s.", "waits")]),
        (
            Rule::AllDoneMinOneSuccess,
            &[("sf", "met"), ("sr", "met"), ("s.", "waits"), ("k.", "skipped"), ("ff", "upstream_failed")],
        ),
        (
            Rule::OneSuccess,
            &[
                ("s.", "met"),
                ("f.", "waits"),
                ("kk", "skipped"),
                ("kf", "upstream_failed"),
                ("r", "upstream_failed"),
            ],
        ),
        (Rule::OneFailed, &[("f.", "met"), ("u.", "met"), ("s.", "waits"), ("sk", "skipped")]),
        (Rule::OneDone, &[("s.", "met"), ("f.", "met"), ("k.", "waits"), ("ku", "skipped")]),
        (Rule::NoneFailed, &[("sk", "met"), ("s.", "waits"), ("f.", "upstream_failed")]),
        (
            Rule::NoneFailedMinOneSuccess,
            &[
                ("sk", "met"),
                ("s.", "waits"),
                ("kk", "skipped"),
                ("kr", "upstream_failed"),
                ("f.", "upstream_failed"),
            ],
        ),
        (Rule::NoneSkipped, &[("sf", "met"), ("s.", "waits"), ("k.", "skipped")]),
        (Rule::AllSkipped, &[("kk", "met"), ("k.", "waits"), ("s.", "skipped"), ("u.", "skipped")]),
        (Rule::AllDoneSetupSuccess, &[("sf", "met"), ("s.", "waits")]),
        (Rule::Always, &[("..", "met")]),
        (Rule::Unknown, &[("ss", "waits")]),
    ];
    for (rule, rows) in table {
        for (states, expected) in *rows {
            let verdict = trigger_rule::evaluate(*rule, &upstream(states), MapIndex::UNMAPPED);
            assert_eq!(short(verdict), *expected, "{rule:?} over {states}");
        }
    }
}

#[test]
fn a_teardown_runs_if_one_of_its_setups_did() {
    let judge = |states: &str, setups: &str| {
        let above = upstream(setups);
        let both = Upstream { setups: above.tally, expected_setups: above.expected, ..upstream(states) };
        short(trigger_rule::evaluate(TriggerRule::AllDoneSetupSuccess, &both, MapIndex::UNMAPPED))
    };
    assert_eq!(judge("skf", "sk"), "met");
    assert_eq!(judge("kk", "kk"), "skipped");
    assert_eq!(judge("kf", "kf"), "upstream_failed");
    assert_eq!(judge("k.", "k"), "waits");
}

#[test]
fn a_copy_beyond_the_copies_that_are_left_upstream_is_removed() {
    let judge =
        |index| short(trigger_rule::evaluate(TriggerRule::AllSuccess, &upstream("ssr"), MapIndex(index)));
    assert_eq!((judge(1), judge(2), judge(-1)), ("met", "removed", "met"));
}

#[test]
fn indirect_setups_must_all_have_succeeded() {
    let judge = |states: &str| short(setup::evaluate(&upstream(states), MapIndex::UNMAPPED));
    let states = ["", "ss", "s.", "k.", "fk", "sr"];
    assert_eq!(states.map(judge), ["met", "met", "waits", "skipped", "upstream_failed", "waits"]);
    assert_eq!(setup::teardown(&upstream("sk.")), Answer::NotMet);
    assert_eq!(setup::teardown(&upstream("skf")), Answer::Met);
}

#[test]
fn what_is_expanded_over_must_have_succeeded() {
    use TaskState::{Failed, Removed, Running, Skipped, Success, UpstreamFailed};
    let judge = |current, sources: &[TaskState]| {
        short(mapped_task_upstream::evaluate(current, sources.iter().map(|state| Some(*state))))
    };
    assert_eq!(judge(None, &[]), "met");
    assert_eq!(judge(None, &[Success, Running]), "met");
    assert_eq!(judge(None, &[Success, Skipped]), "skipped");
    assert_eq!(judge(None, &[Skipped, UpstreamFailed]), "upstream_failed");
    assert_eq!(judge(None, &[Removed]), "waits");
    assert_eq!(judge(Some(UpstreamFailed), &[Skipped, Failed]), "waits");
}

fn date(text: &str) -> DateTime<Utc> {
    text.parse().expect("a date")
}

/// A task `t` before a task `below`, with more fields, in a Dag that starts in 2026.
fn dag(fields: Value, catchup: bool) -> Dag {
    let mut task = json!({"task_id": "t", "task_type": "T", "downstream_task_ids": ["below"]});
    task.as_object_mut().expect("fields").extend(fields.as_object().expect("fields").clone());
    let below = json!({"task_id": "below", "task_type": "T"});
    let tasks = [task, below].map(|task| json!({"__type": "operator", "__var": task}));
    let dag = json!({"dag_id": "d", "tasks": tasks, "catchup": catchup, "start_date": 1_767_225_600.0});
    Dag::from_serialized(&json!({"__version": 3, "dag": dag})).expect("a Dag")
}

fn looks_back(dag: &Dag, ordinal: Option<i32>, loaded: &Loaded) -> Answer {
    let run = RunFacts {
        dag_id: "d".into(),
        run_id: "r".into(),
        run_type: RunType::Scheduled,
        state: RunState::Running,
        logical_date: Some(date("2026-01-02T00:00:00Z")),
        data_interval_start: None,
        data_interval_end: None,
        run_after: date("2026-01-02T00:00:00Z"),
        start_date: None,
        backfill_ordinal: ordinal,
    };
    prev_dagrun::evaluate(dag, &dag.tasks[0], &run, loaded)
}

fn before(states: &[(&str, TaskState)], logical_date: &str) -> Loaded {
    let mut previous = PreviousRun { logical_date: Some(date(logical_date)), states: HashMap::new() };
    for (task, state) in states {
        previous.states.entry((*task).into()).or_default().push(Some(*state));
    }
    Loaded { previous_run: Some(previous), ..Loaded::default() }
}

#[test]
fn a_task_that_depends_on_past_waits_for_its_previous_instance() {
    use TaskState::{Failed, Success};
    let dag = self::dag(json!({"depends_on_past": true}), false);
    let at = |states: &[(&str, TaskState)]| looks_back(&dag, None, &before(states, "2026-01-01T00:00:00Z"));
    assert_eq!(at(&[("t", Success), ("below", Failed)]), Answer::Met);
    assert_eq!(at(&[("t", Success), ("t", Failed)]), Answer::NotMet, "all copies count");
    assert_eq!(at(&[]), Answer::NotMet);
    assert_eq!(looks_back(&dag, None, &Loaded::default()), Answer::Met, "there is no previous run");
    let failed = before(&[("t", Failed)], "2026-01-01T00:00:00Z");
    assert_eq!(looks_back(&dag, Some(1), &failed), Answer::Met, "the first of a backfill");
    assert_eq!(looks_back(&dag, Some(2), &failed), Answer::NotMet);
    assert_eq!(looks_back(&self::dag(json!({}), false), None, &failed), Answer::Met);
}

#[test]
fn a_task_that_waits_for_downstream_waits_for_the_tasks_after_it_too() {
    use TaskState::{Running, Success};
    let dag = self::dag(json!({"depends_on_past": true, "wait_for_downstream": true}), false);
    let at = |states: &[(&str, TaskState)]| looks_back(&dag, None, &before(states, "2026-01-01T00:00:00Z"));
    assert_eq!(at(&[("t", Success), ("below", Running)]), Answer::NotMet);
    assert_eq!(at(&[("t", Success), ("below", Success)]), Answer::Met);
}

#[test]
fn the_first_instance_of_a_task_need_not_wait_if_it_says_so() {
    let dag = self::dag(json!({"depends_on_past": true, "ignore_first_depends_on_past": true}), false);
    let mut loaded = before(&[], "2026-01-01T00:00:00Z");
    assert_eq!(looks_back(&dag, None, &loaded), Answer::Met);
    loaded.ever_ran.insert("t".into());
    assert_eq!(looks_back(&dag, None, &loaded), Answer::NotMet);
}

#[test]
fn with_catchup_a_previous_run_before_the_tasks_start_does_not_count() {
    let old = before(&[], "2025-12-31T00:00:00Z");
    assert_eq!(looks_back(&dag(json!({"depends_on_past": true}), true), None, &old), Answer::Met);
    assert_eq!(looks_back(&dag(json!({"depends_on_past": true}), false), None, &old), Answer::NotMet);
}

#[test]
fn a_reschedule_request_holds_until_its_moment() {
    let now = date("2026-01-02T00:00:00Z");
    let later = now + TimeDelta::seconds(1);
    assert_eq!(ready_to_reschedule::evaluate(Some(later), now), Moment::Later(later));
    assert_eq!(ready_to_reschedule::evaluate(Some(now), now), Moment::Now);
    assert_eq!(ready_to_reschedule::evaluate(None, now), Moment::Now);
}

/// The waits are those of `TaskInstance.next_retry_datetime`.
#[test]
fn the_wait_between_tries_grows_with_a_jitter_that_is_the_same_everywhere() {
    let end = date("2026-01-02T00:00:00Z");
    let cap = TimeDelta::days(1);
    let wait = |fields: Value, try_number, delay_override| {
        let dag = self::dag(fields, false);
        let failed = FailedTry {
            dag_id: &dag.dag_id,
            task: &dag.tasks[0],
            logical_date: Some(date("2026-01-02T00:00:00Z")),
            try_number,
            end_date: Some(end),
            delay_override,
        };
        (next_try(&failed, cap).expect("a date") - end).as_seconds_f64()
    };
    assert_eq!(wait(json!({"retry_delay": 1.5}), 3, None), 1.5);
    assert_eq!(wait(json!({"retry_delay": 1.5}), 3, Some(0.25)), 0.25);
    let doubling = json!({"retry_delay": 10.0, "retry_exponential_backoff": 2.0});
    let waits = [1, 2, 3, 30].map(|try_number| wait(doubling.clone(), try_number, None));
    assert_eq!(waits, [15.0, 31.0, 45.0, 86_400.0]);
    let limited = json!({"retry_delay": 10.0, "retry_exponential_backoff": 2.0, "max_retry_delay": 12.0});
    assert_eq!(wait(limited, 3, None), 12.0);
}

#[test]
fn a_tally_counts_what_ended_only() {
    let mut tally = Tally::default();
    for state in [None, Some(TaskState::Running), Some(TaskState::Success), Some(TaskState::Removed)] {
        tally.add(state);
    }
    assert_eq!((tally.done(), tally.success, tally.removed), (2, 1, 1));
    tally.take(Some(TaskState::Success));
    assert_eq!(tally.done(), 1);
}
