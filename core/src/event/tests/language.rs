//! Terms and combinations one by one.

use serde_json::json;

use super::*;
use crate::event::{Action, EvalError, Mark, Mode, Pattern, Reach, WhenRunning, WhileActive};

#[test]
fn a_glob_accepts_texts_with_its_prefix() {
    let mut glob = Watcher::new(on("model.*"));
    assert_eq!(glob.on(1, "model.published"), Some(vec![1]));
    assert_eq!(glob.on(2, "mode"), None);
}

#[test]
fn a_filter_sees_the_whole_event() {
    let filters = [
        "data.score > 0.8 && key == 'drift'",
        "type == 'test' && event.namespace == 'default' && event.data == data && source == 'tests' && id == '1'",
        "sender == null && size(extensions) == 0",
        "time > timestamp('2020-01-01T00:00:00Z')",
        "data.tags.exists(t, t == 'b') && has(data.score) && !has(data.nothing)",
        "data.whole == 1 && data.whole > 0.5 && data.name.startsWith('x')",
    ];
    for filter in filters {
        let mut watcher = Watcher::new(json!({"event": {"key": "drift", "where": filter}}));
        let data = json!({"score": 0.9, "tags": ["a", "b"], "whole": 1, "name": "xy"});
        assert_eq!(watcher.on_data(1, "drift", data), Some(vec![1]), "{filter}");
    }
}

#[test]
fn a_filter_may_go_through_a_large_event_and_through_lists_in_lists() {
    for filter in [
        "data.numbers.exists(n, n == 39999) && data.numbers.filter(n, n < 3).size() == 3",
        "data.rows.all(row, row.exists(cell, cell == 7) && row.map(cell, cell * 2).size() == 10)",
        "{'a': [1, 2]}.all(name, name == 'a') && data.numbers[{'x': 3}.x] == 3",
    ] {
        let mut watcher = Watcher::new(json!({"event": {"key": "k", "where": filter}}));
        let rows: Vec<Vec<i32>> = vec![(0..10).collect(); 2000];
        let data = json!({"numbers": (0..40_000).collect::<Vec<i32>>(), "rows": rows});
        assert_eq!(watcher.on_data(1, "k", data), Some(vec![1]), "{filter}");
    }
}

#[test]
fn a_filter_that_multiplies_its_loops_fails_instead_of_holding_up_everything() {
    for filter in [
        "data.all(x, data.all(y, x + y >= 0))",
        "data.exists(x, data.exists(y, data.exists(z, x + y + z < 0)))",
        // An error in one item of `all` is made good by another that is false; the work is done all the same.
        "!data.all(x, x == 2499 ? false : data.map(y, y + 1).size() > 0)",
    ] {
        let spec = spec(json!({"event": {"key": "k", "where": filter}}));
        let many = event(1, "k", json!((0..2500).collect::<Vec<i32>>()));
        let error = step(&spec, &mut Progress::default(), Input::Event(&many), at(1)).expect_err(filter);
        assert!(error.to_string().contains("more than 100000 list items"), "{error}");
        let few = event(2, "k", json!([1, 2]));
        step(&spec, &mut Progress::default(), Input::Event(&few), at(1)).expect(filter);
    }
}

/// Threads of tests have a quarter of the stack of a process's first thread, and frames here are not optimised.
fn on_the_stack_of_a_process(test: fn()) {
    let thread = std::thread::Builder::new().stack_size(8 << 20).spawn(test);
    thread.expect("a thread").join().expect("the test passes");
}

#[test]
fn a_filter_that_makes_or_compares_too_much_fails_soon() {
    on_the_stack_of_a_process(|| {
        let grown = |start: &str, step: &str| format!("[{start}]{}", format!(".map(x, {step})").repeat(9));
        let eight = "[x, x, x, x, x, x, x, x]";
        let filters = [
            format!("{}.size() > 0", grown("'0123456789abcdef'", "x + x + x + x + x + x + x + x")),
            format!("{0} == {0}", grown("0", eight)),
            format!(
                "{}.all(x, x == x)",
                grown("0", "{'a': x, 'b': x, 'c': x, 'd': x, 'e': x, 'f': x, 'g': x}")
            ),
            grown("0", eight),
            "data.all(x, data.all(y, data == data))".to_owned(),
            format!("size({}) > 0", vec!["key"; 60].join(" + ")),
        ];
        for filter in filters {
            let spec = spec(json!({"event": {"key": "*", "where": filter}}));
            let many =
                event(1, &"k".repeat(1_000_000), json!((0..300).map(|n| n.to_string()).collect::<Vec<_>>()));
            let started = std::time::Instant::now();
            let error = step(&spec, &mut Progress::default(), Input::Event(&many), at(1)).expect_err(&filter);
            assert!(
                error.to_string().contains("what it makes and compares is too large"),
                "{filter}: {error}"
            );
            assert!(error.to_string().len() < 10_000, "{}", error.to_string().len());
            assert!(started.elapsed().as_secs() < 30, "{filter} takes {:?}", started.elapsed());
        }
    });
}

