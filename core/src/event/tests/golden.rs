//! The table of AIFlow's event handler tests (0.3, `test_event_handler.py`), and what its real handler was seen to do;
//! where that was a fault, the corrected behaviour. `k = v` there is an event with key `k` and data `v` here.

use serde_json::json;

use super::*;

fn value(key: &str, value: &str) -> Value {
    json!({"event": {"key": key, "where": format!("data == '{value}'")}})
}

fn forgetful(key: &str, value: &str) -> Value {
    json!({"event": {"key": key, "where": format!("data == '{value}'"), "latest": true}})
}

fn both() -> Watcher {
    Watcher::new(json!({"all": [on("k1"), on("k2")]}))
}

#[test]
fn one_term_fires_on_its_event() {
    let mut one = Watcher::new(json!({"any": [value("k1", "v1")]}));
    assert_eq!(one.on_data(1, "k1", json!("v1")), Some(vec![1]));
}

#[test]
fn all_waits_for_every_term() {
    let mut two = Watcher::new(json!({"all": [value("k1", "v1"), value("k2", "v2")]}));
    assert_eq!(two.on_data(1, "k1", json!("v1")), None);
    assert_eq!(two.on_data(2, "k2", json!("v2")), Some(vec![1, 2]));
}

#[test]
fn rules_of_one_task_are_judged_independently() {
    let (mut first, mut second) = (Watcher::new(on("k1")), Watcher::new(on("k2")));
    assert_eq!((first.on(1, "k1"), second.on(1, "k1")), (Some(vec![1]), None));
}

#[test]
fn a_star_accepts_any_value_of_its_field_and_the_others_stay_exact() {
    let sent = |field: &str| {
        let mut event = event(1, "k", json!("v"));
        match field {
            "namespace" => event.namespace = "other".to_owned(),
            "type" => event.event_type = "other".to_owned(),
            "sender" => event.sender = Some("other".to_owned()),
            "source" => event.source = "other".to_owned(),
            _ => event.key = "other".to_owned(),
        }
        event
    };
    let exact = json!({"key": "k", "namespace": "default", "type": "test", "sender": "", "source": "tests"});
    for field in ["namespace", "type", "sender", "source", "key"] {
        let mut term = exact.clone();
        term[field] = json!("*");
        let mut starred = Watcher::new(json!({"event": term}));
        assert_eq!(fired(starred.sees(&sent(field))), Some(vec![1]), "{field}");
        for other in ["namespace", "type", "sender", "source", "key"] {
            if other != field {
                let mut starred = Watcher::new(json!({"event": term}));
                assert_eq!(starred.sees(&sent(other)), Verdict::Ignored, "{field}, {other}");
            }
        }
    }
}

#[test]
fn a_task_status_starts_and_stops() {
    let mut start = Watcher::new(json!({"task_state": {"task_id": "t", "states": ["running"]}}));
    let mut stop = Watcher::new(json!({"task_state": {"task_id": "t", "states": ["success", "failed"]}}));
    for watcher in [&mut start, &mut stop] {
        watcher.spec = watcher.spec.bound_to(&"d".into(), Some(&"r".into()), 1);
    }
    let states = ["running", "restarting", "success"];
    let says: Vec<_> = (1..)
        .zip(states)
        .map(|(position, state)| {
            let event = task_event(position, ("d", "r", "t"), state);
            (fired(start.sees(&event)).is_some(), fired(stop.sees(&event)).is_some())
        })
        .collect();
    assert_eq!(says, [(true, false), (false, false), (false, true)]);
}

#[test]
fn two_rules_fire_on_one_event_and_each_uses_up_its_own_memory() {
    let (mut any, mut all) = (Watcher::new(on("k1")), both());
    let mut says = |position, key| (any.on(position, key).is_some(), all.on(position, key).is_some());
    assert_eq!(says(1, "k2"), (false, false));
    assert_eq!(says(2, "k1"), (true, true));
    assert_eq!(says(3, "k2"), (false, false));
    assert_eq!(all.progress.fired(), 1);
}

#[test]
fn an_event_with_an_earlier_time_but_a_later_position_counts() {
    let mut once = Watcher::new(on("k1"));
    assert_eq!(once.on(1, "k1"), Some(vec![1]));
    let old = Event { time: at(-1000), ..event(2, "k1", Value::Null) };
    assert_eq!(fired(once.sees(&old)), Some(vec![2]));
}

#[test]
fn an_event_that_was_judged_is_not_judged_again() {
    let mut once = Watcher::new(value("k1", "v1"));
    assert_eq!(once.on_data(100, "k1", json!("v1")), Some(vec![100]));
    assert_eq!(once.on_data(100, "k1", json!("v1")), None);
    assert_eq!(once.on_data(101, "k1", json!("v1")), Some(vec![101]));
    assert_eq!(once.on_data(102, "k1", json!("vX")), None);
    assert_eq!(once.on_data(50, "k1", json!("v1")), None);
}

