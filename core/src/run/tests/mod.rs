//! Whole runs, judged in memory.

mod events;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

use super::*;
use crate::dag::Dag;
use crate::event::command::{Dependencies, Opening};
use crate::ids::MapIndex;
use crate::state::{RunState, RunType, TaskState};

const NOW: &str = "2026-01-02T00:00:00Z";

fn at(text: &str) -> DateTime<Utc> {
    text.parse().expect("a date")
}

/// A Dag of `(task_id, downstream ids, further fields)`.
fn dag(tasks: &[(&str, &[&str], Value)]) -> Dag {
    let tasks: Vec<Value> = tasks
        .iter()
        .map(|(task_id, below, more)| {
            let mut task = json!({"task_id": task_id, "task_type": "T", "downstream_task_ids": below});
            task.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
            json!({"__type": "operator", "__var": task})
        })
        .collect();
    let data = json!({"__version": 3, "dag": {"dag_id": "d", "tasks": tasks, "timetable": {}}});
    Dag::from_serialized(&data).expect("a Dag")
}

fn plain(tasks: &[(&str, &[&str])]) -> Dag {
    let tasks: Vec<_> = tasks.iter().map(|(task_id, below)| (*task_id, *below, json!({}))).collect();
    dag(&tasks)
}

fn run() -> RunFacts {
    RunFacts {
        dag_id: "d".into(),
        run_id: "r".into(),
        run_type: RunType::Scheduled,
        state: RunState::Running,
        logical_date: Some(at("2026-01-01T00:00:00Z")),
        data_interval_start: None,
        data_interval_end: None,
        run_after: at("2026-01-01T00:00:00Z"),
        start_date: Some(at("2026-01-01T00:00:00Z")),
        backfill_ordinal: None,
    }
}

fn ti(task_id: &str, map_index: i32, state: Option<TaskState>) -> TiFacts {
    let ran = !matches!(state, None | Some(TaskState::Scheduled));
    TiFacts {
        id: Uuid::from_u128(
            u128::from_str_radix(&format!("{}{}", task_id.len(), map_index + 1), 16).unwrap_or(0),
        ),
        task_id: task_id.into(),
        map_index: MapIndex(map_index),
        state,
        try_number: i32::from(ran),
        max_tries: 0,
        start_date: None,
        end_date: None,
        retry_delay_override: None,
    }
}

fn judge_run(dag: &Dag, run: RunFacts, tis: &[TiFacts]) -> Examination {
    let loaded = Loaded::default();
    examine(&Facts { dag, run: &run, tis, loaded: &loaded, options: Options::default() }, at(NOW))
}

fn judge(dag: &Dag, tis: &[TiFacts], loaded: &Loaded) -> Examination {
    let facts = Facts { dag, run: &run(), tis, loaded, options: Options::default() };
    examine(&facts, at(NOW))
}

/// The decisions in short: `task[index] -> state`.
fn short(examination: &Examination) -> Vec<String> {
    let name = |ti: &TiRef| format!("{}[{}]", ti.task_id, ti.map_index);
    examination
        .decisions
        .iter()
        .map(|decision| match decision {
            Decision::SetState { ti, to, .. } => {
                format!("{} -> {}", name(ti), to.map_or("none", TaskState::as_str))
            }
            Decision::Schedule { ti, .. } => format!("{} -> scheduled", name(ti)),
            Decision::SucceedEmpty { ti, .. } => format!("{} -> empty", name(ti)),
            Decision::DeferFromTrigger { ti, .. } => format!("{} -> deferred", name(ti)),
            Decision::ClearReferences { ti } => format!("{} cleared", name(ti)),
            Decision::Expand(Expansion::Rename { ti, .. }) => format!("{} -> [0]", name(ti)),
            Decision::Expand(Expansion::Delete { ti, .. }) => format!("{} deleted", name(ti)),
            Decision::Expand(Expansion::Add { task_id, map_indexes, .. }) => {
                format!("{task_id} + {}", map_indexes.len())
            }
            Decision::Remove { ti, .. } => format!("{} -> removed", name(ti)),
        })
        .collect()
}

#[test]
fn a_task_without_upstream_is_scheduled_and_the_next_one_waits() {
    let dag = plain(&[("a", &["b"]), ("b", &[])]);
    let result = judge(&dag, &[ti("a", -1, None), ti("b", -1, None)], &Loaded::default());
    assert_eq!(short(&result), ["a[-1] -> scheduled"]);
    assert_eq!(result.outcome, Outcome::StillRunning { next_look: None });
}

