//! Reading a whole serialized Dag (`DagSerialization.from_dict`).

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::graph::Graph;
use super::read_task::Defaults;
use super::value::Texts;
use super::{Dag, DagCallbacks, DagError, Group, GroupIndex, Task, TaskIndex, value};
use super::{feeds, read_group, read_task, scope, weight};
use crate::event::Declared;
use crate::ids::TaskId;

/// What the parts of the reader share: the Dag's name for messages, where each task is, and texts that tasks have in common.
pub(super) struct Names {
    pub(super) dag_id: String,
    pub(super) by_id: HashMap<TaskId, TaskIndex>,
    pub(super) texts: Texts,
}

/// A task as the place of an error.
#[derive(Clone, Copy)]
pub(super) struct InTask<'a>(pub(super) &'a str);

impl From<InTask<'_>> for String {
    fn from(task: InTask<'_>) -> Self {
        format!("task `{}`", task.0)
    }
}

impl Names {
    pub(super) fn missing(&self, field: &'static str, place: impl Into<String>) -> DagError {
        DagError::Field { dag_id: self.dag_id.clone(), field, place: place.into() }
    }

    pub(super) fn task(&self, task_id: &str, place: impl Into<String>) -> Result<TaskIndex, DagError> {
        self.by_id.get(task_id).copied().ok_or_else(|| DagError::UnknownTask {
            dag_id: self.dag_id.clone(),
            place: place.into(),
            task_id: task_id.to_owned(),
        })
    }
}

pub(super) fn dag(data: &Value) -> Result<Dag, DagError> {
    match data.get("__version").and_then(Value::as_i64) {
        Some(2 | 3) => {}
        _ => return Err(DagError::Version(data.get("__version").map_or("none".into(), Value::to_string))),
    }
    let missing =
        |dag_id: &str, field| DagError::Field { dag_id: dag_id.into(), field, place: "the Dag".into() };
    let dag = data.get("dag").and_then(Value::as_object).ok_or_else(|| missing("", "dag"))?;
    let dag_id = dag.get("dag_id").and_then(Value::as_str).ok_or_else(|| missing("", "dag_id"))?;
    let encoded: Vec<&Map<String, Value>> = dag
        .get("tasks")
        .and_then(Value::as_array)
        .ok_or_else(|| missing(dag_id, "tasks"))?
        .iter()
        .filter(|task| value::type_of(task) == Some("operator"))
        .filter_map(|task| value::unwrap(task).as_object())
        .collect();
    let by_id = HashMap::with_capacity(encoded.len());
    let mut names = Names { dag_id: dag_id.to_owned(), by_id, texts: Texts::default() };
    for (index, task) in (0..).map(TaskIndex).zip(&encoded) {
        let task_id =
            task.get("task_id").and_then(Value::as_str).ok_or_else(|| names.missing("task_id", "a task"))?;
        if names.by_id.insert(task_id.into(), index).is_some() {
            return Err(DagError::Twice { dag_id: dag_id.to_owned(), task_id: task_id.to_owned() });
        }
    }
    let empty = Map::new();
    let client = data.pointer("/client_defaults/tasks").and_then(Value::as_object).unwrap_or(&empty);
    let defaults = Defaults {
        client,
        start_date: dag.get("start_date").and_then(value::date),
        end_date: dag.get("end_date").and_then(value::date),
    };
    let mut tasks = Vec::with_capacity(encoded.len());
    for task in &encoded {
        tasks.push(read_task::task(task, &defaults, &names)?);
    }
    connect(&mut tasks);
    let groups = match dag.get("task_group") {
        Some(root) if root.is_object() => read_group::groups(root, &mut tasks, &names)?,
        _ => vec![Group { group_id: None, parent: None, expand_input: None, mapped_chain: vec![] }],
    };
    assemble(dag, names, tasks, groups, &defaults)
}

/// Upstream lists follow from the downstream lists (`set_task_dag_references`).
fn connect(tasks: &mut [Task]) {
    for index in 0..tasks.len() {
        for position in 0..tasks[index].downstream.len() {
            let below = tasks[index].downstream[position];
            tasks[below.at()].upstream.push(TaskIndex(index as u32));
        }
    }
}

fn assemble(
    dag: &Map<String, Value>,
    names: Names,
    mut tasks: Vec<Task>,
    groups: Vec<Group>,
    defaults: &Defaults<'_>,
) -> Result<Dag, DagError> {
    let graph = Graph::new(&tasks).map_err(|on_circle| DagError::Cycle {
        dag_id: names.dag_id.clone(),
        task_id: tasks[on_circle.at()].task_id.to_string(),
    })?;
    weight::assign(&mut tasks, &graph);
    let scopes = scope::Scopes::new(&tasks);
    let feeds = feeds::Feeds::new(&tasks, &groups);
    let field = |name: &str| dag.get(name).unwrap_or(&Value::Null);
    let number = |name: &str, default: i64| value::integer(field(name)).unwrap_or(default);
    let allowed_run_types = match field("allowed_run_types") {
        Value::Array(types) if !types.is_empty() => Some(
            types
                .iter()
                .map(|text| text.as_str().and_then(|text| text.parse().ok()))
                .collect::<Option<Vec<_>>>()
                .ok_or_else(|| names.missing("allowed_run_types", "the Dag"))?,
        ),
        _ => None,
    };
    debug_assert!(groups.len() > GroupIndex::ROOT.at());
    Ok(Dag {
        dag_id: names.dag_id.as_str().into(),
        tasks,
        groups,
        timetable: field("timetable").clone(),
        event_triggers: Declared::on_dag(field("timetable")),
        timezone: field("timezone").clone(),
        start_date: defaults.start_date,
        default_start_date: dag
            .get("default_args")
            .and_then(|args| value::unwrap(args).get("start_date"))
            .and_then(value::date),
        end_date: defaults.end_date,
        catchup: value::truth(field("catchup")),
        max_active_runs: number("max_active_runs", 16),
        max_active_tasks: number("max_active_tasks", 16),
        max_consecutive_failed_dag_runs: number("max_consecutive_failed_dag_runs", 0),
        dagrun_timeout: value::duration(field("dagrun_timeout")),
        fail_fast: value::truth(field("fail_fast")),
        params: field("params").clone(),
        deadline: field("deadline").as_array().into_iter().flatten().filter_map(value::text).collect(),
        allowed_run_types,
        disable_bundle_versioning: value::truth(field("disable_bundle_versioning")),
        rerun_with_latest_version: field("rerun_with_latest_version").as_bool(),
        callbacks: DagCallbacks {
            on_success: dag.contains_key("has_on_success_callback"),
            on_failure: dag.contains_key("has_on_failure_callback"),
        },
        scopes,
        feeds,
        by_id: names.by_id,
    })
}
