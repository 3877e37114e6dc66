//! What a Dag file says about events: the triggers on the Dag in its timetable, those on a task in its executor config.

use serde_json::Value;

use super::{SpecError, TriggerSpec};

/// A trigger in a Dag file. One that cannot be read is kept, so that it can be shown; it stops nothing else.
#[derive(Clone, Debug)]
pub struct Declared {
    /// As it is written.
    pub json: Value,
    /// What it means.
    pub spec: Result<TriggerSpec, SpecError>,
}

/// What a Dag file says about a task and events.
#[derive(Clone, Debug, Default)]
pub struct TaskEvents {
    /// Its triggers, in their order; a periodic task's ticks are among them.
    pub triggers: Vec<Declared>,
    /// Whether it runs without an end.
    pub streaming: Option<Streaming>,
    /// Whether it is started again and again.
    pub periodic: Option<Overlap>,
}

/// What a streaming task means for its runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Streaming {
    /// Whether they count against `max_active_runs` all the same.
    pub counts: bool,
    /// Whether `dagrun_timeout` holds for them all the same.
    pub times_out: bool,
}

/// What happens to a tick while the task runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overlap {
    /// Nothing.
    Skip,
    /// It waits.
    Queue,
    /// The task is restarted.
    Restart,
}

impl Declared {
    fn list(value: Option<&Value>) -> Vec<Self> {
        let triggers = value.and_then(Value::as_array).into_iter().flatten();
        triggers.map(|json| Self { json: json.clone(), spec: TriggerSpec::from_json(json) }).collect()
    }

    /// The triggers on a Dag, from its serialized timetable.
    pub(crate) fn on_dag(timetable: &Value) -> Vec<Self> {
        Self::list(timetable.pointer("/__var/slipstream/triggers"))
    }
}

impl TaskEvents {
    /// Reads the serialized executor config of a task; `None` when it says nothing about events.
    pub(crate) fn read(executor_config: &Value) -> Option<Self> {
        let ours = unmarked(unmarked_map(executor_config)?.get("slipstream")?);
        if !ours.is_object() {
            return None;
        }
        let streaming = ours.get("streaming").filter(|streaming| !streaming.is_null());
        let periodic = ours.get("periodic").filter(|periodic| !periodic.is_null());
        Some(Self {
            triggers: Declared::list(ours.get("triggers")),
            streaming: streaming.map(|streaming| {
                let flag = |name: &str| streaming.get(name).and_then(Value::as_bool).unwrap_or(false);
                Streaming { counts: flag("counts"), times_out: flag("times_out") }
            }),
            periodic: periodic.map(|periodic| match periodic.get("overlap").and_then(Value::as_str) {
                Some("restart") => Overlap::Restart,
                Some("queue") => Overlap::Queue,
                _ => Overlap::Skip,
            }),
        })
    }
}

/// A dictionary without the serialized form's mark around it.
fn unmarked_map(value: &Value) -> Option<&serde_json::Map<String, Value>> {
    let map = value.as_object()?;
    match map.get("__type").and_then(Value::as_str) {
        Some("dict") => map.get("__var")?.as_object(),
        _ => Some(map),
    }
}

/// A value without the marks around the dictionaries in it.
fn unmarked(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(unmarked).collect(),
        Value::Object(_) => {
            let map = unmarked_map(value).into_iter().flatten();
            map.map(|(name, inner)| (name.clone(), unmarked(inner))).collect()
        }
        scalar => scalar.clone(),
    }
}
