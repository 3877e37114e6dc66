//! Random dag runs end in the same states under Airflow's own scheduler code as under ours, and its dependencies say the
//! same of random task instances.
//!
//! Needs a Python with Airflow: `SLIPSTREAM_PYTHON`, or `.venv/bin/python` of the repository.
//! `SLIPSTREAM_SEED` changes the cases, `SLIPSTREAM_SLOW=1` makes many more of them (4,000 runs, a million task instances),
//! `SLIPSTREAM_CASES` repeats those with the given seeds (with commas between them). What differs is made smaller first.

#[path = "decisions/cases.rs"]
mod cases;
#[path = "decisions/shrink.rs"]
mod shrink;
#[path = "decisions/simulation.rs"]
mod simulation;
#[path = "decisions/stock.rs"]
mod stock;

use serde_json::Value;
use simulation::{Simulation, Verdict, array, text};
use slipstream_core::state::TaskState;

/// Dags that go to one Python process, and looks at each of them.
const DAGS_AT_ONCE: usize = 500;
const LOOKS: usize = 100;

#[test]
fn random_runs_end_as_airflow_ends_them() {
    let Some(python) = stock::python() else { return };
    let seeds = seeds(250, 4000);
    let cases: Vec<Value> = seeds.iter().map(|seed| cases::case(*seed)).collect();
    let answers = stock::ask(&python, &cases);
    let refused = answers.iter().filter(|answer| answer.get("refused").is_some()).count();
    let all = seeds.iter().zip(&cases).zip(&answers);
    let differ: Vec<(u64, &Value)> = all
        .filter(|((_, case), answer)| run_differs(case, answer).is_some())
        .map(|((seed, case), _)| (*seed, case))
        .collect();
    let ended = |state: &str| answers.iter().filter(|answer| answer["run"] == state).count();
    eprintln!(
        "{} runs: {} ended well, {} badly, {} go on; {refused} Dags are not allowed",
        cases.len(),
        ended("success"),
        ended("task_failure") + ended("all_tasks_deadlocked"),
        ended("running")
    );
    assert!(refused * 5 < cases.len(), "{refused} of {} cases could not be built", cases.len());
    let ask = |cases: &[Value]| stock::ask(&python, cases);
    report(cases.len(), &differ, ask, run_differs);
}

#[test]
fn dependencies_say_of_random_task_instances_what_airflow_says() {
    let Some(python) = stock::python() else { return };
    let seeds = seeds(60, 11_000);
    let (mut compared, mut refused) = (0, 0);
    let mut said = std::collections::BTreeMap::<String, usize>::new();
    for batch in seeds.chunks(DAGS_AT_ONCE) {
        let cases: Vec<Value> = batch.iter().map(|seed| with_looks(*seed)).collect();
        let answers = stock::ask(&python, &cases);
        for verdict in answers.iter().flat_map(|answer| array(&answer["verdicts"])) {
            *said.entry(text(verdict).to_owned()).or_default() += 1;
            compared += 1;
        }
        refused += answers.iter().filter(|answer| answer.get("refused").is_some()).count();
        let all = batch.iter().zip(&cases).zip(&answers);
        let differ: Vec<(u64, Value)> = all
            .filter_map(|((seed, case), answer)| Some((*seed, first_look_that_differs(case, answer)?)))
            .collect();
        let differ: Vec<(u64, &Value)> = differ.iter().map(|(seed, case)| (*seed, case)).collect();
        report(cases.len(), &differ, |cases| stock::ask(&python, cases), verdict_differs);
        if seeds.len() > DAGS_AT_ONCE {
            eprintln!("{compared} verdicts: {said:?}");
        }
    }
    eprintln!("{compared} verdicts of {} Dags: {said:?}; {refused} Dags are not allowed", seeds.len());
    assert!(refused * 5 < seeds.len(), "{refused} of {} cases could not be built", seeds.len());
}

/// The seeds of the cases, by default so many, in slow mode so many.
fn seeds(count: u64, slow: u64) -> Vec<u64> {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let count = if number("SLIPSTREAM_SLOW") == Some(1) { slow } else { count };
    let first = number("SLIPSTREAM_SEED").unwrap_or(1) << 32;
    let repeated = std::env::var("SLIPSTREAM_CASES").unwrap_or_default();
    let seeds: Vec<u64> = repeated.split(',').filter_map(|seed| seed.trim().parse().ok()).collect();
    if seeds.is_empty() { (first..first + count).collect() } else { seeds }
}

