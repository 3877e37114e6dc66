//! What users' Python wants of the scheduler: asked once, before the loop.

use std::time::Duration;

use serde_json::{Value, json};

use crate::config::Config;
use crate::python::{Interpreter, LazyService, PythonError, plugins};

/// How long plugins may take to be loaded.
const LIMIT: Duration = Duration::from_secs(120);

/// Which events plugins listen to, and whether a cluster policy changes task instances.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Wishes {
    /// Dag runs that start or end.
    pub(super) runs: bool,
    /// Assets that tasks update.
    pub(super) assets: bool,
    /// Tasks that fail.
    pub(super) tasks: bool,
    /// The scheduler's start and end.
    pub(super) lifecycle: bool,
    /// `task_instance_mutation_hook`.
    pub(super) policy: bool,
}

/// The scheduler's Python process, which exists only if something needs it, and what is known of it.
#[derive(Clone, Debug)]
pub struct UsersPython {
    pub(super) service: LazyService,
    pub(super) wishes: Wishes,
}

impl UsersPython {
    /// No plugins; timetables of users are asked as ever.
    pub fn none(config: &Config) -> Self {
        Self { service: LazyService::new(config), wishes: Wishes::default() }
    }

    /// Looks for plugins and cluster policies. Without any, no Python process is started; if those that there are want
    /// nothing, the process that said so ends.
    pub async fn find(config: &Config) -> Self {
        let service = LazyService::new(config);
        let may_exist = match Interpreter::locate(config) {
            Ok(interpreter) => plugins::may_exist(config, &interpreter),
            Err(error) => {
                tracing::warn!(%error, "plugins cannot be looked for");
                false
            }
        };
        if !may_exist {
            return Self::none(config);
        }
        match ask(&service).await {
            Ok(wishes) if wishes != Wishes::default() => Self { service, wishes },
            Ok(_) => Self::none(config),
            Err(error) => {
                tracing::error!(%error, "plugins and cluster policies could not be loaded; the scheduler goes on without them");
                Self::none(config)
            }
        }
    }
}

async fn ask(service: &LazyService) -> Result<Wishes, PythonError> {
    let listened = service.call("listeners.wanted", json!({}), LIMIT).await?;
    let policy = service.call("task_instances.policy_exists", json!({}), LIMIT).await?;
    let wants = |name: &str| listened.get(name).and_then(Value::as_bool).unwrap_or_default();
    Ok(Wishes {
        runs: wants("runs"),
        assets: wants("assets"),
        tasks: wants("tasks"),
        lifecycle: wants("lifecycle"),
        policy: policy.as_bool().unwrap_or_default(),
    })
}
