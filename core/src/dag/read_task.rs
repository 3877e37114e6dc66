//! Reading one operator (`OperatorSerialization.populate_operator`).

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use super::read::{InTask, Names};
use super::task::{Email, PastDependence, Retry, StartTrigger, Task, TaskCallbacks, Traits};
use super::value::Texts;
use super::{DagError, ExpandInput, GroupIndex, TaskIndex, TriggerRule, WeightRule, read_expand, value};
use crate::event::TaskEvents;

/// What holds for every task that does not say otherwise.
pub(super) struct Defaults<'a> {
    /// `client_defaults.tasks`.
    pub(super) client: &'a Map<String, Value>,
    /// The Dag's.
    pub(super) start_date: Option<DateTime<Utc>>,
    /// The Dag's.
    pub(super) end_date: Option<DateTime<Utc>>,
}

/// A task's fields with their fallbacks: its own, for a mapped operator first those of `partial()`, then the client's.
struct Fields<'a> {
    own: &'a Map<String, Value>,
    partial: Option<&'a Map<String, Value>>,
    client: &'a Map<String, Value>,
    texts: &'a Texts,
}

impl<'a> Fields<'a> {
    /// A field that a mapped operator takes from `partial()`.
    fn get(&self, name: &str) -> &'a Value {
        let client_before_own = self.partial.and(self.client.get(name));
        self.partial
            .and_then(|partial| partial.get(name))
            .or(client_before_own)
            .unwrap_or_else(|| self.own(name))
    }

    /// A field that a mapped operator has itself.
    fn own(&self, name: &str) -> &'a Value {
        self.own.get(name).or_else(|| self.client.get(name)).unwrap_or(&Value::Null)
    }

    fn flag(&self, name: &str) -> bool {
        value::truth(self.get(name))
    }

    fn text(&self, name: &str, default: &str) -> Arc<str> {
        self.shared(self.get(name)).unwrap_or_else(|| self.texts.shared(default))
    }

    /// A text that other tasks are likely to have as well; `None` for null and anything else.
    fn shared(&self, value: &Value) -> Option<Arc<str>> {
        value::unwrap(value).as_str().map(|text| self.texts.shared(text))
    }

    fn number(&self, name: &str, default: i64) -> i64 {
        value::integer(value::unwrap(self.get(name))).unwrap_or(default)
    }

    /// What has two names, of which one is enough.
    fn either(&self, name: &str, other_name: &str) -> bool {
        self.flag(name) || self.flag(other_name)
    }
}

pub(super) fn task(
    encoded: &Map<String, Value>,
    defaults: &Defaults<'_>,
    names: &Names,
) -> Result<Task, DagError> {
    let task_id = encoded.get("task_id").and_then(Value::as_str).unwrap_or_default();
    let place = InTask(task_id);
    let fields = Fields {
        own: encoded,
        partial: encoded.get("partial_kwargs").and_then(Value::as_object),
        client: defaults.client,
        texts: &names.texts,
    };
    let expand_input = mapped_over(encoded, names, place)?;
    let task_type =
        fields.shared(fields.own("task_type")).unwrap_or_else(|| names.texts.shared("BaseOperator"));
    let display = if expand_input.is_some() {
        fields.get("task_display_name")
    } else {
        fields.own("_task_display_name")
    };
    let own_weight = fields.number("priority_weight", 1);
    Ok(Task {
        task_id: task_id.into(),
        display_name: value::text(display).filter(|name| !name.is_empty()).unwrap_or_else(|| task_id.into()),
        operator_name: fields.shared(fields.own("_operator_name")).unwrap_or_else(|| task_type.clone()),
        task_type,
        owner: fields.text("owner", "airflow"),
        upstream: Vec::new(),
        downstream: downstream(encoded, names, place)?,
        group: GroupIndex::ROOT,
        needs_expansion: match encoded.get("_needs_expansion") {
            Some(flag) => value::truth(flag),
            None => expand_input.is_some(),
        },
        trigger_rule: TriggerRule::from_name(&fields.text("trigger_rule", "all_success")),
        retry: retry(&fields),
        pool: fields.text("pool", "default_pool"),
        pool_slots: clamp(fields.number("pool_slots", 1)),
        queue: fields.text("queue", "default"),
        own_weight,
        weight_rule: WeightRule::from_name(&fields.text("weight_rule", "downstream")),
        priority_weight: clamp(own_weight),
        executor: fields.shared(fields.get("executor")),
        executor_config: Some(fields.get("executor_config")).filter(|config| value::truth(config)).cloned(),
        slipstream: TaskEvents::read(fields.get("executor_config")).map(Arc::new),
        execution_timeout: value::duration(fields.get("execution_timeout")),
        run_as_user: fields.shared(fields.get("run_as_user")),
        start_date: value::date(fields.own("start_date")).or(defaults.start_date),
        end_date: value::date(fields.own("end_date")).or(defaults.end_date),
        past: PastDependence {
            depends_on_past: fields.flag("depends_on_past"),
            wait_for_downstream: fields.flag("wait_for_downstream"),
            ignore_first: fields.flag("ignore_first_depends_on_past"),
        },
        max_active_tis_per_dag: value::integer(value::unwrap(fields.get("max_active_tis_per_dag"))),
        max_active_tis_per_dagrun: value::integer(value::unwrap(fields.get("max_active_tis_per_dagrun"))),
        traits: traits(&fields),
        callbacks: TaskCallbacks {
            on_execute: fields.either("has_on_execute_callback", "on_execute_callback"),
            on_failure: fields.either("has_on_failure_callback", "on_failure_callback"),
            on_retry: fields.either("has_on_retry_callback", "on_retry_callback"),
            on_success: fields.either("has_on_success_callback", "on_success_callback"),
            on_skipped: fields.either("has_on_skipped_callback", "on_skipped_callback"),
        },
        email: email(&fields),
        start_trigger: start_trigger(encoded),
        expand_input,
    })
}