#[test]
fn a_failure_goes_down_the_whole_chain_and_ends_the_run_at_once() {
    let dag = plain(&[("a", &["b"]), ("b", &["c"]), ("c", &[])]);
    let tis = [ti("a", -1, Some(TaskState::Failed)), ti("b", -1, None), ti("c", -1, None)];
    let result = judge(&dag, &tis, &Loaded::default());
    assert_eq!(short(&result), ["b[-1] -> upstream_failed", "c[-1] -> upstream_failed"]);
    let Outcome::Failed { reason: FailureReason::TaskFailure, last_ti: Some(last) } = result.outcome else {
        panic!("{:?}", result.outcome);
    };
    assert_eq!(last.task_id.as_str(), "a");
}

#[test]
fn empty_tasks_succeed_in_the_same_look_and_the_task_after_them_starts() {
    let empty = json!({"_is_empty": true});
    let dag = dag(&[("a", &["b"], empty.clone()), ("b", &["c"], empty), ("c", &[], json!({}))]);
    let tis = [ti("a", -1, None), ti("b", -1, None), ti("c", -1, None)];
    let result = judge(&dag, &tis, &Loaded::default());
    assert_eq!(short(&result), ["a[-1] -> empty", "b[-1] -> empty", "c[-1] -> scheduled"]);
}

/// Airflow judges `t` when it knows of the skip and not yet of the failure, which reaches it a level later.
#[test]
fn a_nearer_skip_wins_over_a_farther_failure() {
    let dag = plain(&[("a", &["t"]), ("b", &["c"]), ("c", &["t"]), ("t", &[])]);
    let tis = [
        ti("a", -1, Some(TaskState::Skipped)),
        ti("b", -1, Some(TaskState::Failed)),
        ti("c", -1, None),
        ti("t", -1, None),
    ];
    let result = judge(&dag, &tis, &Loaded::default());
    assert_eq!(short(&result), ["c[-1] -> upstream_failed", "t[-1] -> skipped"]);
}

fn over_result() -> Dag {
    let input = json!({"type": "dict-of-lists", "value": {"__type": "dict", "__var": {
        "x": {"__type": "xcomref", "__var": {"task_id": "a", "key": "return_value"}}}}});
    dag(&[
        ("a", &["m"], json!({})),
        (
            "m",
            &["z"],
            json!({"_is_mapped": true, "_expand_input_attr": "expand_input", "expand_input": input}),
        ),
        ("z", &[], json!({})),
    ])
}

#[test]
fn a_mapped_task_gets_its_copies_and_all_start() {
    let tis = [ti("a", -1, Some(TaskState::Success)), ti("m", -1, None), ti("z", -1, None)];
    let dag = over_result();
    let needs = needs(&dag, &run(), &tis);
    assert_eq!(needs.map_lengths, [crate::ids::TaskId::from("a")]);
    let loaded = Loaded { map_lengths: [("a".into(), 3)].into(), ..Loaded::default() };
    assert_eq!(
        short(&judge(&dag, &tis, &loaded)),
        [
            "m[-1] cleared",
            "m[-1] -> [0]",
            "m + 2",
            "m[0] -> scheduled",
            "m[1] -> scheduled",
            "m[2] -> scheduled"
        ]
    );
}

#[test]
fn a_mapped_task_over_nothing_is_skipped_with_what_follows() {
    let tis = [ti("a", -1, Some(TaskState::Success)), ti("m", -1, None), ti("z", -1, None)];
    let loaded = Loaded { map_lengths: [("a".into(), 0)].into(), ..Loaded::default() };
    let result = judge(&over_result(), &tis, &loaded);
    assert_eq!(short(&result), ["m[-1] cleared", "m[-1] -> skipped", "z[-1] -> skipped"]);
    assert!(matches!(result.outcome, Outcome::Success { .. }));
}

#[test]
fn a_mapped_task_whose_length_was_never_pushed_fails_with_what_follows() {
    let tis = [ti("a", -1, Some(TaskState::Success)), ti("m", -1, None), ti("z", -1, None)];
    let result = judge(&over_result(), &tis, &Loaded::default());
    assert_eq!(short(&result), ["m[-1] cleared", "m[-1] -> upstream_failed", "z[-1] -> upstream_failed"]);
}

#[test]
fn copies_that_the_length_no_longer_has_are_removed_and_new_ones_start() {
    let tis = [
        ti("a", -1, Some(TaskState::Success)),
        ti("m", 0, None),
        ti("m", 2, Some(TaskState::Success)),
        ti("z", -1, None),
    ];
    let loaded = Loaded { map_lengths: [("a".into(), 2)].into(), ..Loaded::default() };
    assert_eq!(
        short(&judge(&over_result(), &tis, &loaded)),
        ["m[2] -> removed", "m + 1", "m[1] -> scheduled", "m[0] -> scheduled"]
    );
}

