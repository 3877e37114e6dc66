//! One function per part of a deployment: configuration, executors, Python, database, what runs now.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use crate::config::{Config, FileState, keys};
use crate::events::sources::Sources;
use crate::executor::names;
use crate::python::{Interpreter, PythonError, Service, plugins};
use crate::store::{Db, StoreError, migration, survey};

use super::super::start;
use super::finding::{Report, Verdict};

/// Loading plugins runs code of users.
const PLUGINS_LIMIT: Duration = Duration::from_secs(60);

pub(super) fn configuration(config: &Config, report: &mut Report) {
    const AREA: &str = "configuration";
    match config.file() {
        (file, FileState::Missing) => {
            report.add(
                AREA,
                file.display(),
                Verdict::Differs,
                "the file is missing: Airflow makes one with new secrets, Slipstream goes on with defaults and the environment",
            );
        }
        (file, _) => report.add(AREA, file.display(), Verdict::Supported, "read"),
    }
    for note in config.notes() {
        // `[section] option is set, but …`
        let (subject, detail) = match note.split_once(" is set, ") {
            Some((subject, detail)) => (subject, format!("set, {detail}")),
            None => ("options", note.clone()),
        };
        report.add(AREA, subject, Verdict::Differs, detail);
    }
    match Sources::of(config) {
        Ok(sources) => {
            for source in sources.iter() {
                let what = format!("a source of events of the kind {}", source.kind.name());
                report.add(AREA, format!("source {}", source.name), Verdict::Supported, what);
            }
        }
        Err(why) => report.add(AREA, "[slipstream] sources", Verdict::Refused, why),
    }
}

/// Says which executors are refused; returns the names by which tasks may ask for one.
pub(super) fn executors(config: &Config, report: &mut Report) -> Vec<String> {
    const AREA: &str = "executor";
    let option = config.get(&keys::core::EXECUTOR);
    match names::local_names(&option) {
        Ok(names) => {
            report.add(AREA, option, Verdict::Supported, "tasks run under slipstream worker");
            names
        }
        Err(why) => {
            report.add(AREA, option, Verdict::Refused, why);
            Vec::new()
        }
    }
}

pub(super) async fn python(config: &Config, report: &mut Report) {
    const AREA: &str = "python";
    let found = async {
        let interpreter = Interpreter::locate(config)?;
        let service = Service::start(&interpreter).await?;
        Ok::<_, PythonError>((interpreter, service))
    };
    let (interpreter, service) = match found.await {
        Ok(found) => found,
        Err(error) => return report.add(AREA, "interpreter", Verdict::Refused, error),
    };
    let hello = service.hello();
    report.add(
        AREA,
        interpreter.path().display(),
        Verdict::Supported,
        format!("Python {}, Airflow {}", hello.python, hello.airflow),
    );
    if plugins::may_exist(config, &interpreter) {
        wishes(&service, report).await;
    }
}

/// What plugins and cluster policies want to hear or change.
async fn wishes(service: &Service, report: &mut Report) {
    const AREA: &str = "plugins";
    let asked = async {
        let listened = service.call("listeners.wanted", json!({}), PLUGINS_LIMIT).await?;
        let policy = service.call("task_instances.policy_exists", json!({}), PLUGINS_LIMIT).await?;
        Ok::<_, PythonError>((listened, policy))
    };
    let (listened, policy) = match asked.await {
        Ok(answers) => answers,
        Err(error) => return report.add(AREA, "plugins and policies", Verdict::Refused, error),
    };
    let wanted: Vec<_> = listened
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(_, wants)| wants.as_bool() == Some(true))
        .map(|(what, _)| what.as_str())
        .collect();
    if !wanted.is_empty() {
        report.add(AREA, "listeners", Verdict::Supported, format!("told of: {}", wanted.join(", ")));
    }
    if policy == Value::Bool(true) {
        report.add(
            AREA,
            "task_instance_mutation_hook",
            Verdict::Supported,
            "called in a Python process after the task instances of a run are written, before any is scheduled",
        );
    }
}

/// Connects; the reason if that is not possible is a finding.
pub(super) async fn database(config: &Config, report: &mut Report) -> Option<Db> {
    const AREA: &str = "database";
    match start::database(config).await {
        Ok(db) => Some(db),
        Err(failure) => {
            report.add(AREA, "[database] sql_alchemy_conn", Verdict::Refused, failure);
            None
        }
    }
}

pub(super) async fn server(db: &Db, report: &mut Report) -> Result<(), StoreError> {
    const AREA: &str = "database";
    let server = survey::server(db).await?;
    let (verdict, detail) = if server.too_old {
        (Verdict::Refused, "too old: PostgreSQL 13 or newer is needed".to_owned())
    } else {
        let lines: Vec<_> = migration::SUPPORTED.iter().map(|(airflow, _)| *airflow).collect();
        (Verdict::Supported, format!("schema of Airflow {}", lines.join(", ")))
    };
    report.add(AREA, server.name, verdict, detail);
    Ok(())
}

/// Who is at work, and rows that would be left alone.
pub(super) async fn running(
    db: &Db,
    config: &Config,
    now: DateTime<Utc>,
    report: &mut Report,
) -> Result<(), StoreError> {
    const AREA: &str = "at work";
    let threshold = config.get(&keys::scheduler::SCHEDULER_HEALTH_CHECK_THRESHOLD);
    let threshold = TimeDelta::from_std(threshold).unwrap_or(TimeDelta::MAX);
    for (job, host) in survey::living_jobs(db, threshold, now).await? {
        report.add(
            AREA,
            job,
            Verdict::Supported,
            format!("on {host}; both may run at once while you switch"),
        );
    }
    for state in survey::unknown_states(db).await? {
        report.add(
            AREA,
            state,
            Verdict::Refused,
            "an unknown state: runs with such a row are left alone until it is corrected",
        );
    }
    Ok(())
}
