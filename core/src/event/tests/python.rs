//! Python functions as filters: what is asked, and what the answers do.

use serde_json::{Value, json};

use super::{event, fired, on, problem, spec};
use crate::event::{Answers, Input, Passes, Progress, Reply, TriggerSpec, Verdict, questions, step};

fn python(of: Value) -> Value {
    json!({"python": {"of": of, "function": "checks.enough"}})
}

/// A trigger whose function adds up `data` and accepts the event at which it has come to 10.
struct Asker {
    spec: TriggerSpec,
    progress: Progress,
    asked: usize,
}

impl Asker {
    fn new(on: Value) -> Self {
        Self { spec: spec(on), progress: Progress::default(), asked: 0 }
    }

    fn sees(&mut self, position: i64, key: &str, number: i64) -> Verdict {
        let event = event(position, key, json!(number));
        let mut answers = Answers::new();
        for question in questions(&self.spec, &self.progress, &event).unwrap() {
            self.asked += 1;
            let total = question.state.as_i64().unwrap_or(0) + number;
            let (passes, state) =
                if total >= 10 { (Passes::Yes, json!(0)) } else { (Passes::No, json!(total)) };
            answers.insert(question.part, Reply { passes, state });
        }
        let done = step(&self.spec, &mut self.progress, Input::Asked(&event, &answers), event.time).unwrap();
        let text = serde_json::to_string(&self.progress).unwrap();
        assert_eq!(serde_json::from_str::<Progress>(&text).unwrap(), self.progress);
        done.verdict
    }
}

#[test]
fn a_function_remembers_between_events_and_says_when_it_is_enough() {
    let mut asker = Asker::new(python(on("n")));
    let Verdict::NotMatched(why) = asker.sees(1, "n", 6) else { panic!() };
    assert_eq!(why, "event `n`: `checks.enough` does not accept it");
    assert_eq!(fired(asker.sees(2, "n", 4)), Some(vec![2]));
    assert_eq!(fired(asker.sees(3, "n", 9)), None);
    assert_eq!(fired(asker.sees(4, "n", 1)), Some(vec![4]));
}

#[test]
fn a_function_is_asked_only_about_new_events_that_its_terms_match() {
    let filtered = json!({"event": {"key": "n", "where": "data > 1"}});
    let mut asker = Asker::new(python(filtered));
    asker.sees(1, "other", 20);
    asker.sees(2, "n", 1);
    assert_eq!(asker.asked, 0);
    assert_eq!(fired(asker.sees(3, "n", 20)), Some(vec![3]));
    assert_eq!(fired(asker.sees(3, "n", 20)), None);
    assert_eq!(asker.asked, 1);
}

#[test]
fn a_function_is_one_part_of_a_larger_condition() {
    let mut asker = Asker::new(json!({"sequence": [on("go"), python(on("n"))]}));
    assert_eq!(fired(asker.sees(1, "n", 6)), None);
    asker.sees(2, "go", 0);
    assert_eq!(fired(asker.sees(3, "n", 6)), None, "what came before its step is not remembered");
    assert_eq!(fired(asker.sees(4, "n", 4)), Some(vec![2, 4]));

    let mut counted = Asker::new(json!({"count": {"of": python(on("n")), "n": 2}}));
    assert_eq!(fired(counted.sees(1, "n", 10)), None);
    assert_eq!(fired(counted.sees(2, "n", 1)), None);
    assert_eq!(fired(counted.sees(3, "n", 10)), Some(vec![1, 3]));
}

#[test]
fn without_an_answer_the_event_cannot_be_judged_and_nothing_is_remembered() {
    let (spec, mut progress) = (spec(python(on("n"))), Progress::default());
    let event = event(1, "n", json!(1));
    let error = step(&spec, &mut progress, Input::Event(&event), event.time).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the Python function `checks.enough` failed: it was not asked about this event"
    );
    assert_eq!(progress, Progress::default());
}

#[test]
fn a_function_that_cannot_be_used_is_refused() {
    let with = |more: Value| {
        let mut inside = json!({"of": on("n"), "function": "checks.enough"});
        inside.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        problem(json!({"python": inside}))
    };
    assert!(with(json!({"function": "enough"})).contains("module.function"));
    assert!(with(json!({"function": "os;x.y"})).contains("module.function"));
    assert!(with(json!({"source": "def enough(event, state): ..."})).contains("just a name"));
    assert!(with(json!({"limit": 0})).contains("at most 60"));
    assert!(problem(python(json!({"all": [on("a"), on("b")]}))).contains("single events"));
    let timed = json!({"all": [python(on("a")), {"none": {"of": on("b"), "seconds": 5}}]});
    assert!(problem(timed).contains("cannot be combined"));
}
