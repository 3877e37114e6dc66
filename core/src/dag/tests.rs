//! Reading serialized Dags.

use serde_json::{Value, json};

use super::{Dag, DagError, Fill, Length, Shape, TaskIndex, TriggerRule};
use crate::event::{Overlap, Streaming};

fn operator(fields: Value) -> Value {
    json!({"__type": "operator", "__var": fields})
}

fn read(tasks: &[Value], group: Value, client: Value) -> Result<Dag, DagError> {
    Dag::from_serialized(&json!({
        "__version": 3,
        "client_defaults": {"tasks": client},
        "dag": {"dag_id": "d", "tasks": tasks, "task_group": group, "timetable": {}, "start_date": 1_735_689_600.0},
    }))
}

fn plain(tasks: &[Value]) -> Result<Dag, DagError> {
    read(tasks, Value::Null, json!({}))
}

#[test]
fn a_mapped_operator_takes_its_fields_from_partial_then_from_the_clients_defaults() {
    let mapped = operator(json!({
        "task_id": "m", "task_type": "T", "_operator_name": "@task", "_is_mapped": true,
        "_expand_input_attr": "expand_input",
        "expand_input": {"type": "list-of-dicts", "value": [{"__type": "dict", "__var": {}}]},
        "partial_kwargs": {
            "retries": 2, "retry_delay": {"__type": "timedelta", "__var": 2.5}, "trigger_rule": "one_failed",
            "has_on_success_callback": true,
        },
    }));
    let dag = read(&[mapped], Value::Null, json!({"retries": 7, "pool": "p"})).expect("a Dag");
    let task = &dag.tasks[0];
    assert_eq!((task.retry.retries, &*task.pool, &*task.operator_name), (2, "p", "@task"));
    assert_eq!(task.retry.delay, chrono::TimeDelta::milliseconds(2500));
    assert_eq!(task.trigger_rule, TriggerRule::OneFailed);
    assert!(task.needs_expansion && task.callbacks.on_success);
    assert_eq!(task.start_date, dag.start_date);
    assert_eq!(
        task.expand_input.as_ref().map(|input| &input.shape),
        Some(&Shape::Single(Length::Literal(1)))
    );
}

#[test]
fn references_are_read_through_map_zip_and_concat() {
    let a = json!({"task_id": "a", "key": "return_value"});
    let zip = json!({"type": "zip", "args": [a, {"type": "map", "arg": a, "callables": []}], "fillvalue": 1});
    let value = json!({"__type": "dict", "__var": {
        "x": {"__type": "xcomref", "__var": {"type": "concat", "args": [zip, a]}}, "y": [1, 2]}});
    let mapped = operator(json!({
        "task_id": "m", "task_type": "T", "_is_mapped": true, "_expand_input_attr": "op_kwargs_expand_input",
        "op_kwargs_expand_input": {"type": "dict-of-lists", "value": value},
    }));
    let first = operator(json!({"task_id": "a", "task_type": "T", "downstream_task_ids": ["m"]}));
    let dag = plain(&[first, mapped]).expect("a Dag");
    let result = || Length::Result(TaskIndex(0));
    let input = dag.tasks[1].expand_input.as_ref().expect("mapped");
    assert_eq!(input.sources, [TaskIndex(0)]);
    let zip = Length::Zip(vec![result(), result()], Fill::Given);
    assert_eq!(input.shape, Shape::Product(vec![Length::Concat(vec![zip, result()]), Length::Literal(2)]));
}

#[test]
fn nested_mapped_groups_are_known_from_the_inside_out() {
    let expand = json!({"type": "dict-of-lists", "value": {"__type": "dict", "__var": {"n": [1, 2]}}});
    let inner = json!({"_group_id": "in", "prefix_group_id": true, "children": {"t": ["operator", "out.in.t"]},
        "is_mapped": true, "expand_input": expand});
    let outer = json!({"_group_id": "out", "prefix_group_id": true, "children": {"in": ["taskgroup", inner]},
        "is_mapped": true, "expand_input": expand});
    let root = json!({"_group_id": null, "prefix_group_id": true, "children": {"out": ["taskgroup", outer]}});
    let task = operator(json!({"task_id": "out.in.t", "task_type": "T", "_needs_expansion": true}));
    let dag = read(&[task], root, json!({})).expect("a Dag");
    let names: Vec<_> = dag
        .mapped_groups(&dag.tasks[0])
        .iter()
        .filter_map(|group| dag.group(*group).group_id.as_ref().map(ToString::to_string))
        .collect();
    assert_eq!(names, ["out.in", "out"]);
    assert_eq!(crate::expand::literal_count(&dag, TaskIndex(0)), crate::expand::Count::Known(4));
}