#[test]
fn a_filter_that_would_overflow_the_stack_is_refused_when_it_is_read() {
    on_the_stack_of_a_process(|| {
        let nested = |levels: usize| format!("[1]{} == [1]", ".map(x, x)".repeat(levels));
        for filter in [nested(30), format!("data{} == 1", ".a".repeat(1000)), vec!["1"; 1000].join("+")] {
            let told = problem(json!({"event": {"key": "k", "where": filter}}));
            assert!(told.contains("more than 64 levels"), "{told}");
        }
        let told = problem(json!({"event": {"key": "k", "where": "a.".repeat(500_000)}}));
        assert!(told.contains("longer than 4096 bytes") && told.len() < 500, "{told}");
        for filter in [nested(11), format!("{} == 60", vec!["1"; 60].join(" + "))] {
            let mut watcher = Watcher::new(json!({"event": {"key": "k", "where": filter}}));
            assert_eq!(watcher.on_data(1, "k", json!(null)), Some(vec![1]), "{filter}");
        }
    });
}

#[test]
fn a_filter_that_fails_is_an_error_and_changes_nothing() {
    let spec = spec(json!({"all": [{"event": {"key": "k", "where": "data.score > 1"}}, on("*")]}));
    let mut progress = Progress::default();
    let bad = event(1, "k", json!({"other": 1}));
    let error = step(&spec, &mut progress, Input::Event(&bad), at(1)).expect_err("no such key");
    assert!(matches!(error, EvalError::Filter { .. }), "{error}");
    assert_eq!(progress, Progress::default());
}

#[test]
fn a_filter_must_be_true_or_false() {
    let spec = spec(json!({"event": {"key": "k", "where": "data"}}));
    let error = step(&spec, &mut Progress::default(), Input::Event(&event(1, "k", json!(3))), at(1));
    assert!(matches!(error, Err(EvalError::NotBoolean { .. })));
}

#[test]
fn a_filter_with_an_unknown_name_or_wrong_syntax_is_refused_when_it_is_read() {
    let filter = |text: &str| problem(json!({"event": {"key": "k", "where": text}}));
    assert!(filter("score > 0.8").contains("`score`"), "{}", filter("score > 0.8"));
    assert!(filter("data.score >").contains("no CEL expression"));
}

#[test]
fn a_sequence_needs_its_order() {
    let mut sequence = Watcher::new(json!({"sequence": [on("a"), on("b"), on("c")]}));
    let says: Vec<_> =
        (1..).zip(["b", "a", "c", "b", "c", "c"]).map(|(position, key)| sequence.on(position, key)).collect();
    assert_eq!(says, [None, None, None, None, Some(vec![2, 4, 5]), None]);
}

#[test]
fn a_sequence_takes_the_latest_start_that_fits() {
    let mut sequence = Watcher::new(json!({"sequence": [on("a"), on("b"), on("c")]}));
    let keys = ["a", "b", "a", "c", "b", "c"];
    let fires: Vec<_> = (1..).zip(keys).filter_map(|(position, key)| sequence.on(position, key)).collect();
    assert_eq!(fires, [vec![1, 2, 4], vec![3, 5, 6]], "the second `a` waits for a `b` of its own");
}

#[test]
fn an_event_counts_for_one_step_of_a_sequence() {
    let mut twice = Watcher::new(json!({"sequence": [on("a"), on("a")]}));
    let fires: Vec<_> = (1..=4).filter_map(|position| twice.on(position, "a")).collect();
    assert_eq!(fires, [[1, 2], [3, 4]]);
    let mut counts = Watcher::new(
        json!({"sequence": [{"count": {"of": on("a"), "n": 2}}, {"count": {"of": on("a"), "n": 2}}]}),
    );
    let fires: Vec<_> = (1..=8).filter_map(|position| counts.on(position, "a")).collect();
    assert_eq!(fires, [[1, 2, 3, 4], [5, 6, 7, 8]]);
}

