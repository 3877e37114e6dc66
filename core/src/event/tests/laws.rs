//! Laws that hold for every condition and every stream of events.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use serde_json::json;

use super::*;

const KEYS: [&str; 4] = ["a", "b", "c", "d"];

fn term() -> impl Strategy<Value = Value> {
    (0..KEYS.len(), any::<bool>(), 0..3).prop_map(|(key, latest, filter)| {
        let mut term = json!({"key": KEYS[key], "latest": latest});
        if filter == 0 {
            term["where"] = json!("data > 3");
        }
        json!({"event": term})
    })
}

/// Conditions without repeated terms and without anything that time fulfils.
fn condition() -> impl Strategy<Value = Value> {
    term().prop_recursive(4, 16, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 1..4).prop_map(|of| json!({"any": of})),
            prop::collection::vec(inner.clone(), 1..4).prop_map(|of| json!({"all": of})),
            prop::collection::vec(inner.clone(), 1..4).prop_map(|of| json!({"sequence": of})),
            (inner.clone(), 1..4).prop_map(|(of, n)| json!({"count": {"of": of, "n": n}})),
            (term(), 1..20).prop_map(|(of, n)| json!({"sum": {"of": of, "field": "data", "at_least": n}})),
            (inner, 1..30).prop_map(|(of, seconds)| json!({"within": {"of": of, "seconds": seconds}})),
        ]
    })
}

fn stream(length: usize) -> impl Strategy<Value = Vec<(usize, u8)>> {
    prop::collection::vec((0..KEYS.len() + 1, 0..6_u8), 0..length)
}

fn events(stream: &[(usize, u8)]) -> Vec<Event> {
    let key = |index: usize| KEYS.get(index).copied().unwrap_or("nobody's");
    (1..).zip(stream).map(|(position, (index, data))| event(position, key(*index), json!(data))).collect()
}

fn verdicts(watcher: &mut Watcher, events: &[Event]) -> Vec<Verdict> {
    events.iter().map(|event| watcher.sees(event)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn reading_the_memory_back_in_the_middle_changes_nothing(on in condition(), stream in stream(60), cut in 0..60_usize) {
        let events = events(&stream);
        let mut whole = Watcher::new(on.clone());
        let expected = verdicts(&mut whole, &events);
        let (first, rest) = events.split_at(cut.min(events.len()));
        let mut begun = Watcher::new(on.clone());
        let mut said = verdicts(&mut begun, first);
        let text = serde_json::to_string(&begun.progress).expect("JSON");
        let mut continued = Watcher::new(on);
        continued.progress = serde_json::from_str(&text).expect("a progress");
        // What was judged before comes again, as after a crash.
        prop_assert!(verdicts(&mut continued, first).iter().all(|verdict| *verdict == Verdict::Ignored));
        said.extend(verdicts(&mut continued, rest));
        prop_assert_eq!(said, expected);
        prop_assert_eq!(continued.progress, whole.progress);
    }

    #[test]
    fn only_an_expected_event_fires_and_takes_part(on in condition(), stream in stream(60)) {
        let mut watcher = Watcher::new(on);
        for event in events(&stream) {
            let expected = watcher.spec.expecting(&event).next().is_some();
            match watcher.sees(&event) {
                Verdict::Fired { events, .. } => {
                    prop_assert!(expected);
                    prop_assert_eq!(events.last(), Some(&event.position));
                }
                verdict => prop_assert_eq!(expected, verdict != Verdict::Ignored),
            }
        }
    }

    #[test]
    fn events_nobody_expects_can_be_left_out(on in condition(), stream in stream(60)) {
        let all = events(&stream);
        let mine: Vec<Event> = all.iter().filter(|event| event.key != "nobody's").cloned().collect();
        let firings = |events: &[Event]| -> Vec<Vec<i64>> {
            let mut watcher = Watcher::new(on.clone());
            verdicts(&mut watcher, events).into_iter().filter_map(fired).collect()
        };
        prop_assert_eq!(firings(&all), firings(&mine));
    }

    #[test]
    fn terms_that_share_no_event_use_each_event_once(stream in stream(80), n in 1..4) {
        let on = json!({"all": [
            {"count": {"of": on("a"), "n": n}}, {"sequence": [on("b"), on("c")]}, {"any": [on("d")]}]});
        let mut watcher = Watcher::new(on);
        let mut used = BTreeSet::new();
        for verdict in verdicts(&mut watcher, &events(&stream)) {
            for position in fired(verdict).unwrap_or_default() {
                prop_assert!(used.insert(position), "{} took part twice", position);
            }
        }
    }

    #[test]
    fn the_memory_stays_small(on in condition(), stream in stream(200)) {
        let mut watcher = Watcher::new(on);
        verdicts(&mut watcher, &events(&stream));
        let text = serde_json::to_string(&watcher.progress).expect("JSON");
        prop_assert!(text.len() < 40_000, "{}", text.len());
    }
}

/// A million events of a thousand keys, with duplicates and in any order of keys: a count per key against a plain
/// counter.
#[test]
fn a_million_events_are_counted_exactly() {
    let spec = spec(json!({"by": {"of": {"count": {"of": on("hit"), "n": 7}}, "field": "data.user"}}));
    let mut progresses: BTreeMap<String, Progress> = BTreeMap::new();
    let (mut fires, mut counts) = (BTreeMap::new(), BTreeMap::new());
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    for position in 1..=1_000_000_i64 {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let user = random % 1000;
        let event = event(position, "hit", json!({"user": user}));
        for _ in 0..if random.is_multiple_of(10) { 2 } else { 1 } {
            let key = spec.correlation(&event).expect("a user");
            let progress = progresses.entry(key).or_default();
            let step = step(&spec, progress, Input::Event(&event), event.time).expect("a judgement");
            if fired(step.verdict).is_some() {
                *fires.entry(user).or_insert(0_u64) += 1;
            }
        }
        *counts.entry(user).or_insert(0_u64) += 1;
    }
    let expected: BTreeMap<u64, u64> = counts.into_iter().map(|(user, count)| (user, count / 7)).collect();
    assert_eq!(fires, expected);
}