#[test]
fn after_a_firing_every_term_is_needed_anew() {
    let mut all = both();
    let says: Vec<_> = [(1, "k1"), (2, "k2"), (3, "k2"), (4, "k1"), (5, "k1")]
        .map(|(position, key)| all.on(position, key))
        .into();
    assert_eq!(says, [None, Some(vec![1, 2]), None, Some(vec![3, 4]), None]);
}

#[test]
fn a_declined_event_leaves_the_match_before_it() {
    let mut all = Watcher::new(json!({"all": [value("k1", "v1"), value("k2", "v2")]}));
    assert_eq!(all.on_data(1, "k1", json!("v1")), None);
    assert_eq!(all.on_data(2, "k1", json!("other")), None);
    assert_eq!(all.on_data(3, "k2", json!("v2")), Some(vec![1, 3]));
}

#[test]
fn a_declined_event_wipes_the_match_before_it_when_only_the_latest_counts() {
    let mut all = Watcher::new(json!({"all": [forgetful("k1", "v1"), forgetful("k2", "v2")]}));
    assert_eq!(all.on_data(1, "k1", json!("v1")), None);
    assert_eq!(all.on_data(2, "k1", json!("other")), None);
    assert_eq!(all.on_data(3, "k2", json!("v2")), None);
    assert_eq!(all.on_data(4, "k1", json!("v1")), Some(vec![3, 4]));
}

#[test]
fn events_of_the_same_millisecond_are_all_counted() {
    let mut all = both();
    let mut says = |position, key| {
        fired(all.sees(&Event { time: at(10), ..event(position, key, Value::Null) })).is_some()
    };
    assert_eq!([says(1, "k1"), says(2, "k2"), says(3, "k1"), says(4, "k2")], [false, true, false, true]);
}

#[test]
fn repeated_terms_stay_but_only_an_expected_event_fires_again() {
    let mut all = Watcher::new(json!({"all": [repeated("k1"), repeated("k2")]}));
    assert_eq!(all.on(1, "k1"), None);
    assert_eq!(all.on(2, "k2"), Some(vec![1, 2]));
    assert_eq!(all.on(3, "k2"), Some(vec![1, 3]));
    assert_eq!(all.sees(&event(4, "zz", Value::Null)), Verdict::Ignored);
}

#[test]
fn meet_all_does_not_fire_again_before_both_came_again() {
    let mut all = Watcher::new(json!({"all": [on("x"), on("y")]}));
    let keys = ["x", "x", "y", "x", "x", "y"];
    let fires: Vec<_> = (1..).zip(keys).filter_map(|(position, key)| all.on(position, key)).collect();
    assert_eq!(fires, [vec![2, 3], vec![5, 6]]);
}

#[test]
fn a_stateful_condition_fires_on_every_second_event() {
    let mut second = Watcher::new(json!({"count": {"of": on("k"), "n": 2}}));
    let fires: Vec<_> = (1..=6).filter_map(|position| second.on(position, "k")).collect();
    assert_eq!(fires, [[1, 2], [3, 4], [5, 6]]);
}

#[test]
fn a_join_fires_once_for_each_pair_of_completions() {
    let done = |task: &str| json!({"task_state": {"task_id": task, "states": ["success"]}});
    let mut join = Watcher::new(json!({"all": [done("a"), done("b")]}));
    join.spec = join.spec.bound_to(&"d".into(), Some(&"r".into()), 1);
    let mut says = |position, task, state| fired(join.sees(&task_event(position, ("d", "r", task), state)));
    assert_eq!(says(1, "a", "success"), None);
    assert_eq!(says(2, "b", "running"), None);
    assert_eq!(says(3, "b", "success"), Some(vec![1, 3]));
    assert_eq!(says(4, "a", "running"), None);
    assert_eq!(says(5, "a", "success"), None);
    assert_eq!(says(6, "b", "success"), Some(vec![5, 6]));
}

#[test]
fn odd_json_in_an_event_is_no_obstacle() {
    let mut one =
        Watcher::new(json!({"all": [on("k"), json!({"event": {"key": "j", "where": "data == null"}})]}));
    for (position, data) in (1..).zip([json!(1), json!("1"), json!(null), json!([1]), json!(true)]) {
        assert_eq!(one.on_data(position, "k", data), None);
    }
    assert_eq!(one.on_data(9, "j", json!(null)), Some(vec![5, 9]));
}

#[test]
fn every_condition_in_any_sees_every_event() {
    let mut any = Watcher::new(json!({"any": [on("a"), {"count": {"of": on("*"), "n": 2}}]}));
    assert_eq!(any.on(1, "a"), Some(vec![1]));
    assert_eq!(any.on(2, "b"), Some(vec![1, 2]), "the count saw the first one, too");
}