#[test]
fn a_step_that_has_begun_keeps_what_it_follows() {
    let mut sequence = Watcher::new(json!({"sequence": [on("a"), {"count": {"of": on("b"), "n": 2}}]}));
    let keys = ["a", "b", "a", "b", "b", "b"];
    let fires: Vec<_> = (1..).zip(keys).filter_map(|(position, key)| sequence.on(position, key)).collect();
    assert_eq!(fires, [vec![1, 2, 4], vec![3, 5, 6]]);
}

#[test]
fn a_window_forgets_what_is_too_old() {
    let mut within = Watcher::new(json!({"within": {"of": {"all": [on("a"), on("b")]}, "seconds": 60}}));
    assert_eq!(within.on(1, "a"), None);
    assert_eq!(within.on(90, "b"), None);
    assert_eq!(within.on(100, "a"), Some(vec![90, 100]));
}

#[test]
fn a_count_in_a_window_slides() {
    let condition = json!({"within": {"of": {"count": {"of": on("s"), "n": 3}}, "seconds": 10}});
    let mut within = Watcher::new(condition);
    let fires: Vec<_> =
        [1, 9, 14, 18, 19, 20, 21].iter().filter_map(|second| within.on(*second, "s")).collect();
    assert_eq!(fires, [[9, 14, 18], [19, 20, 21]]);
}

#[test]
fn a_window_over_a_sequence_lets_a_later_start_in() {
    let mut within = Watcher::new(json!({"within": {"of": {"sequence": [on("a"), on("b")]}, "seconds": 60}}));
    assert_eq!(within.on(1, "a"), None);
    assert_eq!(within.on(50, "a"), None);
    assert_eq!(within.on(70, "b"), Some(vec![50, 70]));
    assert_eq!(within.on(80, "a"), None);
    assert_eq!(within.on(150, "b"), None);
}

#[test]
fn a_count_of_different_values_needs_each_shard_once() {
    let condition = json!({"by": {"field": "data.version", "of":
        {"count": {"of": on("shard.done"), "n": 3, "distinct": "data.shard"}}}});
    let spec = spec(condition);
    let mut progresses = std::collections::BTreeMap::<String, Progress>::new();
    let mut fires = Vec::new();
    let sent = [("v1", 1), ("v2", 1), ("v1", 2), ("v1", 2), ("v2", 3), ("v1", 3), ("v2", 2), ("v2", 2)];
    for (position, (version, shard)) in (1..).zip(sent) {
        let event = event(position, "shard.done", json!({"version": version, "shard": shard}));
        let key = spec.correlation(&event).expect("a version");
        let progress = progresses.entry(key.clone()).or_default();
        let step = step(&spec, progress, Input::Event(&event), event.time).expect("a judgement");
        fires.extend(fired(step.verdict).map(|events| (key, events)));
    }
    assert_eq!(fires, [("v1".to_owned(), vec![1, 4, 6]), ("v2".to_owned(), vec![2, 5, 7])]);
}

#[test]
fn a_sum_fires_when_it_reaches_its_amount_and_begins_anew() {
    let mut sum = Watcher::new(json!({"sum": {"of": on("num"), "field": "data.value", "at_least": 100}}));
    let fires: Vec<_> = (1..)
        .zip([60, 30, 10, 99, 1, 5])
        .filter_map(|(position, value)| sum.on_data(position, "num", json!({"value": value})))
        .collect();
    assert_eq!(fires, [vec![1, 2, 3], vec![4, 5]]);
}

#[test]
fn a_repeated_sum_goes_on_firing_beyond_its_amount() {
    let mut sum = Watcher::new(json!({"sum": {"of": repeated("num"), "field": "data", "at_least": 10}}));
    let fires = (1..=5).filter(|position| sum.on_data(*position, "num", json!(5)).is_some()).count();
    assert_eq!(fires, 4);
}

#[test]
fn a_sum_over_no_number_is_an_error() {
    let spec = spec(json!({"sum": {"of": on("num"), "field": "data.value", "at_least": 1}}));
    let error = step(&spec, &mut Progress::default(), Input::Event(&event(1, "num", json!({}))), at(1));
    assert_eq!(error, Err(EvalError::NoValue { field: "data.value".to_owned() }));
}

