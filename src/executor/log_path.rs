//! `[logging] log_filename_template`: where the log of a try goes (`airflow/utils/helpers.py`).
//!
//! Airflow renders it with Jinja, or with `str.format` if it has no `{{`. The part of Jinja that file name templates use is
//! rendered here: `{{ ti.field }}`, `{{ try_number }}`, the filter `default`, and `{% if ti.map_index >= 0 %}`.

use super::workload::WorkloadTi;

/// A template that cannot be rendered here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "[logging] log_filename_template cannot be used: `{part}` {why}; use Airflow's default template or one made of \
     `{{{{ ti.dag_id }}}}`, `{{{{ ti.run_id }}}}`, `{{{{ ti.task_id }}}}`, `{{{{ ti.map_index }}}}`, `{{{{ try_number }}}}` and \
     `{{% if ti.map_index >= 0 %}} … {{% endif %}}`"
)]
pub struct LogTemplateError {
    part: String,
    why: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    DagId,
    TaskId,
    RunId,
    MapIndex,
    TryNumber,
    Queue,
    Id,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Field(Field),
    /// `{% if ti.map_index >= 0 %} … {% endif %}`
    IfMapped(Vec<Part>),
}

/// A parsed `[logging] log_filename_template`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogTemplate(Vec<Part>);

/// `[logging] log_filename_template` where it is not configured.
pub const DEFAULT_LOG_TEMPLATE: &str = "dag_id={{ ti.dag_id }}/run_id={{ ti.run_id }}/task_id={{ ti.task_id }}/\
    {% if ti.map_index >= 0 %}map_index={{ ti.map_index }}/{% endif %}attempt={{ try_number|default(ti.try_number) }}.log";

impl LogTemplate {
    /// Reads a template.
    ///
    /// # Errors
    /// [`LogTemplateError`] names the part that is not understood.
    pub fn parse(template: &str) -> Result<Self, LogTemplateError> {
        if !template.contains("{{") {
            return Ok(Self(parse_format(template)?));
        }
        let mut rest = template;
        let parts = parse_jinja(&mut rest, Nesting::Outside)?;
        Ok(Self(parts))
    }