#[test]
fn the_scopes_of_setups_and_teardowns_leave_out_direct_upstream_tasks() {
    let task = |task_id, below: &[&str], more: Value| {
        let mut fields = json!({"task_id": task_id, "task_type": "T", "downstream_task_ids": below});
        fields.as_object_mut().expect("fields").extend(more.as_object().expect("fields").clone());
        operator(fields)
    };
    let dag = plain(&[
        task("s", &["a", "t"], json!({"is_setup": true})),
        task("a", &["b"], json!({})),
        task("b", &["t"], json!({})),
        task("t", &["after"], json!({"is_teardown": true})),
        task("after", &[], json!({})),
    ])
    .expect("a Dag");
    let [a, b, t, after] = [1, 2, 3, 4].map(TaskIndex);
    assert_eq!(dag.scopes.indirect_setups(a), []);
    assert_eq!(dag.scopes.indirect_setups(b), [TaskIndex(0)]);
    assert_eq!(dag.scopes.indirect_setups(after), [], "its teardown is above it");
    assert_eq!(dag.scopes.teardown_scope(t), [a]);
    let deciding = [a, b, t, after].map(|task| dag.scopes.decides_run(task));
    assert_eq!(deciding, [false, true, false, true], "a teardown below does not count");
}

#[test]
fn what_cannot_be_read_is_named() {
    let version = Dag::from_serialized(&json!({"__version": 1, "dag": {}}));
    assert_eq!(version.err(), Some(DagError::Version("1".into())));
    let unknown = operator(json!({"task_id": "a", "task_type": "T", "downstream_task_ids": ["nowhere"]}));
    let error = plain(&[unknown]).expect_err("refers to nothing").to_string();
    assert!(error.contains("nowhere") && error.contains('a'), "{error}");
    let circle = ["a", "b"].map(|task_id| {
        let below = if task_id == "a" { "b" } else { "a" };
        operator(json!({"task_id": task_id, "task_type": "T", "downstream_task_ids": [below]}))
    });
    assert!(matches!(plain(&circle), Err(DagError::Cycle { .. })));
    let twice = ["a", "a"].map(|task_id| operator(json!({"task_id": task_id, "task_type": "T"})));
    assert!(matches!(plain(&twice), Err(DagError::Twice { .. })));
}

#[test]
fn triggers_are_read_from_the_timetable_and_from_executor_configs() {
    let trigger = |on: &str| json!({"version": 1, "on": {on: {"key": "k"}}, "do": {"start": {}}});
    let marked = |value: Value| json!({"__type": "dict", "__var": value});
    let config = marked(json!({"slipstream": marked(json!({
        "triggers": [marked(json!({"version": 1, "on": marked(json!({"event": marked(json!({"key": "k"}))})),
            "do": marked(json!({"start": marked(json!({}))}))})), trigger("evnt")],
        "streaming": marked(json!({"counts": true})), "periodic": marked(json!({"overlap": "restart"})),
    }))}));
    let own = operator(json!({"task_id": "own", "executor_config": config}));
    let mapped = operator(json!({
        "task_id": "mapped", "_is_mapped": true, "_expand_input_attr": "expand_input",
        "expand_input": {"type": "list-of-dicts", "value": []}, "partial_kwargs": {"executor_config": config},
    }));
    let none = operator(json!({"task_id": "none", "executor_config": marked(json!({"pod_override": 1}))}));
    let dag = Dag::from_serialized(&json!({
        "__version": 3,
        "dag": {"dag_id": "d", "tasks": [own, mapped, none], "task_group": null, "timetable": {
            "__type": "airflow.timetables.simple.NullTimetable",
            "__var": {"slipstream": {"triggers": [trigger("event")]}},
        }},
    }))
    .expect("a Dag");
    assert!(dag.event_triggers.len() == 1 && dag.event_triggers[0].spec.is_ok());
    for task in &dag.tasks[..2] {
        let events = task.slipstream.as_ref().expect("triggers");
        assert_eq!(events.triggers[0].json, trigger("event"));
        assert!(events.triggers[0].spec.is_ok());
        let problem = events.triggers[1].spec.as_ref().expect_err("an unknown term").to_string();
        assert!(problem.contains("`evnt`"), "{problem}");
        assert_eq!(events.streaming, Some(Streaming { counts: true, times_out: false }));
        assert_eq!(events.periodic, Some(Overlap::Restart));
    }
    assert!(dag.tasks[2].slipstream.is_none());
}
