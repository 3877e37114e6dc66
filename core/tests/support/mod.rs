//! What the differential tests share: a seeded generator, and one Airflow process that answers a batch of questions.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::Value;

/// A small generator whose whole state is its seed, so that a failure can be repeated (splitmix64).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number in `low..=high`.
    pub(crate) fn within(&mut self, low: i64, high: i64) -> i64 {
        low + i64::try_from(self.next() % (high - low + 1).unsigned_abs()).unwrap()
    }

    pub(crate) fn chance(&mut self, percent: i64) -> bool {
        self.within(1, 100) <= percent
    }

    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[usize::try_from(self.within(0, i64::try_from(from.len()).unwrap() - 1)).unwrap()]
    }
}

/// Whether the long version of a test is asked for.
pub(crate) fn slow() -> bool {
    std::env::var("SLIPSTREAM_SLOW").is_ok_and(|value| value == "1")
}

/// The seed of this run: `SLIPSTREAM_SEED`, or a fixed one.
pub(crate) fn seed() -> u64 {
    std::env::var("SLIPSTREAM_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(7)
}

fn python() -> Option<PathBuf> {
    let default = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../.venv/bin/python");
    let path = std::env::var_os("SLIPSTREAM_PYTHON").map_or(default, PathBuf::from);
    path.exists().then_some(path)
}

/// Airflow's answers, or none (with a line that says so) where there is no Airflow.
pub(crate) fn ask_airflow(questions: &Value) -> Option<Value> {
    let Some(python) = python() else {
        println!("skipped: no Python with Airflow; set SLIPSTREAM_PYTHON to one");
        return None;
    };
    let home = std::env::temp_dir().join(format!("slipstream-oracle-{}", std::process::id()));
    let mut child = Command::new(python)
        .args(["-c", include_str!("../oracle/answers.py")])
        .env("AIRFLOW_HOME", &home)
        .env("AIRFLOW__CORE__UNIT_TEST_MODE", "False")
        .env("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "sqlite://")
        .env("AIRFLOW__LOGGING__LOGGING_LEVEL", "CRITICAL")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("Python starts");
    child.stdin.take().expect("piped").write_all(questions.to_string().as_bytes()).expect("Python reads");
    let output = child.wait_with_output().expect("Python ends");
    let _ = std::fs::remove_dir_all(home);
    assert!(output.status.success(), "the oracle failed");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    // Airflow may print warnings first; the answer is the last line.
    Some(serde_json::from_str(text.lines().last().expect("an answer")).expect("JSON"))
}