    /// The log's path for a try, relative to `[logging] base_log_folder`.
    pub fn render(&self, ti: &WorkloadTi) -> String {
        let mut path = String::new();
        render(&self.0, ti, &mut path);
        path
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Nesting {
    Outside,
    InIf,
}

fn parse_jinja(rest: &mut &str, nesting: Nesting) -> Result<Vec<Part>, LogTemplateError> {
    let mut parts = Vec::new();
    while let Some(at) = [rest.find("{{"), rest.find("{%")].into_iter().flatten().min() {
        if at > 0 {
            parts.push(Part::Text(rest[..at].to_owned()));
        }
        let (open, close) = if rest[at..].starts_with("{{") { ("{{", "}}") } else { ("{%", "%}") };
        let inside = &rest[at + 2..];
        let end = inside.find(close).ok_or_else(|| bad(&rest[at..], "is not closed"))?;
        let text = inside[..end].trim_matches('-').trim();
        *rest = &inside[end + 2..];
        if open == "{{" {
            parts.push(Part::Field(jinja_field(text)?));
            continue;
        }
        match text.split_whitespace().collect::<String>().as_str() {
            "ifti.map_index>=0" | "ifti.map_index>-1" | "ifti.map_index!=-1" => {
                parts.push(Part::IfMapped(parse_jinja(rest, Nesting::InIf)?));
            }
            "endif" if nesting == Nesting::InIf => return Ok(parts),
            _ => return Err(bad(text, "is a Jinja statement that is not supported in file names")),
        }
    }
    if nesting == Nesting::InIf {
        return Err(bad("{% if %}", "has no `{% endif %}`"));
    }
    if !rest.is_empty() {
        parts.push(Part::Text((*rest).to_owned()));
    }
    Ok(parts)
}

fn jinja_field(text: &str) -> Result<Field, LogTemplateError> {
    let compact: String = text.split_whitespace().collect();
    // The scheduler renders without `try_number`, so that the filter always takes its default.
    match compact.as_str() {
        "ti.dag_id" => Ok(Field::DagId),
        "ti.task_id" => Ok(Field::TaskId),
        "ti.run_id" => Ok(Field::RunId),
        "ti.map_index" => Ok(Field::MapIndex),
        "ti.queue" => Ok(Field::Queue),
        "ti.id" => Ok(Field::Id),
        "ti.try_number" | "try_number|default(ti.try_number)" | "try_numberorti.try_number" => {
            Ok(Field::TryNumber)
        }
        _ => Err(bad(text, "is a Jinja expression that is not supported in file names")),
    }
}

fn parse_format(template: &str) -> Result<Vec<Part>, LogTemplateError> {
    let mut parts = Vec::new();
    let mut rest = template;
    while let Some(at) = rest.find('{') {
        if at > 0 {
            parts.push(Part::Text(rest[..at].to_owned()));
        }
        let end = rest[at..].find('}').ok_or_else(|| bad(&rest[at..], "is not closed"))? + at;
        parts.push(Part::Field(match &rest[at + 1..end] {
            "dag_id" => Field::DagId,
            "task_id" => Field::TaskId,
            "try_number" => Field::TryNumber,
            other => return Err(bad(other, "is a field that is not supported in file names")),
        }));
        rest = &rest[end + 1..];
    }
    if !rest.is_empty() {
        parts.push(Part::Text(rest.to_owned()));
    }
    Ok(parts)
}

fn bad(part: &str, why: &'static str) -> LogTemplateError {
    LogTemplateError { part: part.to_owned(), why }
}

fn render(parts: &[Part], ti: &WorkloadTi, path: &mut String) {
    for part in parts {
        match part {
            Part::Text(text) => path.push_str(text),
            Part::IfMapped(inner) if ti.map_index.is_mapped() => render(inner, ti, path),
            Part::IfMapped(_) => {}
            Part::Field(field) => match field {
                Field::DagId => path.push_str(ti.dag_id.as_str()),
                Field::TaskId => path.push_str(ti.task_id.as_str()),
                Field::RunId => path.push_str(ti.run_id.as_str()),
                Field::MapIndex => path.push_str(&ti.map_index.to_string()),
                Field::TryNumber => path.push_str(&ti.try_number.to_string()),
                Field::Queue => path.push_str(&ti.queue),
                Field::Id => path.push_str(&ti.id.to_string()),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use slipstream_core::ids::MapIndex;

    fn ti(map_index: i32) -> WorkloadTi {
        WorkloadTi {
            id: uuid::Uuid::nil(),
            task_id: "group.load".into(),
            dag_id: "sales".into(),
            run_id: "manual__2026-01-02T00:00:00+00:00".into(),
            try_number: 3,
            dag_version_id: None,
            map_index: MapIndex(map_index),
            hostname: None,
            context_carrier: serde_json::Value::Null,
            queue: "default".into(),
            pool_slots: 1,
            priority_weight: 1,
        }
    }

    #[test]
    fn the_default_template_gives_airflows_layout() {
        let template = LogTemplate::parse(DEFAULT_LOG_TEMPLATE).unwrap();
        assert_eq!(
            template.render(&ti(-1)),
            "dag_id=sales/run_id=manual__2026-01-02T00:00:00+00:00/task_id=group.load/attempt=3.log"
        );
        assert_eq!(
            template.render(&ti(7)),
            "dag_id=sales/run_id=manual__2026-01-02T00:00:00+00:00/task_id=group.load/map_index=7/attempt=3.log"
        );
    }

    #[test]
    fn a_format_string_is_rendered_as_python_does() {
        let template = LogTemplate::parse("{dag_id}/{task_id}/{try_number}.log").unwrap();
        assert_eq!(template.render(&ti(-1)), "sales/group.load/3.log");
    }

    #[test]
    fn an_unsupported_expression_is_named_with_the_option() {
        let error =
            LogTemplate::parse("{{ ti.dag_id }}/{{ ti.start_date.year }}.log").unwrap_err().to_string();
        assert!(error.contains("log_filename_template") && error.contains("ti.start_date.year"), "{error}");
    }
}