#[test]
fn a_limit_ends_a_trigger_for_good() {
    let once = json!({"version": 1, "on": on("k"), "do": {"run": {}}, "at_most": 1});
    let mut watcher = Watcher::new(on("k"));
    watcher.spec = TriggerSpec::from_json(&once).expect("a trigger");
    assert_eq!(watcher.on(1, "k"), Some(vec![1]));
    assert!(matches!(watcher.sees(&event(2, "k", json!(null))), Verdict::NotMatched(_)));
    assert_eq!(watcher.sees(&event(3, "other", json!(null))), Verdict::Ignored);
}

#[test]
fn an_event_without_the_field_belongs_to_no_key() {
    let mut by = Watcher::new(json!({"by": {"of": on("k"), "field": "data.shard"}}));
    let lacking = event(1, "k", json!({}));
    assert_eq!(by.spec.correlation(&lacking), None);
    assert!(matches!(by.sees(&lacking), Verdict::NotMatched(_)));
    let having = event(2, "k", json!({"shard": 7}));
    assert_eq!(by.spec.correlation(&having), Some("7".to_owned()));
    assert_eq!(fired(by.sees(&having)), Some(vec![2]));
}

#[test]
fn terms_can_be_joined_by_different_fields() {
    let by = |key: &str, field: &str| json!({"by": {"of": on(key), "field": field}});
    let joined = spec(json!({"all": [by("order", "data.id"), by("payment", "data.order_id")]}));
    assert_eq!(joined.correlation(&event(1, "order", json!({"id": "o1"}))), Some("o1".to_owned()));
    assert_eq!(joined.correlation(&event(2, "payment", json!({"order_id": "o1"}))), Some("o1".to_owned()));
    let half = problem(json!({"all": [by("order", "data.id"), on("payment")]}));
    assert!(half.contains("event `payment` is not"), "{half}");
}

#[test]
fn a_trigger_on_a_task_sees_events_of_its_run_and_of_no_run() {
    let mut watcher = Watcher::new(on("k"));
    watcher.spec = watcher.spec.bound_to(&"d".into(), Some(&"r1".into()), 7);
    let scope = |run: &str| Scope::Run { dag_id: "d".into(), run_id: run.into() };
    let mut says =
        |position, scope| fired(watcher.sees(&Event { scope, ..event(position, "k", json!(null)) }));
    assert_eq!(says(1, scope("r2")), None);
    assert_eq!(says(2, scope("r1")), Some(vec![2]));
    assert_eq!(says(3, Scope::All), Some(vec![3]));
}

#[test]
fn a_trigger_on_a_dag_sees_the_events_of_all_runs() {
    let mut watcher = Watcher::new(on("k"));
    watcher.spec = watcher.spec.bound_to(&"d".into(), None, 7);
    let scope = Scope::Run { dag_id: "other".into(), run_id: "r".into() };
    assert_eq!(fired(watcher.sees(&Event { scope, ..event(1, "k", json!(null)) })), Some(vec![1]));
}

#[test]
fn a_task_of_another_dag_is_seen_in_all_of_its_runs() {
    let other = json!({"task_state": {"dag_id": "other", "task_id": "g.t", "states": ["success"]}});
    let mut watcher = Watcher::new(other);
    watcher.spec = watcher.spec.bound_to(&"d".into(), Some(&"r".into()), 7);
    assert_eq!(watcher.spec.interests()[0].reach, Reach::AnyRun);
    assert_eq!(watcher.spec.interests()[0].key, Pattern::exact("other.g.t"));
    assert_eq!(fired(watcher.sees(&task_event(1, ("other", "x", "g.t"), "success"))), Some(vec![1]));
    assert_eq!(watcher.sees(&task_event(2, ("d", "r", "g.t"), "success")), Verdict::Ignored);
}

#[test]
fn one_copy_of_a_mapped_task_can_be_meant() {
    let third = json!({"task_state": {"task_id": "t", "states": ["failed"], "map_index": 2}});
    let mut watcher = Watcher::new(third);
    watcher.spec = watcher.spec.bound_to(&"d".into(), Some(&"r".into()), 7);
    let mut copy = task_event(1, ("d", "r", "t"), "failed");
    copy.data["map_index"] = json!(1);
    assert_eq!(watcher.sees(&copy), Verdict::Ignored);
    copy.position = Position(2);
    copy.data["map_index"] = json!(2);
    assert_eq!(fired(watcher.sees(&copy)), Some(vec![2]));
}

