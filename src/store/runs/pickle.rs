//! `task_instance.executor_config`: a pickled Python dictionary (`airflow/utils/sqlalchemy.py`, `ExecutorConfigType`).

use serde_json::Value;

/// What pickle protocol 5 makes of an empty dictionary; by far the most common value.
const EMPTY_DICT: [u8; 5] = [0x80, 5, b'}', 0x94, b'.'];

/// Pickles an `executor_config` as the serialised Dag holds it.
///
/// Airflow's encoding of dictionaries, sets and tuples is undone, except below `pod_override`, which Airflow keeps encoded
/// in this column. What cannot be written with pickle's basic types keeps its encoded form.
pub fn executor_config(config: Option<&Value>) -> Vec<u8> {
    match config.map(unwrap_dict).and_then(Value::as_object) {
        Some(map) if !map.is_empty() => {
            let mut out = vec![0x80, 5];
            put_dict(&mut out, map, |key| if key == "pod_override" { Form::Encoded } else { Form::Decoded });
            out.push(b'.');
            out
        }
        _ => EMPTY_DICT.to_vec(),
    }
}

/// Whether Airflow's type tags in a value are undone or kept.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Decoded,
    Encoded,
}

/// The dictionary behind `{"__type": "dict", "__var": …}`.
fn unwrap_dict(value: &Value) -> &Value {
    match (value.get("__type").and_then(Value::as_str), value.get("__var")) {
        (Some("dict"), Some(var)) => var,
        _ => value,
    }
}

fn put(out: &mut Vec<u8>, value: &Value, form: Form) {
    if form == Form::Decoded
        && let (Some(kind), Some(var)) = (value.get("__type").and_then(Value::as_str), value.get("__var"))
    {
        match (kind, var) {
            ("dict", Value::Object(map)) => return put_dict(out, map, |_| form),
            ("tuple", Value::Array(items)) => return put_items(out, items, form, b"(", b't'),
            ("set", Value::Array(items)) => return put_items(out, items, form, &[0x8f, b'('], 0x90),
            _ => {}
        }
    }
    match value {
        Value::Null => out.push(b'N'),
        Value::Bool(true) => out.push(0x88),
        Value::Bool(false) => out.push(0x89),
        Value::Number(number) => put_number(out, number),
        Value::String(text) => put_text(out, text),
        Value::Array(items) => put_items(out, items, form, b"](", b'e'),
        Value::Object(map) => put_dict(out, map, |_| form),
    }
}

fn put_dict(out: &mut Vec<u8>, map: &serde_json::Map<String, Value>, form: impl Fn(&str) -> Form) {
    out.extend_from_slice(b"}(");
    for (key, value) in map {
        put_text(out, key);
        put(out, value, form(key));
    }
    out.push(b'u');
}

fn put_items(out: &mut Vec<u8>, items: &[Value], form: Form, open: &[u8], close: u8) {
    out.extend_from_slice(open);
    for item in items {
        put(out, item, form);
    }
    out.push(close);
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    out.push(0x8d);
    out.extend_from_slice(&(text.len() as u64).to_le_bytes());
    out.extend_from_slice(text.as_bytes());
}

fn put_number(out: &mut Vec<u8>, number: &serde_json::Number) {
    match (number.as_i64(), number.as_f64()) {
        (Some(whole), _) => {
            out.extend_from_slice(&[0x8a, 8]);
            out.extend_from_slice(&whole.to_le_bytes());
        }
        (None, Some(float)) => {
            out.push(b'G');
            out.extend_from_slice(&float.to_be_bytes());
        }
        (None, None) => put_text(out, &number.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_empty_config_has_pythons_own_bytes() {
        assert_eq!(executor_config(Some(&json!({}))), EMPTY_DICT);
        assert_eq!(executor_config(None), EMPTY_DICT);
        assert_eq!(executor_config(Some(&json!({"__type": "dict", "__var": {}}))), EMPTY_DICT);
    }

    #[test]
    fn python_reads_back_what_was_pickled() {
        let Some(python) = crate::store::runs::testing::python() else { return };
        let config = json!({"__type": "dict", "__var": {
            "Exec": {"__type": "dict", "__var": {"image": "a:1", "n": 3, "f": 1.5, "neg": -70000000000i64}},
            "list": [1, true, null, "ü"], "pair": {"__type": "tuple", "__var": [1, 2]},
            "pod_override": {"__type": "k8s.V1Pod", "__var": {"a": 1}}}});
        let hex = hex::encode(executor_config(Some(&config)));
        let code = format!(
            "import pickle; v=pickle.loads(bytes.fromhex('{hex}')); \
             assert v=={{'Exec':{{'image':'a:1','n':3,'f':1.5,'neg':-70000000000}},'list':[1,True,None,'ü'],'pair':(1,2),\
             'pod_override':{{'__type':'k8s.V1Pod','__var':{{'a':1}}}}}}, v"
        );
        let done = std::process::Command::new(python).args(["-c", &code]).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }
}
