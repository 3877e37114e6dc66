//! A case in memory, judged by `slipstream_core`: examined again and again, or one task instance at a time.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use slipstream_core::dag::Dag;
use slipstream_core::deps::not_in_retry_period::{FailedTry, next_try};
use slipstream_core::ids::{DagId, MapIndex, TaskId};
use slipstream_core::run::{
    Decision, Examination, Expansion, Facts, Loaded, Options, Outcome, PreviousRun, RunFacts, SkipVerdict,
    TiFacts, TiRef, TryNumber, examine, needs,
};
use slipstream_core::state::{RunState, RunType, TaskState};
use uuid::Uuid;

/// What a look at one task instance comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Its dependencies are met.
    Ready,
    /// They are not.
    Blocked,
    /// It gets a state without being run.
    Gets(Option<TaskState>),
}

/// A dag run with everything that a judgement may ask for.
pub(crate) struct Simulation {
    dag: Dag,
    run: RunFacts,
    tis: BTreeMap<(TaskId, MapIndex), TiFacts>,
    everything: Loaded,
    now: DateTime<Utc>,
}

impl Simulation {
    pub(crate) fn new(case: &Value, answer: &Value) -> Self {
        let dag = Dag::from_serialized(&answer["dag"]).expect("a Dag");
        let now: DateTime<Utc> = serde_json::from_value(answer["now"].clone()).expect("a date");
        let date: DateTime<Utc> = "2026-01-02T00:00:00Z".parse().expect("a date");
        let mut everything = Loaded::default();
        let mut tis = BTreeMap::new();
        for given in array(&case["tis"]) {
            let ti = fact(given, now);
            if let Some(seconds) = given["reschedule_in"].as_i64() {
                everything.reschedules.insert(ti.id, now + chrono::TimeDelta::seconds(seconds));
            }
            tis.insert((ti.task_id.clone(), ti.map_index), ti);
        }
        for (task, length) in case["lengths"].as_object().into_iter().flatten() {
            everything.map_lengths.insert(task.as_str().into(), length.as_u64().unwrap_or(0));
        }
        for (task, indexes) in case["results"].as_object().into_iter().flatten() {
            everything.result_counts.insert(task.as_str().into(), array(indexes).len() as u64);
        }
        for skip in array(&case["skips"]) {
            let key = (TaskId::from(text(&skip[0])), MapIndex(skip[1].as_i64().unwrap_or(-1) as i32));
            everything.skips.extend(SkipVerdict::from_xcom(&skip[2]).map(|verdict| (key, verdict)));
        }
        everything.previous_run = case["previous"].as_array().map(|tis| {
            let logical_date = Some(date - chrono::TimeDelta::days(1));
            let mut previous = PreviousRun { logical_date, ..PreviousRun::default() };
            for ti in tis.iter().map(|given| fact(given, now)) {
                everything.ever_ran.insert(ti.task_id.clone());
                previous.states.entry(ti.task_id).or_default().push(ti.state);
            }
            previous
        });
        let run = RunFacts {
            dag_id: "d".into(),
            run_id: "run".into(),
            run_type: RunType::Scheduled,
            state: RunState::Running,
            logical_date: Some(date),
            data_interval_start: Some(date),
            data_interval_end: Some(date),
            run_after: date,
            start_date: Some(date),
            backfill_ordinal: None,
        };
        Self { dag, run, tis, everything, now }
    }

    /// Whether a retry falls due while Airflow computes its answer, whose clock goes on.
    pub(crate) fn depends_on_the_second(&self) -> bool {
        let soon = self.now..self.now + chrono::TimeDelta::seconds(30);
        array(&self.retries())
            .iter()
            .filter_map(|retry| text(&retry[2]).parse::<DateTime<Utc>>().ok())
            .any(|due| soon.contains(&due))
    }

