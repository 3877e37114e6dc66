//! Decisions of `slipstream-core` at a given size, for timing and for counting instructions.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use slipstream_core::admit::{ActiveCounts, Admission, Candidate, Class, PoolRoom, Slots, TaskLimits};
use slipstream_core::dag::Dag;
use slipstream_core::executor::ExecutorIndex;
use slipstream_core::ids::MapIndex;
use slipstream_core::run::{Facts, Loaded, Options, RunFacts, TiFacts, examine};
use slipstream_core::schedule::cron::Cron;
use slipstream_core::state::{RunState, RunType, TaskState};
use uuid::Uuid;

/// A piece of work whose facts are made already; it returns a number that depends on all of it.
pub type Work = Box<dyn Fn() -> usize>;

/// Makes the facts of a piece of work of a size.
pub type Make = fn(usize) -> Work;

/// Every piece of work, by name.
pub const ALL: &[(&str, Make)] = &[
    ("examine_start_wide", examine_start_wide),
    ("examine_half_done_wide", examine_half_done_wide),
    ("examine_empty_chain", examine_empty_chain),
    ("examine_failed_chain", examine_failed_chain),
    ("examine_layers", examine_layers),
    ("examine_mapped", examine_mapped),
    ("examine_expansion", examine_expansion),
    ("read_dag", read_dag),
    ("admit", admit),
    ("cron_next", cron_next),
];

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap_or_default()
}

fn serialized(tasks: impl Iterator<Item = (String, Vec<String>, Value)>) -> Value {
    let tasks: Vec<Value> = tasks
        .map(|(id, below, more)| {
            let mut task = json!({"task_id": id, "task_type": "T", "downstream_task_ids": below});
            if let (Some(task), Some(more)) = (task.as_object_mut(), more.as_object()) {
                task.extend(more.clone());
            }
            json!({"__type": "operator", "__var": task})
        })
        .collect();
    json!({"__version": 3, "dag": {"dag_id": "d", "tasks": tasks, "timetable": {}}})
}

fn read(data: &Value) -> Dag {
    Dag::from_serialized(data).expect("the Dag is well-formed")
}

fn ti(number: usize, task: &str, map_index: i32, state: Option<TaskState>) -> TiFacts {
    TiFacts {
        id: Uuid::from_u128(number as u128),
        task_id: task.into(),
        map_index: MapIndex(map_index),
        state,
        try_number: i32::from(state.is_some()),
        max_tries: 0,
        start_date: None,
        end_date: None,
        retry_delay_override: None,
    }
}

fn examination(dag: Dag, tis: Vec<TiFacts>) -> Work {
    let date = at("2026-01-01T00:00:00Z");
    let run = RunFacts {
        dag_id: "d".into(),
        run_id: "r".into(),
        run_type: RunType::Scheduled,
        state: RunState::Running,
        logical_date: Some(date),
        data_interval_start: None,
        data_interval_end: None,
        run_after: date,
        start_date: Some(date),
        backfill_ordinal: None,
    };
    Box::new(move || {
        let loaded = Loaded::default();
        let facts = Facts { dag: &dag, run: &run, tis: &tis, loaded: &loaded, options: Options::default() };
        examine(&facts, date + TimeDelta::hours(1)).decisions.len()
    })
}

/// A new run of independent tasks: all become ready.
fn examine_start_wide(size: usize) -> Work {
    let name = |n: usize| format!("t{n}");
    let dag = read(&serialized((0..size).map(|n| (name(n), vec![], json!({})))));
    examination(dag, (0..size).map(|n| ti(n, &name(n), -1, None)).collect())
}

/// A run half of whose tasks are done and the others running: nothing follows.
fn examine_half_done_wide(size: usize) -> Work {
    let name = |n: usize| format!("t{n}");
    let state = |n: usize| Some(if n.is_multiple_of(2) { TaskState::Success } else { TaskState::Running });
    let dag = read(&serialized((0..size).map(|n| (name(n), vec![], json!({})))));
    examination(dag, (0..size).map(|n| ti(n, &name(n), -1, state(n))).collect())
}

fn chain(size: usize, more: Value) -> Dag {
    let below = |n: usize| if n + 1 < size { vec![format!("t{}", n + 1)] } else { vec![] };
    read(&serialized((0..size).map(|n| (format!("t{n}"), below(n), more.clone()))))
}

/// A chain of tasks that succeed without being run: one examination goes through all of it.
fn examine_empty_chain(size: usize) -> Work {
    let tis = (0..size).map(|n| ti(n, &format!("t{n}"), -1, None)).collect();
    examination(chain(size, json!({"_is_empty": true})), tis)
}

