//! Validation of a run's conf against the Dag's params (`airflow/serialization/definitions/param.py`).

use serde_json::Value;

use super::super::encoding::plain;

/// A param whose value does not satisfy its schema.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Invalid input for param {name}: {why}")]
pub struct ParamError {
    /// The param.
    pub name: String,
    /// What is wrong with its value.
    pub why: String,
}

/// Checks the Dag's params, as serialised (`[[name, {default, schema, …}], …]`), with the run's conf laid over them.
///
/// What the conf holds beyond the params is not checked.
///
/// # Errors
/// The first param whose value is missing or does not satisfy its schema.
pub fn check(params: &Value, conf: Option<&Value>) -> Result<(), ParamError> {
    for (name, param) in entries(params) {
        let given = conf.and_then(|conf| conf.get(name));
        check_one(param, given).map_err(|why| ParamError { name: name.to_owned(), why })?;
    }
    Ok(())
}

/// Names and definitions; a mapping (older serialisations) or a list of pairs.
fn entries(params: &Value) -> Vec<(&str, &Value)> {
    match params {
        Value::Array(pairs) => {
            pairs.iter().filter_map(|pair| Some((pair.get(0)?.as_str()?, pair.get(1)?))).collect()
        }
        Value::Object(map) => map.iter().map(|(name, param)| (name.as_str(), param)).collect(),
        _ => Vec::new(),
    }
}

fn check_one(param: &Value, given: Option<&Value>) -> Result<(), String> {
    let default;
    let value = match given {
        Some(value) => value,
        None => {
            default = param.get("default").map(plain).unwrap_or_default();
            &default
        }
    };
    if value.get("__type").and_then(Value::as_str) == Some("arg_not_set") {
        return Err("No value passed".to_owned());
    }
    let schema = param.get("schema").map(plain).unwrap_or_default();
    match schema.as_object() {
        // No schema, or one that allows everything: the common case.
        None => Ok(()),
        Some(map) if map.is_empty() => Ok(()),
        Some(_) => {
            let validator = jsonschema::options()
                .should_validate_formats(true)
                .build(&schema)
                .map_err(|error| error.to_string())?;
            validator.validate(value).map_err(|error| error.to_string())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn params() -> Value {
        json!([
            ["n", {"default": 3, "schema": {"__type": "dict", "__var": {"type": "integer", "minimum": 1}}}],
            ["free", {"default": null, "schema": {"__type": "dict", "__var": {}}}],
        ])
    }

    #[test]
    fn a_conf_that_satisfies_the_params_is_taken() {
        assert_eq!(check(&params(), None), Ok(()));
        assert_eq!(check(&params(), Some(&json!({"n": 7, "other": "anything"}))), Ok(()));
    }

    #[test]
    fn a_value_outside_its_schema_names_the_param() {
        let error = check(&params(), Some(&json!({"n": 0}))).unwrap_err();
        assert!(error.to_string().starts_with("Invalid input for param n: "), "{error}");
        assert!(check(&params(), Some(&json!({"n": "x"}))).is_err());
    }

    #[test]
    fn a_param_without_a_default_must_be_given() {
        let params = json!([["n", {"default": {"__type": "arg_not_set"}, "schema": {"type": "integer"}}]]);
        assert_eq!(check(&params, None).unwrap_err().why, "No value passed");
        assert_eq!(check(&params, Some(&json!({"n": 1}))), Ok(()));
    }
}
