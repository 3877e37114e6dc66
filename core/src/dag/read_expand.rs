//! Reading what a mapped operator or group is expanded over (`_ExpandInputRef`, `deserialize_xcom_arg`).

use serde_json::Value;

use super::read::Names;
use super::{DagError, ExpandInput, Fill, Length, Shape, TaskIndex, value};

pub(super) fn expand_input(encoded: &Value, names: &Names, place: &str) -> Result<ExpandInput, DagError> {
    let kind = encoded.get("type").and_then(Value::as_str).unwrap_or_default();
    let input = encoded.get("value").ok_or_else(|| names.missing("expand_input", place))?;
    let mut reader = Reader { names, place, sources: Vec::new() };
    let shape = match kind {
        "dict-of-lists" => {
            let arguments =
                value::unwrap(input).as_object().ok_or_else(|| names.missing("expand_input", place))?;
            Shape::Product(
                arguments.values().map(|argument| reader.length(argument)).collect::<Result<_, _>>()?,
            )
        }
        "list-of-dicts" => Shape::Single(reader.list_of_dicts(input)?),
        _ => return Err(names.missing("expand_input", place)),
    };
    Ok(ExpandInput { shape, sources: reader.sources })
}

struct Reader<'a> {
    names: &'a Names,
    place: &'a str,
    sources: Vec<TaskIndex>,
}

impl Reader<'_> {
    /// A list's own length counts, but results that it holds are still depended on.
    fn list_of_dicts(&mut self, input: &Value) -> Result<Length, DagError> {
        if type_is_reference(input) {
            return self.length(input);
        }
        for element in value::unwrap(input).as_array().into_iter().flatten() {
            if type_is_reference(element) {
                self.length(element)?;
            }
        }
        self.length(input)
    }

    fn length(&mut self, argument: &Value) -> Result<Length, DagError> {
        if type_is_reference(argument) {
            return self.reference(value::unwrap(argument));
        }
        Ok(match value::unwrap(argument) {
            _ if value::type_of(argument) == Some("mapped_argument") => Length::Never,
            Value::Array(items) => Length::Literal(items.len() as u64),
            Value::Object(map) => Length::Literal(map.len() as u64),
            Value::String(text) => Length::Literal(text.chars().count() as u64),
            _ => return Err(self.names.missing("expand_input", self.place)),
        })
    }

    fn reference(&mut self, reference: &Value) -> Result<Length, DagError> {
        let missing = || self.names.missing("expand_input", self.place);
        match reference.get("type").and_then(Value::as_str).unwrap_or_default() {
            "" => {
                let task_id = reference.get("task_id").and_then(Value::as_str).ok_or_else(missing)?;
                let task = self.names.task(task_id, self.place)?;
                if !self.sources.contains(&task) {
                    self.sources.push(task);
                }
                Ok(Length::Result(task))
            }
            "map" => {
                let inner = reference.get("arg").ok_or_else(missing)?;
                self.reference(value::unwrap(inner))
            }
            "zip" => {
                let fill = match reference.get("fillvalue") {
                    None => Fill::Absent,
                    Some(given) if value::type_of(given) == Some("arg_not_set") => Fill::Absent,
                    Some(_) => Fill::Given,
                };
                Ok(Length::Zip(self.arguments(reference)?, fill))
            }
            "concat" => Ok(Length::Concat(self.arguments(reference)?)),
            _ => Err(missing()),
        }
    }

    fn arguments(&mut self, reference: &Value) -> Result<Vec<Length>, DagError> {
        let arguments = reference.get("args").and_then(Value::as_array);
        let arguments = arguments.ok_or_else(|| self.names.missing("expand_input", self.place))?;
        arguments.iter().map(|argument| self.reference(value::unwrap(argument))).collect()
    }
}

fn type_is_reference(value: &Value) -> bool {
    value::type_of(value) == Some("xcomref")
}
