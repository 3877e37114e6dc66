//! `[logging] log_filename_template`: where the log of a try goes (`airflow/utils/helpers.py`).
//!
//! Airflow renders it with Jinja, or with `str.format` if it has no `{{`, and gives it the task instance as `ti`. Of a task instance
//! that has not run yet a template can only use what is known here.

use std::sync::Arc;

use minijinja::{Environment, context};
use minijinja_contrib::pycompat::unknown_method_callback;
use slipstream_core::ids::MapIndex;

use super::workload::WorkloadTi;

/// A template that cannot be rendered here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "[logging] log_filename_template cannot be used: {why}, in `{template}`; use Airflow's default template, or what it can be made of: `ti.` with {fields}",
    fields = FIELDS.join(", ")
)]
pub struct LogTemplateError {
    why: String,
    template: String,
}

/// What a template can ask of `ti`.
const FIELDS: &[&str] = &[
    "dag_id",
    "run_id",
    "task_id",
    "map_index",
    "try_number",
    "queue",
    "pool_slots",
    "priority_weight",
    "id",
];

/// The name of the template in its environment.
const NAME: &str = "log_filename_template";

/// A parsed `[logging] log_filename_template`. Cheap to clone.
#[derive(Clone, Debug)]
pub struct LogTemplate(Arc<Environment<'static>>);

/// `[logging] log_filename_template` where it is not configured.
pub const DEFAULT_LOG_TEMPLATE: &str = "dag_id={{ ti.dag_id }}/run_id={{ ti.run_id }}/task_id={{ ti.task_id }}/\
    {% if ti.map_index >= 0 %}map_index={{ ti.map_index }}/{% endif %}attempt={{ try_number|default(ti.try_number) }}.log";

impl LogTemplate {
    /// Reads a template, and renders it once to see whether it can be.
    ///
    /// # Errors
    /// [`LogTemplateError`] says what is not understood.
    pub fn parse(template: &str) -> Result<Self, LogTemplateError> {
        let mut environment = Environment::new();
        environment.set_unknown_method_callback(unknown_method_callback);
        let source = if template.contains("{{") {
            template
        } else {
            environment.add_global("template", template);
            "{{ template.format(dag_id=ti.dag_id, task_id=ti.task_id, try_number=ti.try_number) }}"
        };
        let refused = |why: String| LogTemplateError { why, template: template.to_owned() };
        let broken = |error: minijinja::Error| refused(error.to_string());
        environment.add_template_owned(NAME, source.to_owned()).map_err(broken)?;
        let used = environment.get_template(NAME).map_err(broken)?.undeclared_variables(true);
        if let Some(field) =
            used.iter().filter_map(|name| name.strip_prefix("ti.")).find(|name| !is_known(name))
        {
            return Err(refused(format!("`ti.{field}` is not known when a task is queued")));
        }
        let parsed = Self(Arc::new(environment));
        for map_index in [MapIndex::UNMAPPED, MapIndex(0)] {
            parsed.try_render(&example(map_index)).map_err(broken)?;
        }
        Ok(parsed)
    }

    /// The log's path for a try, relative to `[logging] base_log_folder`.
    pub fn render(&self, ti: &WorkloadTi) -> String {
        self.try_render(ti).unwrap_or_else(|error| {
            let path = format!("{}/{}/{}.log", ti.dag_id, ti.id, ti.try_number);
            tracing::error!(ti = %ti.key(), %error, path, "[logging] log_filename_template cannot be rendered for this task instance");
            path
        })
    }

    fn try_render(&self, ti: &WorkloadTi) -> Result<String, minijinja::Error> {
        let ti = context! {
            dag_id => ti.dag_id.as_str(),
            run_id => ti.run_id.as_str(),
            task_id => ti.task_id.as_str(),
            map_index => ti.map_index.0,
            try_number => ti.try_number,
            queue => ti.queue.as_str(),
            pool_slots => ti.pool_slots,
            priority_weight => ti.priority_weight,
            id => ti.id.to_string(),
        };
        self.0.get_template(NAME)?.render(context! { ti => ti })
    }
}

/// Whether a template can ask for it; more than a field may be looked up, as in `ti.dag_id.upper`.
fn is_known(name: &str) -> bool {
    name.split('.').next().is_some_and(|field| FIELDS.contains(&field))
}

fn example(map_index: MapIndex) -> WorkloadTi {
    WorkloadTi {
        id: uuid::Uuid::nil(),
        task_id: "group.load".into(),
        dag_id: "sales".into(),
        run_id: "manual__2026-01-02T00:00:00+00:00".into(),
        try_number: 3,
        dag_version_id: None,
        map_index,
        hostname: None,
        context_carrier: serde_json::Value::Null,
        queue: "default".into(),
        pool_slots: 1,
        priority_weight: 1,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::process::{Command, Stdio};

    use super::*;
    use crate::store::testing;

    #[test]
    fn the_default_template_gives_airflows_layout() {
        let template = LogTemplate::parse(DEFAULT_LOG_TEMPLATE).unwrap();
        let run = "dag_id=sales/run_id=manual__2026-01-02T00:00:00+00:00/task_id=group.load";
        assert_eq!(template.render(&example(MapIndex::UNMAPPED)), format!("{run}/attempt=3.log"));
        assert_eq!(template.render(&example(MapIndex(7))), format!("{run}/map_index=7/attempt=3.log"));
    }

    #[test]
    fn templates_are_rendered_as_by_airflow() {
        let templates = [
            DEFAULT_LOG_TEMPLATE,
            "{dag_id}/{task_id}/{try_number}.log",
            "{dag_id}/{task_id:>12}/{try_number:03d}.log",
            "{{ ti.dag_id }}/{{ ti.task_id }}/{{ ts }}/{{ try_number }}.log",
            "{{ ti.dag_id.replace('s', '_') }}/{{ ti.run_id.split('__')[0] }}/{{ ti.task_id | upper }}.log",
            "{{ ti.run_id | replace(':', '-') }}/{{ ti.map_index if ti.map_index >= 0 else 'all' }}/{{ '%02d' | format(ti.try_number) }}",
            "{% set d = ti.dag_id %}{{ d[0] }}/{{ d }}{% if try_number %}/{{ try_number }}{% endif %}/{{ ti.queue }}-{{ ti.priority_weight + 1 }}",
            "{#- a comment -#} {{- ti.dag_id ~ '/' ~ ti.try_number -}} \n",
            "{{ ti.task_id.split('.')[-1] }}/{{ ti.dag_id[:2] }}/{{ ti.pool_slots * 10 // 3 }}",
        ];
        let program = r#"
import json, sys
from types import SimpleNamespace
from airflow.utils import helpers
out = []
for template in json.load(sys.stdin):
    helpers.conf = SimpleNamespace(get=lambda *_: template)
    for index in (-1, 4):
        ti = SimpleNamespace(dag_id="sales", run_id="manual__2026-01-02T00:00:00+00:00", task_id="group.load", map_index=index,
            try_number=3, queue="default", pool_slots=1, priority_weight=1, logical_date=SimpleNamespace(isoformat=str))
        out.append(helpers.log_filename_template_renderer.__wrapped__()(ti=ti))
json.dump(out, sys.stdout)
"#;
        let home = tempfile::tempdir().unwrap();
        let mut python = Command::new(testing::python())
            .args(["-c", program])
            .env("AIRFLOW_HOME", home.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        python.stdin.take().unwrap().write_all(&serde_json::to_vec(&templates).unwrap()).unwrap();
        let output = python.wait_with_output().unwrap();
        let airflows: Vec<String> = serde_json::from_slice(&output.stdout).unwrap();
        let ours = templates.iter().flat_map(|text| {
            let template = LogTemplate::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            [-1, 4].map(|index| template.render(&example(MapIndex(index))))
        });
        assert_eq!(ours.collect::<Vec<_>>(), airflows);
    }

    #[test]
    fn what_is_not_known_of_a_queued_task_is_refused_and_named() {
        for (template, named) in [
            ("{{ ti.dag_id }}/{{ ti.start_date.year }}.log", "ti.start_date"),
            ("{dag_id}/{logical_date}.log", "logical_date"),
            ("{{ ti.dag_id }", "log_filename_template"),
            ("{{ ti.dag_id | no_such_filter }}", "no_such_filter"),
        ] {
            let error = LogTemplate::parse(template).unwrap_err().to_string();
            assert!(error.contains("log_filename_template") && error.contains(named), "{template}: {error}");
        }
    }
}
