//! Random dag runs end in the same states under Airflow's own scheduler code as under ours.
//!
//! Needs a Python with Airflow: `SLIPSTREAM_PYTHON`, or `.venv/bin/python` of the repository.
//! `SLIPSTREAM_SEED` changes the cases, `SLIPSTREAM_SLOW=1` makes many more of them, `SLIPSTREAM_CASES` repeats those
//! with the given seeds (with commas between them).

#[path = "decisions/cases.rs"]
mod cases;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use slipstream_core::dag::Dag;
use slipstream_core::deps::not_in_retry_period::{FailedTry, next_try};
use slipstream_core::ids::{DagId, MapIndex, TaskId};
use slipstream_core::run::{
    Decision, Expansion, Facts, Loaded, Options, Outcome, PreviousRun, RunFacts, SkipVerdict, TiFacts, TiRef,
    TryNumber, examine, needs,
};
use slipstream_core::state::{RunState, RunType, TaskState};
use uuid::Uuid;

#[test]
fn random_runs_end_as_airflow_ends_them() {
    let Some(python) = python() else {
        eprintln!("skipped: no Python with Airflow (set SLIPSTREAM_PYTHON)");
        return;
    };
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let count = if number("SLIPSTREAM_SLOW") == Some(1) { 4000 } else { 250 };
    let first = number("SLIPSTREAM_SEED").unwrap_or(1) << 32;
    let repeated = std::env::var("SLIPSTREAM_CASES").unwrap_or_default();
    let mut seeds: Vec<u64> = repeated.split(',').filter_map(|seed| seed.trim().parse().ok()).collect();
    if seeds.is_empty() {
        seeds.extend(first..first + count);
    }
    let cases: Vec<Value> = seeds.iter().map(|seed| cases::case(*seed)).collect();
    let answers = ask(&python, &cases);
    assert_eq!(answers.len(), cases.len(), "Airflow answered every case");
    let mut failures = Vec::new();
    let mut refused = 0;
    for ((seed, case), answer) in seeds.iter().zip(&cases).zip(&answers) {
        if answer.get("refused").is_some() {
            refused += 1;
            continue;
        }
        let simulation = Simulation::new(case, answer);
        if simulation.depends_on_the_second() || ended_by_a_stale_list(answer) {
            continue;
        }
        let ours = simulation.run();
        let theirs = (answer["states"].clone(), answer["run"].clone(), answer["retries"].clone());
        if ours != theirs {
            eprintln!("seed {seed} differs");
            failures.push(format!("seed {seed}\ncase {case}\nours   {ours:?}\ntheirs {theirs:?}"));
        }
    }
    let ended = |state: &str| answers.iter().filter(|answer| answer["run"] == state).count();
    eprintln!(
        "{} runs: {} ended well, {} badly, {} go on; {refused} Dags are not allowed",
        cases.len(),
        ended("success"),
        ended("task_failure") + ended("all_tasks_deadlocked"),
        ended("running")
    );
    assert!(refused * 5 < cases.len(), "{refused} of {} cases could not be built", cases.len());
    assert!(
        failures.is_empty(),
        "{} of {} cases differ, the first:\n{}",
        failures.len(),
        cases.len(),
        failures.iter().min_by_key(|text| text.len()).map_or("", String::as_str)
    );
}

fn python() -> Option<PathBuf> {
    let own = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../.venv/bin/python");
    let python = std::env::var_os("SLIPSTREAM_PYTHON").map_or_else(own, PathBuf::from);
    python.exists().then_some(python)
}

fn ask(python: &PathBuf, cases: &[Value]) -> Vec<Value> {
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/decisions/stock.py");
    let mut child = Command::new(python)
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("Python starts");
    let mut input = child.stdin.take().expect("a pipe");
    let text = serde_json::to_vec(cases).expect("JSON");
    let writer = std::thread::spawn(move || input.write_all(&text));
    let output = child.wait_with_output().expect("Python ends");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    writer.join().expect("the writer ends").expect("Python reads the cases");
    serde_json::from_slice(&output.stdout).expect("Airflow's answers")
}

/// A run in memory: examined again and again, with every decision written, until nothing changes.
struct Simulation {
    dag: Dag,
    run: RunFacts,
    tis: BTreeMap<(TaskId, MapIndex), TiFacts>,
    everything: Loaded,
    now: DateTime<Utc>,
}

impl Simulation {
    fn new(case: &Value, answer: &Value) -> Self {
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
    fn depends_on_the_second(&self) -> bool {
        let soon = self.now..self.now + chrono::TimeDelta::seconds(30);
        array(&self.retries())
            .iter()
            .filter_map(|retry| text(&retry[2]).parse::<DateTime<Utc>>().ok())
            .any(|due| soon.contains(&due))
    }

    fn run(mut self) -> (Value, Value, Value) {
        let retries = self.retries();
        let mut state = "running";
        for _ in 0..60 {
            let tis: Vec<TiFacts> = self.tis.values().cloned().collect();
            let loaded = self.load(&tis);
            let facts = Facts {
                dag: &self.dag,
                run: &self.run,
                tis: &tis,
                loaded: &loaded,
                options: Options::default(),
            };
            let examination = examine(&facts, self.now);
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

/// Where Airflow ends a run by a list of unfinished task instances that is out of date, and we do not follow it: it
/// leaves out copies that its last pass has made, and keeps instances that its look for a deadlock has skipped.
fn ended_by_a_stale_list(answer: &Value) -> bool {
    let unfinished = |ti: &Value| !ti[2].as_str().is_some_and(|state| FINISHED.contains(&state));
    let any_unfinished = array(&answer["states"]).iter().any(unfinished);
    match text(&answer["run"]) {
        "running" => false,
        "all_tasks_deadlocked" => !any_unfinished,
        _ => any_unfinished,
    }
}

const FINISHED: [&str; 5] = ["success", "failed", "skipped", "upstream_failed", "removed"];

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

fn array(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