/// A chain whose first task failed: the failure goes down all of it.
fn examine_failed_chain(size: usize) -> Work {
    let state = |n: usize| (n == 0).then_some(TaskState::Failed);
    examination(chain(size, json!({})), (0..size).map(|n| ti(n, &format!("t{n}"), -1, state(n))).collect())
}

/// Layers of ten tasks, each below all of the layer before, with trigger rules that look at every upstream.
fn examine_layers(size: usize) -> Work {
    let rules = ["all_success", "all_done", "none_failed", "one_success", "none_failed_min_one_success"];
    let layers = size.div_ceil(10);
    let name = |layer: usize, n: usize| format!("l{layer}_{n}");
    let tasks = (0..layers).flat_map(|layer| {
        (0..10).map(move |n| {
            let below: Vec<String> =
                if layer + 1 < layers { (0..10).map(|m| name(layer + 1, m)).collect() } else { vec![] };
            (name(layer, n), below, json!({"_is_empty": true, "trigger_rule": rules[n % rules.len()]}))
        })
    });
    let dag = read(&serialized(tasks));
    let tis =
        (0..layers).flat_map(|layer| (0..10).map(move |n| ti(layer * 10 + n, &name(layer, n), -1, None)));
    examination(dag, tis.collect())
}

/// A mapped task of so many copies, with one task below.
fn mapped(size: usize) -> Dag {
    let expand = json!({"__type": "dict", "__var": {"x": (0..size).collect::<Vec<_>>()}});
    let mapped = json!({
        "_is_mapped": true, "_task_module": "m", "partial_kwargs": {}, "_expand_input_attr": "op_kwargs_expand_input",
        "op_kwargs_expand_input": {"type": "dict-of-lists", "value": expand},
    });
    let tasks = [("m".to_owned(), vec!["below".to_owned()], mapped), ("below".to_owned(), vec![], json!({}))];
    read(&serialized(tasks.into_iter()))
}

/// A mapped task that gets so many copies, which all become ready.
fn examine_expansion(size: usize) -> Work {
    examination(mapped(size), vec![ti(0, "m", -1, None), ti(1, "below", -1, None)])
}

/// A mapped task of so many copies, all but one done.
fn examine_mapped(size: usize) -> Work {
    let state = |n: usize| Some(if n == 0 { TaskState::Running } else { TaskState::Success });
    let mut tis: Vec<TiFacts> =
        (0..size).map(|n| ti(n, "m", i32::try_from(n).unwrap_or(0), state(n))).collect();
    tis.push(ti(size, "below", -1, None));
    examination(mapped(size), tis)
}

/// Reading a serialised Dag of so many tasks in layers.
fn read_dag(size: usize) -> Work {
    let below = |n: usize| (n + 1..=n + 3).filter(|m| *m < size).map(|m| format!("t{m}")).collect();
    let data = serialized((0..size).map(|n| (format!("t{n}"), below(n), json!({"retries": 2, "pool": "p"}))));
    Box::new(move || read(&data).iter().count())
}

/// A pass of the critical section over so many candidates of a hundred runs, in pools that fill up.
fn admit(size: usize) -> Work {
    let candidates: Vec<Candidate> = (0..size)
        .map(|n| Candidate {
            ti_id: Uuid::from_u128(n as u128),
            dag_id: format!("d{}", n % 20).as_str().into(),
            run_id: format!("r{}", n % 100).as_str().into(),
            task_id: format!("t{n}").as_str().into(),
            pool: format!("p{}", n % 10),
            pool_slots: 1,
            max_active_tasks: 16,
            limits: TaskLimits::default(),
            executor: Some(ExecutorIndex(0)),
            class: Class::Batch,
        })
        .collect();
    let pools: BTreeMap<_, _> =
        (0..10).map(|n| (format!("p{n}"), PoolRoom::new(size as i64 / 20, 0))).collect();
    Box::new(move || {
        let executors = BTreeMap::from([(ExecutorIndex(0), Slots { batch: i64::MAX, streaming: 0 })]);
        let mut admission = Admission::new(pools.clone(), ActiveCounts::default(), executors);
        candidates.iter().filter(|candidate| admission.admit(candidate).is_ok()).count()
    })
}

/// The next moment of each of five expressions, so many times on.
fn cron_next(size: usize) -> Work {
    let all = ["* * * * *", "0 6 * * *", "*/5 9-17 * * 1-5", "0 0 29 * *", "30 3 L * *"]
        .map(|text| Cron::parse(text).expect("the expression is well-formed"));
    Box::new(move || {
        let mut sum = 0;
        for cron in &all {
            let mut wall: NaiveDateTime = at("2026-01-01T00:00:00Z").naive_utc();
            for _ in 0..size {
                wall = cron.next_after(wall).expect("there is a next moment");
                sum += wall.and_utc().timestamp() as usize % 1000;
            }
        }
        sum
    })
}
