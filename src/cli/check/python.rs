//! The environment's Python: which Airflow it has, and what plugins want.

use std::time::Duration;

use serde_json::{Value, json};

use crate::config::Config;
use crate::python::{Interpreter, PythonError, Service};

use super::report::{Report, Verdict};

const AREA: &str = "python";
/// How long plugins may take to be loaded.
const LIMIT: Duration = Duration::from_secs(120);

pub(super) async fn look(config: &Config, report: &mut Report) {
    let interpreter = match Interpreter::locate(config) {
        Ok(interpreter) => interpreter,
        Err(error) => return report.add(AREA, "interpreter", Verdict::Refused, error.to_string()),
    };
    let path = interpreter.path().display().to_string();
    let service = match Service::start(&interpreter).await {
        Ok(service) => service,
        Err(error) => return report.add(AREA, path, Verdict::Refused, error.to_string()),
    };
    let hello = service.hello();
    report.add(AREA, path, Verdict::Supported, format!("Python {}, Airflow {}", hello.python, hello.airflow));
    if let Err(error) = plugins(&service, report).await {
        let why = format!(
            "plugins and cluster policies cannot be loaded, the scheduler would go on without them: {error}"
        );
        report.add(AREA, "plugins", Verdict::Refused, why);
    }
}

async fn plugins(service: &Service, report: &mut Report) -> Result<(), PythonError> {
    let listened = service.call("listeners.wanted", json!({}), LIMIT).await?;
    let heard = |name: &&str| listened.get(*name).and_then(Value::as_bool).unwrap_or_default();
    for name in ["runs", "assets", "lifecycle"].iter().filter(|name| heard(name)) {
        report.add(
            AREA,
            format!("listeners of {name}"),
            Verdict::Supported,
            "called in a process of their own",
        );
    }
    let policy = service.call("task_instances.policy_exists", json!({}), LIMIT).await?;
    if policy.as_bool().unwrap_or_default() {
        let why = "called after a run's task instances are written and before any of them is scheduled, in a process of its own";
        report.add(AREA, "task_instance_mutation_hook", Verdict::Differs, why);
    }
    Ok(())
}