fn mapped_over(
    encoded: &Map<String, Value>,
    names: &Names,
    place: InTask<'_>,
) -> Result<Option<ExpandInput>, DagError> {
    if !encoded.get("_is_mapped").is_some_and(value::truth) {
        return Ok(None);
    }
    let attribute = encoded.get("_expand_input_attr").and_then(Value::as_str).unwrap_or("expand_input");
    let input = encoded.get(attribute).ok_or_else(|| names.missing("expand_input", place))?;
    read_expand::expand_input(input, names, &String::from(place)).map(Some)
}

fn downstream(
    encoded: &Map<String, Value>,
    names: &Names,
    place: InTask<'_>,
) -> Result<Vec<TaskIndex>, DagError> {
    let ids = encoded.get("downstream_task_ids").or_else(|| encoded.get("_downstream_task_ids"));
    let ids = ids.map(value::unwrap).and_then(Value::as_array);
    let mut tasks = ids
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(|task_id| names.task(task_id, place))
        .collect::<Result<Vec<_>, _>>()?;
    tasks.sort_unstable();
    tasks.dedup();
    Ok(tasks)
}

fn retry(fields: &Fields<'_>) -> Retry {
    let multiplier = match value::unwrap(fields.get("retry_exponential_backoff")) {
        Value::Bool(true) => 2.0,
        number => number.as_f64().unwrap_or(0.0),
    };
    Retry {
        retries: clamp(fields.number("retries", 0)),
        delay: value::duration(fields.get("retry_delay")).unwrap_or(chrono::TimeDelta::seconds(300)),
        multiplier,
        max_delay: value::duration(fields.get("max_retry_delay")).filter(|delay| !delay.is_zero()),
        has_policy: fields.flag("has_retry_policy"),
    }
}

fn traits(fields: &Fields<'_>) -> Traits {
    Traits {
        is_setup: fields.flag("is_setup"),
        is_teardown: fields.flag("is_teardown"),
        on_failure_fail_dagrun: fields.either("on_failure_fail_dagrun", "_on_failure_fail_dagrun"),
        is_empty: value::truth(fields.own("_is_empty")),
        is_sensor: value::truth(fields.own("_is_sensor")),
        reschedule: value::truth(fields.own("reschedule")),
        can_skip_downstream: value::truth(fields.own("_can_skip_downstream")),
        has_inlets: fields.either("inlets", "_inlets"),
        has_outlets: fields.either("outlets", "_outlets"),
    }
}

fn email(fields: &Fields<'_>) -> Email {
    let unless_denied = |name| fields.get(name).is_null() || fields.flag(name);
    Email {
        to: Some(fields.get("email")).filter(|to| value::truth(to)).map(value::unwrap).cloned(),
        on_failure: unless_denied("email_on_failure"),
        on_retry: unless_denied("email_on_retry"),
    }
}

fn start_trigger(encoded: &Map<String, Value>) -> Option<StartTrigger> {
    if encoded.get("start_from_trigger") != Some(&Value::Bool(true)) {
        return None;
    }
    let arguments = encoded.get("start_trigger_args")?;
    let given = |name: &str| arguments.get(name).filter(|value| !value.is_null()).cloned();
    Some(StartTrigger {
        classpath: value::text(arguments.get("trigger_cls")?)?,
        kwargs: given("trigger_kwargs"),
        next_method: value::text(arguments.get("next_method")?)?,
        next_kwargs: given("next_kwargs"),
        timeout: arguments.get("timeout").and_then(value::duration).filter(|limit| !limit.is_zero()),
    })
}

/// Columns are 32 bits wide.
pub(super) fn clamp(number: i64) -> i32 {
    number.clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32
}
