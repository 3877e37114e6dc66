//! Differential: what Airflow's own parser makes of a configuration is what Slipstream makes of it.

#![allow(clippy::unwrap_used)] // a test that cannot go on has failed

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use slipstream::config::Config;

/// Airflow's interpreter, if there is one.
fn python() -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv/bin/python");
    path.exists().then_some(path)
}

/// `section.key` → text, as Airflow sees it; `None` for options that Airflow does not know.
fn airflow(env: &BTreeMap<String, String>, names: &[(&str, &str)]) -> BTreeMap<String, Option<String>> {
    let code = "import sys, json\nfrom airflow.configuration import conf\n\
        print('ANSWER' + json.dumps({f'{s}.{k}': conf.get(s, k, fallback=None) for s, k in json.loads(sys.argv[1])}))";
    let out = Command::new(python().unwrap())
        .args(["-W", "ignore", "-c", code, &serde_json::to_string(names).unwrap()])
        .env_clear()
        .envs(env)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    let answer =
        text.split("ANSWER").nth(1).unwrap_or_else(|| panic!("{}", String::from_utf8_lossy(&out.stderr)));
    serde_json::from_str(answer).unwrap()
}

/// Whether two texts mean the same: `5` and `5.0`, `True` and `true`, JSON with other blanks.
fn same(a: &str, b: &str) -> bool {
    let number = |text: &str| text.parse::<f64>().ok();
    let json = |text: &str| serde_json::from_str::<serde_json::Value>(text).ok();
    a == b
        || a.eq_ignore_ascii_case(b)
        || number(a).is_some() && number(a) == number(b)
        || json(a).is_some() && json(a) == json(b)
}

fn compare(file: &str, variables: &[(&str, &str)]) {
    if python().is_none() {
        return;
    }
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("airflow.cfg"), file).unwrap();
    let mut env = BTreeMap::from([
        ("AIRFLOW_HOME".to_owned(), home.path().to_string_lossy().into_owned()),
        ("HOME".to_owned(), "/home/somebody".to_owned()),
        ("PATH".to_owned(), "/usr/bin:/bin".to_owned()),
    ]);
    env.extend(variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    let config = Config::from_env(env.clone()).unwrap();
    let ours: Vec<_> =
        config.effective().into_iter().filter(|option| option.section != "slipstream").collect();
    let names: Vec<_> = ours.iter().map(|option| (option.section, option.name)).collect();
    let theirs = airflow(&env, &names);
    let mut wrong = Vec::new();
    for option in ours.iter().filter(|option| option.shown != "< hidden >") {
        let theirs = theirs[&format!("{}.{}", option.section, option.name)].as_deref().unwrap_or_default();
        // Airflow's own list of options does not have the first, and makes the second up in each process. The third has no
        // default there: each place that reads it has its own, and ours is that of clearing.
        let known = !["num_stuck_in_queued_retries", "secret_key", "rerun_with_latest_version"]
            .contains(&option.name);
        if known && !same(&option.shown, theirs) {
            wrong.push(format!(
                "[{}] {}: ours {:?}, Airflow's {theirs:?}",
                option.section, option.name, option.shown
            ));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn every_default_is_airflows() {
    compare("", &[]);
}

#[test]
fn files_and_variables_are_read_as_airflow_reads_them() {
    let file = "[core]\nparallelism = 7\ndags_folder = ~/dags/$STAGE\nexecutor: LocalExecutor\n\
        [scheduler]\nrunning_metrics_interval = 12\njob_heartbeat_sec=2.5\n# comment\n\
        [dag_processor]\ndag_bundle_config_list = [\n    {\"name\": \"a\",\n\n    # skipped\n     \"classpath\": \"b\", \"kwargs\": {}}\n  ]\n\
        [logging]\nbase_log_folder = /logs/100%%\nLOGGING_LEVEL = WARNING\n\
        [core2]\nx = 1\n";
    compare(
        file,
        &[
            ("STAGE", "blue"),
            ("AIRFLOW__CORE__PARALLELISM", "9"),
            ("AIRFLOW__SCHEDULER__DAG_DIR_LIST_INTERVAL", "77"),
            ("AIRFLOW__CORE__PLUGINS_FOLDER", "${HOME}/p"),
            ("AIRFLOW__METRICS__STATSD_PREFIX", "50%"),
            ("AIRFLOW__CORE__HOSTNAME_CALLABLE_CMD", "echo not-a-secret"),
        ],
    );
}
