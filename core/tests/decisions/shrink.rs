//! Makes a case that fails smaller, as long as it fails.

use serde_json::{Value, json};

/// The smallest case that can be reached by leaving things out, one at a time, with `fails` still true of it.
///
/// `fails` says of each of the cases whether it fails: it is asked for many at once, because asking takes long.
pub(crate) fn shrink(case: Value, fails: impl Fn(&[Value]) -> Vec<bool>) -> Value {
    let mut smallest = case;
    for _ in 0..40 {
        let smaller = smaller(&smallest);
        let verdicts = fails(&smaller);
        match smaller.into_iter().zip(verdicts).find(|(_, fails)| *fails) {
            Some((case, _)) => smallest = case,
            None => break,
        }
    }
    smallest
}

/// The case with one thing less, the greatest things first.
fn smaller(case: &Value) -> Vec<Value> {
    let mut found = Vec::new();
    let count = |name: &str| case[name].as_array().map_or(0, Vec::len);
    for index in (0..count("tasks")).rev() {
        found.extend(without_task(case, index));
    }
    let mut change = |place: String, value: Value| {
        let mut less = case.clone();
        let Some(old) = less.pointer_mut(&place) else { return };
        if *old != value {
            *old = value;
            found.push(less);
        }
    };
    for index in 0..count("tasks") {
        let task = format!("/tasks/{index}");
        for above in 0..case["tasks"][index]["upstream"].as_array().map_or(0, Vec::len) {
            let mut upstream = case["tasks"][index]["upstream"].clone();
            upstream.as_array_mut().map(|list| list.remove(above));
            change(format!("{task}/upstream"), upstream);
        }
        change(format!("{task}/group"), Value::Null);
        change(format!("{task}/over"), Value::Null);
        change(format!("{task}/role"), "plain".into());
        let mut operator = case["tasks"][index].clone();
        operator["kind"] = "op".into();
        // Only a sensor can be given it.
        operator["arguments"].as_object_mut().map(|arguments| arguments.remove("mode"));
        change(task.clone(), operator);
        change(
            format!("{task}/arguments"),
            json!({"trigger_rule": case["tasks"][index]["arguments"]["trigger_rule"]}),
        );
        change(format!("{task}/arguments/trigger_rule"), "all_success".into());
    }
    for index in 0..count("groups") {
        change(format!("/groups/{index}/over"), Value::Null);
    }
    for index in 0..count("looks") {
        for state in 0..case["looks"][index]["states"].as_array().map_or(0, Vec::len) {
            if !case["looks"][index]["states"][state].is_null() {
                change(format!("/looks/{index}/states/{state}"), "success".into());
            }
        }
    }
    for index in 0..count("skips") {
        let mut skips = case["skips"].clone();
        skips.as_array_mut().map(|list| list.remove(index));
        change("/skips".into(), skips);
    }
    change("/previous".into(), Value::Null);
    change("/lengths".into(), json!({}));
    change("/results".into(), json!({}));
    found
}

/// The case without a task, if nothing else names it and no look is at it.
fn without_task(case: &Value, index: usize) -> Option<Value> {
    let id = case["tasks"][index]["id"].clone();
    let looked_at = case["looks"].as_array().into_iter().flatten().any(|look| look["target"][0] == id);
    let name = id.to_string();
    let named = |value: &Value| value.to_string().contains(&name);
    let mut less = case.clone();
    less["tasks"].as_array_mut()?.remove(index);
    if looked_at
        || less["tasks"].as_array()?.iter().any(|task| named(&task["over"]))
        || named(&less["groups"])
    {
        return None;
    }
    for task in less["tasks"].as_array_mut()? {
        task["upstream"].as_array_mut()?.retain(|above| *above != id);
    }
    let keep: Vec<bool> = case["tis"].as_array()?.iter().map(|ti| ti["task"] != id).collect();
    let kept = |list: &mut Value| {
        let mut keep = keep.iter();
        list.as_array_mut().map(|list| list.retain(|_| *keep.next().unwrap_or(&true)))
    };
    kept(&mut less["tis"])?;
    for look in less.get_mut("looks").and_then(Value::as_array_mut).into_iter().flatten() {
        kept(&mut look["states"])?;
    }
    for table in ["lengths", "results"] {
        less[table].as_object_mut()?.remove(id.as_str()?);
    }
    for list in ["skips", "previous"] {
        let of_task = |row: &Value| row[0] == id || row["task"] == id;
        less[list].as_array_mut().into_iter().for_each(|rows| rows.retain(|row| !of_task(row)));
    }
    Some(less)
}