    /// Examines with every decision written until nothing changes: the states, the run's, and when retries are due.
    pub(crate) fn run(mut self) -> (Value, Value, Value) {
        let retries = self.retries();
        let mut state = "running";
        for _ in 0..60 {
            let examination = self.examine();
            for decision in &examination.decisions {
                self.write(decision);
            }
            state = match examination.outcome {
                Outcome::StillRunning { .. } => "running",
                Outcome::Success { .. } => "success",
                Outcome::Failed { reason, .. } => reason.as_str(),
            };
            if state != "running" || examination.decisions.is_empty() {
                break;
            }
        }
        let states = self.tis.values().map(|ti| json!([ti.task_id, ti.map_index, ti.state])).collect();
        (states, state.into(), retries)
    }

    /// What one task instance deserves in this look, with all others in states in which nothing is decided about them.
    pub(crate) fn verdict(&mut self, look: &Value) -> Verdict {
        for (ti, state) in self.tis.values_mut().zip(array(&look["states"])) {
            ti.state = state.as_str().map(|state| state.parse().expect("a state"));
        }
        let (task, map_index) = (text(&look["target"][0]), look["target"][1].as_i64().unwrap_or(-1) as i32);
        let is_target = |ti: &TiRef| ti.task_id.as_str() == task && ti.map_index == MapIndex(map_index);
        let decisions = self.examine().decisions;
        // What follows is the look for a deadlock, in which also those are asked that are under way.
        let under_way = |decision: &&Decision| matches!(decision, Decision::SetState { from: Some(_), .. });
        let of_target =
            decisions.iter().take_while(|decision| !under_way(decision)).find_map(
                |decision| match decision {
                    Decision::SetState { ti, to, .. } if is_target(ti) => Some(Verdict::Gets(*to)),
                    Decision::Remove { ti, .. } if is_target(ti) => {
                        Some(Verdict::Gets(Some(TaskState::Removed)))
                    }
                    Decision::Schedule { ti, .. }
                    | Decision::SucceedEmpty { ti, .. }
                    | Decision::DeferFromTrigger { ti, .. }
                    | Decision::Expand(Expansion::Rename { ti, .. } | Expansion::Delete { ti, .. })
                        if is_target(ti) =>
                    {
                        Some(Verdict::Ready)
                    }
                    _ => None,
                },
            );
        of_target.unwrap_or(Verdict::Blocked)
    }

    pub(crate) fn examine(&self) -> Examination {
        let tis: Vec<TiFacts> = self.tis.values().cloned().collect();
        let loaded = self.load(&tis);
        let facts =
            Facts { dag: &self.dag, run: &self.run, tis: &tis, loaded: &loaded, options: Options::default() };
        examine(&facts, self.now)
    }

    /// Only what was asked for, so that a need that is forgotten shows.
    fn load(&self, tis: &[TiFacts]) -> Loaded {
        let needs = needs(&self.dag, &self.run, tis);
        let all = &self.everything;
        let previous = needs.previous_run.as_ref().zip(all.previous_run.as_ref());
        Loaded {
            previous_run: previous.map(|(need, previous)| PreviousRun {
                logical_date: previous.logical_date,
                states: previous
                    .states
                    .iter()
                    .filter(|(task, _)| need.tasks.contains(task))
                    .map(|(task, states)| (task.clone(), states.clone()))
                    .collect(),
            }),
            ever_ran: previous
                .map(|(need, _)| {
                    all.ever_ran.iter().filter(|task| need.ever_ran.contains(task)).cloned().collect()
                })
                .unwrap_or_default(),
            skips: only(&all.skips, &needs.skips),
            map_lengths: only(&all.map_lengths, &needs.map_lengths),
            result_counts: only(&all.result_counts, &needs.result_counts),
            reschedules: only(&all.reschedules, &needs.reschedules),
            events: None,
        }
    }