/// A mapped task that expands over an empty list.
fn over_nothing() -> Value {
    let input = json!({"type": "dict-of-lists", "value": {"__type": "dict", "__var": {"x": []}}});
    json!({"_is_mapped": true, "_expand_input_attr": "expand_input", "expand_input": input})
}

#[test]
fn what_a_look_for_a_deadlock_writes_before_it_comes_to_a_removed_copy_goes_down_the_chain() {
    let rule = json!({"trigger_rule": "none_failed_min_one_success"});
    let dag = dag(&[
        ("a", &["b"], json!({})),
        ("b", &["z"], rule),
        ("m", &[], over_nothing()),
        ("z", &[], json!({})),
    ]);
    let queued = Some(TaskState::Queued);
    let tis =
        [ti("a", -1, Some(TaskState::Removed)), ti("b", -1, queued), ti("m", 0, None), ti("z", -1, queued)];
    let result = judge(&dag, &tis, &Loaded::default());
    assert_eq!(short(&result), ["m[0] -> removed", "b[-1] -> upstream_failed", "z[-1] -> upstream_failed"]);
    assert!(matches!(result.outcome, Outcome::Failed { reason: FailureReason::TaskFailure, .. }));
}

#[test]
fn a_look_for_a_deadlock_that_comes_to_a_removed_copy_first_is_done_again_without_it() {
    let rule = json!({"trigger_rule": "none_failed_min_one_success"});
    let dag = dag(&[("m", &["y"], over_nothing()), ("y", &["z"], rule), ("z", &[], json!({}))]);
    let queued = Some(TaskState::Queued);
    let tis = [ti("m", 0, None), ti("y", -1, queued), ti("z", -1, queued)];
    let result = judge(&dag, &tis, &Loaded::default());
    assert_eq!(short(&result), ["m[0] -> removed", "y[-1] -> upstream_failed"]);
    assert!(matches!(result.outcome, Outcome::Failed { reason: FailureReason::Deadlock, .. }));
}

#[test]
fn a_run_in_which_nothing_can_ever_start_is_deadlocked() {
    let dag = plain(&[("a", &["b"]), ("b", &[])]);
    let result = judge(&dag, &[ti("b", -1, None)], &Loaded::default());
    assert!(
        matches!(result.outcome, Outcome::Failed { reason: FailureReason::Deadlock, .. }),
        "{:?}",
        result.outcome
    );
}

#[test]
fn a_run_that_waits_for_a_retry_names_the_moment() {
    let dag = dag(&[("a", &[], json!({"retries": 1, "retry_delay": 60.0}))]);
    let mut waiting = ti("a", -1, Some(TaskState::UpForRetry));
    waiting.end_date = Some(at(NOW) - TimeDelta::seconds(20));
    let result = judge(&dag, std::slice::from_ref(&waiting), &Loaded::default());
    let next_look = Some(at(NOW) + TimeDelta::seconds(40));
    assert_eq!(result.outcome, Outcome::StillRunning { next_look });
    waiting.end_date = Some(at(NOW) - TimeDelta::seconds(61));
    assert_eq!(short(&judge(&dag, &[waiting], &Loaded::default())), ["a[-1] -> scheduled"]);
}

#[test]
fn the_branch_that_was_not_chosen_is_skipped() {
    let dag = dag(&[
        ("a", &["b", "c"], json!({"_can_skip_downstream": true})),
        ("b", &[], json!({})),
        ("c", &[], json!({})),
    ]);
    let tis = [ti("a", -1, Some(TaskState::Success)), ti("b", -1, None), ti("c", -1, None)];
    let pushed = json!({"followed": ["b"]});
    let verdict = SkipVerdict::from_xcom(&pushed).expect("a verdict");
    let key = ("a".into(), MapIndex::UNMAPPED);
    assert_eq!(needs(&dag, &run(), &tis).skips, std::slice::from_ref(&key));
    let loaded = Loaded { skips: [(key, verdict)].into(), ..Loaded::default() };
    assert_eq!(short(&judge(&dag, &tis, &loaded)), ["c[-1] -> skipped", "b[-1] -> scheduled"]);
}

#[test]
fn a_run_over_its_time_skips_what_is_left_without_dates() {
    let mut dag = plain(&[("a", &["b"]), ("b", &[])]);
    dag.dagrun_timeout = Some(TimeDelta::hours(1));
    let tis = [ti("a", -1, Some(TaskState::Running)), ti("b", -1, None)];
    let result = judge(&dag, &tis, &Loaded::default());
    assert_eq!(short(&result), ["a[-1] -> skipped", "b[-1] -> skipped"]);
    assert!(matches!(result.outcome, Outcome::Failed { reason: FailureReason::TimedOut, .. }));
}