/// Fails if any case differs, with the first of them made as small as it can be.
#[expect(clippy::print_stderr, reason = "to make a case smaller takes long: the seeds come first")]
fn report(
    of: usize,
    differ: &[(u64, &Value)],
    ask: impl Fn(&[Value]) -> Vec<Value>,
    differs: impl Fn(&Value, &Value) -> Option<String>,
) {
    let Some((_, first)) = differ.iter().min_by_key(|(_, case)| case.to_string().len()) else { return };
    let seeds: Vec<String> = differ.iter().map(|(seed, _)| seed.to_string()).collect();
    eprintln!(
        "{} of {of} cases differ: SLIPSTREAM_CASES={}; the first is made smaller",
        differ.len(),
        seeds.join(",")
    );
    let fails = |cases: &[Value]| {
        let answers = ask(cases);
        cases.iter().zip(&answers).map(|(case, answer)| differs(case, answer).is_some()).collect()
    };
    let smallest = shrink::shrink((*first).clone(), fails);
    let answer = ask(std::slice::from_ref(&smallest));
    panic!(
        "{} of {of} cases differ: SLIPSTREAM_CASES={}\nthe first, made smaller: {smallest}\n{}",
        differ.len(),
        seeds.join(","),
        differs(&smallest, &answer[0]).unwrap_or_default()
    );
}

/// How a run ends here and in Airflow, if that is not the same.
fn run_differs(case: &Value, answer: &Value) -> Option<String> {
    if answer.get("refused").is_some() {
        return None;
    }
    let simulation = Simulation::new(case, answer);
    if simulation.depends_on_the_second() || ended_by_a_stale_list(answer) {
        return None;
    }
    let ours = simulation.run();
    let theirs = (answer["states"].clone(), answer["run"].clone(), answer["retries"].clone());
    (ours != theirs).then(|| format!("ours   {ours:?}\ntheirs {theirs:?}"))
}

/// A case to be looked at in many states. What is asked of the run before this one is left to the runs.
fn with_looks(seed: u64) -> Value {
    let mut case = cases::case(seed);
    case["looks"] = cases::looks(&case, seed, LOOKS);
    case["previous"] = Value::Null;
    for task in case["tasks"].as_array_mut().into_iter().flatten() {
        task["arguments"]["depends_on_past"] = false.into();
        task["arguments"]["wait_for_downstream"] = false.into();
    }
    case
}

/// The case with that look alone of which we say something else than Airflow.
fn first_look_that_differs(case: &Value, answer: &Value) -> Option<Value> {
    let (looks, verdicts) = (array(&case["looks"]), array(&answer["verdicts"]));
    let simulation = (!verdicts.is_empty()).then(|| Simulation::new(case, answer));
    let mut simulation = simulation?;
    let (look, _) = looks
        .iter()
        .zip(verdicts)
        .find(|(look, theirs)| !agrees(simulation.verdict(look), look, text(theirs)))?;
    let mut alone = case.clone();
    alone["looks"] = serde_json::json!([look]);
    Some(alone)
}

/// What we say and what Airflow says of a case's only look, if that is not the same.
fn verdict_differs(case: &Value, answer: &Value) -> Option<String> {
    first_look_that_differs(case, answer)?;
    let mut simulation = Simulation::new(case, answer);
    let ours = simulation.verdict(&case["looks"][0]);
    Some(format!("ours   {ours:?} by {:?}\ntheirs {}", simulation.examine().decisions, answer["verdicts"][0]))
}

/// Whether a verdict is Airflow's. What is ready and not expanded yet may still get a state from the expansion itself, and a
/// copy too many is removed before anything is asked: neither is a dependency's doing.
fn agrees(ours: Verdict, look: &Value, theirs: &str) -> bool {
    let expanded = look["target"][1] != -1;
    match (ours, theirs) {
        (Verdict::Ready, "ready") | (Verdict::Blocked, "blocked") => true,
        (Verdict::Gets(Some(TaskState::Removed)), _) if expanded => true,
        (Verdict::Gets(Some(_)), "ready") => !expanded,
        (Verdict::Gets(Some(ours)), theirs) => ours.as_str() == theirs,
        _ => false,
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