#[test]
fn the_state_of_the_own_run_is_not_that_of_others() {
    let mut watcher = Watcher::new(json!({"run_state": {"states": ["failed"]}}));
    watcher.spec = watcher.spec.bound_to(&"d".into(), Some(&"r".into()), 7);
    let mut says = |position, run: &str| {
        fired(watcher.sees(&Event {
            namespace: "airflow".to_owned(),
            event_type: "airflow.dag_run.failed".to_owned(),
            ..event(position, "d", json!({"dag_id": "d", "run_id": run}))
        }))
    };
    assert_eq!(says(1, "other"), None);
    assert_eq!(says(2, "r"), Some(vec![2]));
}

#[test]
fn an_update_of_an_asset_is_a_term() {
    let mut watcher = Watcher::new(json!({"asset": {"uri": "s3://bucket/*"}}));
    let update = |position, uri: &str| Event {
        namespace: "airflow".to_owned(),
        event_type: "airflow.asset.updated".to_owned(),
        ..event(position, uri, json!({}))
    };
    assert_eq!(fired(watcher.sees(&update(1, "s3://bucket/x"))), Some(vec![1]));
    assert_eq!(fired(watcher.sees(&update(2, "s3://other/x"))), None);
}

#[test]
fn actions_are_read_with_their_defaults() {
    let action = |value: Value| {
        TriggerSpec::from_json(&json!({"version": 1, "on": on("k"), "do": value})).map(|spec| spec.action)
    };
    let start = Action::Start { mode: Mode::Gate, when_running: WhenRunning::Ignore };
    assert_eq!(action(json!({"start": {}})), Ok(start));
    let queue = Action::Start { mode: Mode::EventOnly, when_running: WhenRunning::Queue };
    assert_eq!(action(json!({"start": {"mode": "event_only", "when_running": "queue"}})), Ok(queue));
    assert_eq!(action(json!({"stop_runs": {}})), Ok(Action::StopRuns { mark: Mark::Failed }));
    let Ok(Action::NewRun(run)) = action(json!({"run": {"while_active": "queue", "lane": "data.key"}}))
    else {
        panic!("a run")
    };
    assert_eq!(
        (run.while_active, run.lane.map(|lane| lane.to_string())),
        (WhileActive::Queue, Some("data.key".into()))
    );
    assert!(action(json!({"start": {"mode": "sometimes"}})).is_err());
    assert_eq!(action(json!({"stop_run": {"mark": "success"}})), Ok(Action::StopRun { mark: Mark::Success }));
    assert!(action(json!({"stop_runs": {"mark": "skipped"}})).is_err());
    assert!(action(json!({"start": {}, "stop": {}})).is_err());
}

#[test]
fn what_is_wrong_is_named_with_its_place() {
    let cases = [
        (json!({"all": []}), "on.all"),
        (json!({"all": [{"evnt": {}}]}), "on.all[0]"),
        (json!({"event": {"kye": "x"}}), "`kye`"),
        (json!({"count": {"of": on("k"), "n": 0}}), "on.count.n"),
        (json!({"within": {"of": on("k"), "seconds": -1}}), "on.within.seconds"),
        (json!({"task_state": {"task_id": "t", "states": ["done"]}}), "\"done\" is no state"),
        (
            json!({"task_state": {"task_id": "t", "states": ["success", "queued"]}}),
            "`queued` is often over before it is seen; wait for `running`",
        ),
        (json!({"task_state": {"task_id": "t", "states": ["scheduled"]}}), "`scheduled` is often over"),
        (json!({"tick": {"cron": "every day"}}), "on.tick.cron"),
        (json!({"tick": {}}), "on.tick"),
        (json!({"by": {"of": on("k"), "field": "shard"}}), "`shard` is no field"),
        (json!({"sum": {"of": {"all": [on("a"), on("b")]}, "field": "data", "at_least": 1}}), "on.sum.of"),
    ];
    for (on, names) in cases {
        let told = problem(on);
        assert!(told.contains(names), "{told}");
    }
}

#[test]
fn a_trigger_tells_what_it_waits_for() {
    let mut watcher = Watcher::new(json!({"all": [on("a"), {"count": {"of": on("b"), "n": 3}}]}));
    assert_eq!(watcher.spec.describe(), "event `a` and 3 × event `b`");
    let told = watcher.sees(&event(1, "b", json!(null)));
    assert_eq!(told, Verdict::Matched("event `b`; waits for event `a` and 2 × event `b`".to_owned()));
}
