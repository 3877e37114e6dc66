//! Conditions that time fulfils.

use serde_json::json;

use super::*;
use crate::event::DueTick;

fn silence(key: &str, seconds: i64) -> Value {
    json!({"none": {"of": on(key), "seconds": seconds}})
}

#[test]
fn an_absence_fires_once_for_each_silence() {
    let mut watcher = Watcher::new(silence("heartbeat", 600));
    assert!(watcher.spec.watches_time());
    assert_eq!(watcher.passes(0), None);
    assert_eq!(watcher.progress.wake_at(), Some(at(600)));
    assert_eq!(watcher.on(500, "heartbeat"), None);
    assert_eq!(watcher.passes(600), None);
    assert_eq!(watcher.passes(1100), Some(vec![]));
    assert_eq!(watcher.progress.wake_at(), None);
    assert_eq!(watcher.passes(5000), None);
    assert_eq!(watcher.on(6000, "heartbeat"), None);
    assert_eq!(watcher.passes(6600), Some(vec![]));
}

#[test]
fn silence_from_the_start_is_noticed() {
    let mut watcher = Watcher::new(silence("heartbeat", 60));
    assert_eq!(watcher.passes(0), None);
    assert_eq!(watcher.passes(60), Some(vec![]));
}

#[test]
fn events_that_were_read_late_do_not_raise_an_alarm() {
    let mut watcher = Watcher::new(silence("heartbeat", 60));
    assert_eq!(watcher.passes(0), None);
    let late = event(50, "heartbeat", json!(null));
    assert_eq!(fired(watcher.step(Input::Event(&late), at(500)).verdict), None);
    assert_eq!(watcher.progress.wake_at(), Some(at(560)));
}

#[test]
fn a_silence_that_nobody_watched_is_told_when_it_ends() {
    let mut watcher = Watcher::new(silence("heartbeat", 60));
    assert_eq!(watcher.passes(0), None);
    assert_eq!(watcher.on(500, "heartbeat"), Some(vec![]));
    assert_eq!(watcher.on(510, "heartbeat"), None);
}

#[test]
fn an_event_during_silence_and_not_otherwise() {
    let mut watcher = Watcher::new(json!({"all": [on("x"), silence("heartbeat", 60)]}));
    assert_eq!(watcher.passes(0), None);
    assert_eq!(watcher.on(10, "heartbeat"), None);
    assert_eq!(watcher.passes(70), None);
    assert_eq!(watcher.on(80, "x"), Some(vec![80]));
    assert_eq!(watcher.on(81, "x"), Some(vec![81]));
    assert_eq!(watcher.on(90, "heartbeat"), None);
    assert_eq!(watcher.on(91, "x"), None);
}

#[test]
fn a_reply_that_does_not_come_in_time() {
    let mut watcher = Watcher::new(json!({"sequence": [on("asked"), silence("answered", 60)]}));
    assert_eq!(watcher.passes(0), None);
    assert_eq!(watcher.progress.wake_at(), None, "nothing was asked yet");
    assert_eq!(watcher.on(10, "asked"), None);
    assert_eq!(watcher.on(50, "answered"), None);
    assert_eq!(watcher.passes(100), None);
    assert_eq!(watcher.on(200, "asked"), None);
    assert_eq!(watcher.progress.wake_at(), Some(at(260)));
    assert_eq!(watcher.passes(260), Some(vec![200]));
    assert_eq!(watcher.passes(400), None);
}

#[test]
fn a_step_may_come_after_a_silence() {
    let mut watcher = Watcher::new(json!({"sequence": [on("a"), silence("b", 60), on("c")]}));
    assert_eq!(watcher.on(1, "a"), None);
    assert_eq!(watcher.on(20, "c"), None);
    assert_eq!(watcher.passes(61), None);
    assert_eq!(watcher.on(70, "c"), Some(vec![1, 70]));
}

#[test]
fn a_burst_is_one_firing_when_it_is_over() {
    let mut watcher = Watcher::new(json!({"debounce": {"of": on("saved"), "seconds": 5}}));
    for second in [1, 3, 6] {
        assert_eq!(watcher.on(second, "saved"), None);
    }
    assert_eq!(watcher.progress.wake_at(), Some(at(11)));
    assert_eq!(watcher.passes(10), None);
    assert_eq!(watcher.passes(11), Some(vec![1, 3, 6]));
    assert_eq!(watcher.passes(30), None);
}

#[test]
fn a_burst_that_ended_unseen_fires_with_the_event_that_begins_the_next() {
    let mut watcher = Watcher::new(json!({"debounce": {"of": on("saved"), "seconds": 5}}));
    assert_eq!(watcher.on(1, "saved"), None);
    assert_eq!(watcher.on(50, "saved"), Some(vec![1]));
    assert_eq!(watcher.passes(55), Some(vec![50]));
}

fn tick_event(position: i64, trigger: &str, tick: &DueTick) -> Event {
    Event {
        namespace: "airflow".to_owned(),
        key: trigger.to_owned(),
        event_type: "airflow.tick".to_owned(),
        time: tick.at,
        ..event(position, "", json!({"term": tick.term}))
    }
}

#[test]
fn ticks_go_through_the_log_and_missed_ones_become_one() {
    let mut watcher = Watcher::new(json!({"tick": {"interval": 60}}));
    watcher.spec = watcher.spec.bound_to(&"d".into(), None, 7);
    assert!(watcher.spec.watches_time());
    let begin = watcher.step(Input::Time, at(5));
    assert_eq!((begin.ticks.len(), begin.wake_at), (0, Some(at(65))));
    let due = watcher.step(Input::Time, at(65));
    assert_eq!(due.ticks, [DueTick { term: 0, at: at(65) }]);
    assert_eq!(due.verdict, Verdict::Ignored);
    assert_eq!(fired(watcher.sees(&tick_event(1, "7", &due.ticks[0]))), Some(vec![1]));
    assert_eq!(watcher.sees(&tick_event(2, "8", &due.ticks[0])), Verdict::Ignored, "another trigger's");
    let late = watcher.step(Input::Time, at(65 + 190));
    assert_eq!(late.ticks, [DueTick { term: 0, at: at(65 + 180) }]);
    assert_eq!(late.wake_at, Some(at(65 + 240)));
}

#[test]
fn a_cron_tick_keeps_to_the_clocks_of_its_zone() {
    let mut watcher = Watcher::new(json!({"tick": {"cron": "0 9 * * *", "timezone": "Europe/Zurich"}}));
    let begin = "2026-07-01T00:00:00Z".parse().expect("a time");
    let step = watcher.step(Input::Time, begin);
    assert_eq!(step.wake_at.map(|at| at.to_rfc3339()), Some("2026-07-01T07:00:00+00:00".to_owned()));
    let step = watcher.step(Input::Time, "2026-07-04T12:00:00Z".parse().expect("a time"));
    assert_eq!(step.ticks.len(), 1);
    assert_eq!(step.ticks[0].at.to_rfc3339(), "2026-07-04T07:00:00+00:00");
}

#[test]
fn a_tick_is_combined_with_events_as_any_term() {
    let mut watcher = Watcher::new(json!({"all": [on("data"), {"tick": {"interval": 60}}]}));
    watcher.spec = watcher.spec.bound_to(&"d".into(), None, 7);
    watcher.step(Input::Time, at(0));
    assert_eq!(watcher.on(1, "data"), None);
    let due = watcher.step(Input::Time, at(60)).ticks;
    assert_eq!(fired(watcher.sees(&tick_event(2, "7", &due[0]))), Some(vec![1, 2]));
}
