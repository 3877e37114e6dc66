//! Every metric of Airflow's own list is sent here, or `docs/parity.md` says why not; and what is sent has the kind and the old
//! name that the list says.

#![allow(clippy::unwrap_used)] // a test that cannot go on has failed

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use regex::Regex;

/// Where Airflow keeps its list, below its package.
const LIST: &str = "airflow/_shared/observability/metrics/metrics_template.yaml";

/// What the list says about a metric.
#[derive(Debug, Default)]
struct Metric {
    kind: String,
    /// `-`: none.
    legacy: String,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Airflow's list, if there is an Airflow.
fn registry() -> Option<BTreeMap<String, Metric>> {
    let libraries = fs::read_dir(root().join(".venv/lib")).ok()?;
    let list = libraries
        .map(|version| version.unwrap().path().join("site-packages").join(LIST))
        .find(|path| path.exists())?;
    let text = fs::read_to_string(list).unwrap();
    let field = Regex::new(r#"^\s+(- name|type|legacy_name): "([^"]*)""#).unwrap();
    let mut metrics = BTreeMap::new();
    let mut name = String::new();
    for found in text.lines().filter_map(|line| field.captures(line)) {
        match &found[1] {
            "- name" => name = found[2].to_owned(),
            "type" => metrics.entry(name.clone()).or_insert_with(Metric::default).kind = found[2].to_owned(),
            _ => metrics.entry(name.clone()).or_insert_with(Metric::default).legacy = found[2].to_owned(),
        }
    }
    assert!(metrics.len() > 80, "only {} metrics were understood", metrics.len());
    Some(metrics)
}

fn collect(folder: &Path, ending: &str, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            collect(&path, ending, into);
        } else if name.ends_with(ending) && !name.ends_with("tests.rs") {
            into.push(path);
        }
    }
}

/// The text of all that sends, without tests and without the code that knows every name.
fn senders() -> String {
    let mut files = Vec::new();
    collect(&root().join("src"), ".rs", &mut files);
    collect(&root().join("airflow_compat"), ".py", &mut files);
    files.sort();
    let mut all = String::new();
    for file in files.iter().filter(|file| !file.starts_with(root().join("src/telemetry"))) {
        let text = fs::read_to_string(file).unwrap();
        all.push_str(text.split("#[cfg(test)]\nmod tests {").next().unwrap());
    }
    all
}

/// A pattern for the names that a template stands for: `{x}` in Airflow's list, `*` in our documents.
fn pattern(name: &str) -> Regex {
    let escaped = regex::escape(name).replace(r"\*", ".*");
    let placeholder = Regex::new(r"\\\{[a-z_]+\\\}").unwrap();
    Regex::new(&format!("^{}$", placeholder.replace_all(&escaped, ".+"))).unwrap()
}

/// The names in the table of metrics that are left to others.
fn excused() -> Vec<String> {
    let text = fs::read_to_string(root().join("docs/parity.md")).unwrap();
    let table = text.split("## Metrics that are left to others").nth(1).unwrap();
    let table = table.split("\n## ").next().unwrap();
    let quoted = Regex::new("`([^`]+)`").unwrap();
    let rows = table.lines().filter(|line| line.starts_with("| `"));
    let names = rows.map(|row| row.split('|').nth(1).unwrap().to_owned());
    names
        .flat_map(|cell| quoted.captures_iter(&cell).map(|name| name[1].to_owned()).collect::<Vec<_>>())
        .collect()
}

#[test]
fn every_metric_of_airflow_is_sent_or_named_with_the_reason() {
    let Some(registry) = registry() else { return };
    let text = senders();
    let literal = Regex::new(r#""([a-z][A-Za-z0-9_.-]+)""#).unwrap();
    let literals: BTreeSet<&str> =
        literal.captures_iter(&text).map(|found| found.get(1).unwrap().as_str()).collect();
    let excused = excused();
    let sent = |name: &str| {
        let template = name.contains('{').then(|| pattern(name));
        template.map_or(literals.contains(name), |name| literals.iter().any(|literal| name.is_match(literal)))
    };
    let excused: Vec<(String, Regex)> =
        excused.into_iter().map(|name| (name.clone(), pattern(&name))).collect();
    let (mut missing, mut needless) = (Vec::new(), Vec::new());
    for name in registry.keys() {
        let reason = excused.iter().find(|(excuse, pattern)| excuse == name || pattern.is_match(name));
        match (sent(name), reason) {
            (false, None) => missing.push(name),
            (true, Some(_)) => needless.push(name),
            _ => {}
        }
    }
    assert!(missing.is_empty(), "neither sent nor in docs/parity.md: {missing:#?}");
    assert!(
        needless.is_empty(),
        "sent, though docs/parity.md says that this is left to others: {needless:#?}"
    );
    let known =
        |excuse: &str, pattern: &Regex| registry.keys().any(|name| name == excuse || pattern.is_match(name));
    let unknown: Vec<_> = excused.iter().filter(|(excuse, pattern)| !known(excuse, pattern)).collect();
    assert!(unknown.is_empty(), "docs/parity.md names metrics that Airflow does not have: {unknown:#?}");
}

#[test]
fn what_is_sent_has_the_kind_that_airflow_says() {
    let Some(registry) = registry() else { return };
    let text = senders();
    let templates: Vec<(usize, Regex, &Metric)> = registry
        .iter()
        .filter(|(name, _)| name.contains('{'))
        .map(|(name, metric)| (name.len(), pattern(name), metric))
        .collect();
    let call =
        Regex::new(r#"(?:metrics|Held)::(incr|count|gauge|gauge_seconds|timing)\(\s*"([^"]+)""#).unwrap();
    let mut wrong = Vec::new();
    let mut seen = 0;
    for found in call.captures_iter(&text).filter(|found| !found[2].starts_with("slipstream.")) {
        seen += 1;
        let (name, kind) = (
            &found[2],
            match &found[1] {
                "incr" | "count" => "counter",
                "timing" => "timer",
                _ => "gauge",
            },
        );
        // Of names with a variable, the longest template is meant.
        let known = registry.get(name).or_else(|| {
            let found = templates.iter().filter(|(_, template, _)| template.is_match(name));
            found.max_by_key(|(length, ..)| *length).map(|(.., metric)| *metric)
        });
        match known {
            Some(metric) if metric.kind == kind => {}
            Some(metric) => {
                wrong.push(format!("{name} is sent as a {kind}, in Airflow it is a {}", metric.kind))
            }
            None => wrong.push(format!("{name} is no metric of Airflow's")),
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    assert!(seen > 40, "only {seen} calls were understood");
}

#[test]
fn old_names_are_those_of_airflows_list() {
    let Some(registry) = registry() else { return };
    let text = fs::read_to_string(root().join("src/telemetry/metrics/legacy.rs")).unwrap();
    let pair = Regex::new(r#"\("([^"]+)", "([^"]+)"\)"#).unwrap();
    let ours: BTreeMap<String, String> =
        pair.captures_iter(&text).map(|found| (found[1].to_owned(), found[2].to_owned())).collect();
    let mut wrong = Vec::new();
    for (name, legacy) in &ours {
        if registry.get(name).is_none_or(|metric| metric.legacy != *legacy) {
            wrong.push(format!("{name} has the old name {legacy} here only"));
        }
    }
    let text = senders();
    for (name, metric) in registry.iter().filter(|(_, metric)| metric.legacy != "-") {
        if text.contains(&format!("\"{name}\"")) && !ours.contains_key(name) {
            wrong.push(format!("{name} is sent without its old name {}", metric.legacy));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}
