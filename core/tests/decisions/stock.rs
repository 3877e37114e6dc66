//! Airflow's answers to cases: a Python process per batch.

#![allow(clippy::print_stderr, reason = "it says why nothing was asked")]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

/// A Python with Airflow: `SLIPSTREAM_PYTHON`, or that of the repository; `None` if there is none.
pub(crate) fn python() -> Option<PathBuf> {
    let own = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../.venv/bin/python");
    let python = std::env::var_os("SLIPSTREAM_PYTHON").map_or_else(own, PathBuf::from);
    if !python.exists() {
        eprintln!("skipped: no Python with Airflow (set SLIPSTREAM_PYTHON)");
        return None;
    }
    Some(python)
}

/// What Airflow makes of each case.
pub(crate) fn ask(python: &Path, cases: &[Value]) -> Vec<Value> {
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/decisions/stock.py");
    let mut child = Command::new(python)
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("Python starts");
    let mut input = child.stdin.take().expect("a pipe");
    let text = serde_json::to_vec(cases).expect("JSON");
    let writer = std::thread::spawn(move || input.write_all(&text));
    let output = child.wait_with_output().expect("Python ends");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    writer.join().expect("the writer ends").expect("Python reads the cases");
    let answers: Vec<Value> = serde_json::from_slice(&output.stdout).expect("Airflow's answers");
    assert_eq!(answers.len(), cases.len(), "Airflow answered every case");
    answers
}