    fn retries(&self) -> Value {
        let waiting = self.tis.values().filter(|ti| ti.state == Some(TaskState::UpForRetry));
        let dates = waiting.filter_map(|ti| {
            let failed = FailedTry {
                dag_id: &DagId::from("d"),
                task: self.dag.task_by_id(ti.task_id.as_str())?,
                logical_date: self.run.logical_date,
                try_number: ti.try_number,
                end_date: ti.end_date,
                delay_override: None,
            };
            let date = next_try(&failed, Options::default().max_retry_delay)?;
            let text = date.to_rfc3339_opts(chrono::SecondsFormat::Micros, false);
            Some(json!([ti.task_id, ti.map_index, text.replace(".000000+", "+")]))
        });
        dates.collect()
    }

    fn key(ti: &TiRef) -> (TaskId, MapIndex) {
        (ti.task_id.clone(), ti.map_index)
    }

    fn change(&mut self, ti: &TiRef, from: Option<TaskState>, to: Option<TaskState>) -> &mut TiFacts {
        let row = self.tis.get_mut(&Self::key(ti)).expect("a decision names a row");
        assert_eq!(row.state, from, "{ti:?}");
        row.state = to;
        row
    }

    fn write(&mut self, decision: &Decision) {
        match decision {
            Decision::SetState { ti, from, to, .. } => {
                self.change(ti, *from, *to);
            }
            Decision::Remove { ti, from } => {
                self.change(ti, *from, Some(TaskState::Removed));
            }
            Decision::Schedule { ti, from, try_number } => {
                let row = self.change(ti, *from, Some(TaskState::Scheduled));
                row.try_number += i32::from(*try_number == TryNumber::Increment);
            }
            Decision::SucceedEmpty { ti, from } => {
                self.change(ti, *from, Some(TaskState::Success)).try_number += 1;
            }
            Decision::DeferFromTrigger { ti, from, .. } => {
                self.change(ti, *from, Some(TaskState::Deferred));
            }
            Decision::ClearReferences { ti } => {
                if !ti.map_index.is_mapped() {
                    self.everything.map_lengths.remove(&ti.task_id);
                    self.everything.skips.remove(&Self::key(ti));
                }
            }
            Decision::Expand(Expansion::Rename { ti, .. }) => {
                let mut row = self.tis.remove(&Self::key(ti)).expect("an unexpanded row");
                row.map_index = MapIndex(0);
                self.tis.insert((ti.task_id.clone(), MapIndex(0)), row);
            }
            Decision::Expand(Expansion::Delete { ti, .. }) => {
                self.tis.remove(&Self::key(ti)).expect("an unexpanded row");
            }
            Decision::Expand(Expansion::Add { task_id, map_indexes, state }) => {
                for map_index in map_indexes {
                    let row =
                        json!({"task": task_id, "map_index": map_index, "state": state, "try_number": 0});
                    let old = self.tis.insert((task_id.clone(), *map_index), fact(&row, self.now));
                    assert!(old.is_none(), "a new copy is new");
                }
            }
        }
    }
}

fn fact(given: &Value, now: DateTime<Utc>) -> TiFacts {
    let map_index = given["map_index"].as_i64().unwrap_or(-1) as i32;
    let task = text(&given["task"]);
    let number = task[1..].parse::<u128>().unwrap_or(0);
    TiFacts {
        id: Uuid::from_u128(number * 1000 + (map_index + 1) as u128),
        task_id: task.into(),
        map_index: MapIndex(map_index),
        state: given["state"].as_str().map(|state| state.parse().expect("a state")),
        try_number: given["try_number"].as_i64().unwrap_or(0) as i32,
        max_tries: 3,
        start_date: None,
        end_date: given["ended_ago"].as_i64().map(|ago| now - chrono::TimeDelta::seconds(ago)),
        retry_delay_override: None,
    }
}

fn only<K: Clone + Eq + std::hash::Hash, V: Clone>(
    all: &std::collections::HashMap<K, V>,
    keys: &[K],
) -> std::collections::HashMap<K, V> {
    keys.iter().filter_map(|key| Some((key.clone(), all.get(key)?.clone()))).collect()
}

pub(crate) fn array(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

pub(crate) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
