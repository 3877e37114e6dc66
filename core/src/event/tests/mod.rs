//! Behaviours of the language, told as events and what the trigger says to each.

mod golden;
mod language;
mod laws;
mod python;
mod time;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use super::{Event, Input, Position, Progress, Scope, Step, TriggerSpec, Verdict, step};
use crate::ids::{DagId, RunId};

pub(super) fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::days(20_000) + TimeDelta::seconds(seconds)
}

pub(super) fn spec(on: Value) -> TriggerSpec {
    TriggerSpec::from_json(&json!({"version": 1, "on": on, "do": {"run": {}}})).expect("a usable trigger")
}

pub(super) fn problem(on: Value) -> String {
    TriggerSpec::from_json(&json!({"version": 1, "on": on, "do": {"run": {}}}))
        .expect_err("a wrong trigger")
        .to_string()
}

/// A term for events with a key.
pub(super) fn on(key: &str) -> Value {
    json!({"event": {"key": key}})
}

pub(super) fn repeated(key: &str) -> Value {
    json!({"event": {"key": key, "repeated": true}})
}

/// An event that happens at second `position`.
pub(super) fn event(position: i64, key: &str, data: Value) -> Event {
    Event {
        position: Position(position),
        namespace: "default".to_owned(),
        key: key.to_owned(),
        event_type: "test".to_owned(),
        source: "tests".to_owned(),
        id: position.to_string(),
        sender: None,
        time: at(position),
        scope: Scope::All,
        data,
        extensions: serde_json::Map::new(),
    }
}

/// Airflow's report of a task's state in a run.
pub(super) fn task_event(position: i64, (dag, run, task): (&str, &str, &str), state: &str) -> Event {
    Event {
        namespace: "airflow".to_owned(),
        key: format!("{dag}.{task}"),
        event_type: format!("airflow.task_instance.{state}"),
        scope: Scope::Run { dag_id: DagId::from(dag), run_id: RunId::from(run) },
        ..event(position, "", json!({"dag_id": dag, "run_id": run, "task_id": task, "map_index": -1}))
    }
}

/// A trigger with its memory, which passes through JSON after every step.
pub(super) struct Watcher {
    pub(super) spec: TriggerSpec,
    pub(super) progress: Progress,
}

impl Watcher {
    pub(super) fn new(on: Value) -> Self {
        Self { spec: spec(on), progress: Progress::default() }
    }

    pub(super) fn step(&mut self, input: Input<'_>, now: DateTime<Utc>) -> Step {
        let step = step(&self.spec, &mut self.progress, input, now).expect("a judgement");
        let text = serde_json::to_string(&self.progress).expect("JSON");
        let again: Progress = serde_json::from_str(&text).expect("the same JSON");
        assert_eq!(again, self.progress, "{text}");
        self.progress = again;
        step
    }

    pub(super) fn sees(&mut self, event: &Event) -> Verdict {
        self.step(Input::Event(event), event.time).verdict
    }

    /// The positions of a firing on an event with a key, `None` when it does not fire.
    pub(super) fn on(&mut self, position: i64, key: &str) -> Option<Vec<i64>> {
        fired(self.sees(&event(position, key, Value::Null)))
    }

    pub(super) fn on_data(&mut self, position: i64, key: &str, data: Value) -> Option<Vec<i64>> {
        fired(self.sees(&event(position, key, data)))
    }

    pub(super) fn passes(&mut self, seconds: i64) -> Option<Vec<i64>> {
        fired(self.step(Input::Time, at(seconds)).verdict)
    }
}

pub(super) fn fired(verdict: Verdict) -> Option<Vec<i64>> {
    match verdict {
        Verdict::Fired { events, .. } => Some(events.into_iter().map(|position| position.0).collect()),
        _ => None,
    }
}