#[test]
fn a_run_of_the_future_waits_for_its_date_or_runs_out_of_time() {
    let mut dag = plain(&[("a", &[])]);
    let tis = [ti("a", -1, None)];
    let date = at("2199-01-01T00:00:00Z");
    let future = || RunFacts { logical_date: Some(date), ..run() };
    let waits = judge_run(&dag, future(), &tis);
    assert_eq!(waits.outcome, Outcome::StillRunning { next_look: Some(date) });
    dag.dagrun_timeout = Some(TimeDelta::days(20_000));
    let next_look = run().start_date.map(|start| start + TimeDelta::days(20_000));
    assert_eq!(judge_run(&dag, future(), &tis).outcome, Outcome::StillRunning { next_look });
    dag.dagrun_timeout = Some(TimeDelta::hours(1));
    assert_eq!(short(&judge_run(&dag, future(), &tis)), ["a[-1] -> skipped"]);
}

#[test]
fn an_instance_of_a_task_that_is_gone_is_removed_and_does_not_count() {
    let dag = plain(&[("a", &[])]);
    let tis = [ti("a", -1, Some(TaskState::Success)), ti("gone", -1, Some(TaskState::Failed))];
    let result = judge(&dag, &tis, &Loaded::default());
    assert_eq!(short(&result), ["gone[-1] -> removed"]);
    assert!(matches!(result.outcome, Outcome::Success { .. }));
}

#[test]
fn a_plain_dag_needs_nothing_loaded() {
    let dag = plain(&[("a", &["b"]), ("b", &[])]);
    assert!(needs(&dag, &run(), &[ti("a", -1, None), ti("b", -1, None)]).is_empty());
}

#[test]
fn a_task_outside_of_its_dates_gets_no_instance_except_in_a_backfill() {
    let late = json!({"start_date": 4_102_444_800.0});
    let dag = dag(&[("a", &[], json!({})), ("late", &[], late)]);
    let date = Some(at("2026-01-01T00:00:00Z"));
    assert_eq!(initial_task_instances(&dag, RunType::Scheduled, date).len(), 1);
    assert_eq!(initial_task_instances(&dag, RunType::Backfill, date).len(), 2);
    assert_eq!(initial_task_instances(&dag, RunType::Manual, None).len(), 2);
}

#[test]
fn weights_add_up_over_everything_downstream_once() {
    let dag = plain(&[("a", &["b", "c"]), ("b", &["d"]), ("c", &["d"]), ("d", &[])]);
    let weights: Vec<i32> = dag.tasks.iter().map(|task| task.priority_weight).collect();
    assert_eq!(weights, [4, 2, 2, 1]);
}

#[test]
fn a_changed_dag_removes_restores_and_adds_instances_of_a_queued_run() {
    let dag = plain(&[("back", &[]), ("kept", &[]), ("new", &[])]);
    let mut run = run();
    run.state = RunState::Queued;
    let tis = [
        ti("back", -1, Some(TaskState::Removed)),
        ti("gone", -1, None),
        ti("kept", -1, Some(TaskState::Success)),
    ];
    let result = integrity(&dag, &run, &tis, &Loaded::default());
    let examination =
        Examination { decisions: result.decisions, outcome: Outcome::StillRunning { next_look: None } };
    assert_eq!(short(&examination), ["back[-1] -> none", "gone[-1] -> removed"]);
    assert_eq!(result.new.iter().map(|new| new.task_id.as_str()).collect::<Vec<_>>(), ["new"]);
    run.state = RunState::Running;
    let result = integrity(&dag, &run, &tis[1..2], &Loaded::default());
    assert_eq!(result.decisions, [], "the scheduler's next look at a running run removes it");
}

#[test]
fn copies_of_a_literal_expansion_exist_from_the_beginning() {
    let input =
        json!({"type": "dict-of-lists", "value": {"__type": "dict", "__var": {"x": [1, 2], "y": [1, 2, 3]}}});
    let mapped = json!({"_is_mapped": true, "_expand_input_attr": "expand_input", "expand_input": input});
    let dag = dag(&[("m", &[], mapped)]);
    let new = initial_task_instances(&dag, RunType::Manual, None);
    assert_eq!(new.iter().map(|new| new.map_index.0).collect::<Vec<_>>(), [0, 1, 2, 3, 4, 5]);
    let tis = [ti("m", -1, None), ti("m", 5, None), ti("m", 6, Some(TaskState::Success))];
    let decisions = integrity(&dag, &run(), &tis, &Loaded::default()).decisions;
    let removed: Vec<i32> = decisions
        .iter()
        .map(|decision| match decision {
            Decision::Remove { ti, .. } => ti.map_index.0,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(removed, [-1, 6]);
}
