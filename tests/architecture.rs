//! The rules of the house, held by machine: who may name whom.

#![allow(clippy::unwrap_used)] // a test that cannot go on has failed

use std::fs;
use std::path::{Path, PathBuf};

/// A source file and its text, without line comments and without the tests at its end.
struct Source {
    path: String,
    text: String,
}

fn sources(folder: &str) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    collect(&root.join(folder), &mut files);
    files.sort();
    let read = |path: &PathBuf| Source {
        path: path.strip_prefix(root).unwrap().to_string_lossy().into_owned(),
        text: code(&fs::read_to_string(path).unwrap()),
    };
    files.iter().map(read).collect()
}

fn collect(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") && !is_test(&path) {
            into.push(path);
        }
    }
}

fn is_test(path: &Path) -> bool {
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    name.ends_with("tests")
        || ["testing", "test_db", "fake"].contains(&&*name)
        || path.components().any(|part| part.as_os_str() == "tests")
}

fn code(text: &str) -> String {
    let production = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or(text);
    let lines = production.lines().map(|line| line.split("//").next().unwrap_or_default());
    lines.collect::<Vec<_>>().join("\n")
}

/// Files below `folder` (except below `except`) that name one of `words`.
fn offenders(folder: &str, except: &[&str], words: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for source in sources(folder) {
        if except.iter().any(|place| source.path.starts_with(place)) {
            continue;
        }
        let named = words.iter().filter(|word| source.text.contains(*word));
        found.extend(named.map(|word| format!("{} names {word}", source.path)));
    }
    found
}

fn none(found: &[String]) {
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

#[test]
fn the_database_driver_is_named_only_in_the_store() {
    none(&offenders("src", &["src/store/"], &["sea_orm", "sqlx"]));
}

#[test]
fn options_of_airflow_are_read_only_by_the_configuration() {
    none(&offenders("src", &["src/config/"], &["env::var(\"AIRFLOW__", "env::var_os(\"AIRFLOW__"]));
}

#[test]
fn decisions_need_no_input_no_clock_and_no_chance() {
    let words = [
        "std::fs",
        "std::net",
        "std::env",
        "std::process",
        "std::thread",
        "Instant::now",
        "SystemTime::now",
        "Utc::now",
        "Local::now",
        "tokio",
        "async fn",
        "rand::",
        "Uuid::new_v4",
        "Uuid::now_v7",
    ];
    none(&offenders("core/src", &[], &words));
}

#[test]
fn roles_do_not_know_each_other() {
    let roles = ["scheduler", "executor", "worker", "dag_processor", "events", "api", "cli"];
    let mut found = Vec::new();
    for role in roles.iter().filter(|role| **role != "cli") {
        for other in roles.iter().filter(|other| *other != role) {
            // The contract between the scheduler, its worker and the files that both name is the executor's.
            if *other == "executor" && ["scheduler", "worker"].contains(role) {
                continue;
            }
            found.extend(offenders(&format!("src/{role}"), &[], &[&format!("crate::{other}::")]));
        }
    }
    none(&found);
}

#[test]
fn the_lower_layer_knows_no_role() {
    let roles = [
        "crate::scheduler::",
        "crate::worker::",
        "crate::dag_processor::",
        "crate::events::",
        "crate::api::",
        "crate::cli::",
    ];
    let mut found = Vec::new();
    for lower in ["config", "store", "python", "telemetry", "runtime", "supervisor"] {
        found.extend(offenders(&format!("src/{lower}"), &[], &roles));
    }
    none(&found);
}

#[test]
fn only_the_command_line_prints() {
    none(&offenders("src", &["src/cli/"], &["println!", "eprintln!"]));
}

#[test]
fn the_main_function_is_short() {
    let main = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/main.rs")).unwrap();
    assert!(main.lines().count() <= 40);
}
