//! Upload of the logs of ended tasks, by the deployment's own handler in a Python process (`upload_to_remote` in
//! `airflow/sdk/log.py`).

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::json;
use tokio::sync::Semaphore;

use crate::config::{Config, keys::logging as keys};
use crate::executor::WorkloadTi;
use crate::python::{Interpreter, PythonError, Service};

/// Uploads at once. Each has a Python process, which is started when it is needed and kept.
const AT_ONCE: usize = 4;

/// How long an upload may take.
const LIMIT: Duration = Duration::from_secs(300);

/// Uploads logs. Cheap to clone; clones share the processes.
#[derive(Clone, Debug)]
pub struct RemoteLogs {
    pool: Arc<Pool>,
}

#[derive(Debug)]
struct Pool {
    interpreter: Interpreter,
    permits: Semaphore,
    idle: Mutex<Vec<Service>>,
}

impl RemoteLogs {
    /// As the configuration says; `None` if logs stay where they are. A class of the deployment's own (`[logging]
    /// logging_config_class`) may bring a handler without `remote_logging`, so it is asked.
    pub fn from_config(config: &Config, interpreter: &Interpreter) -> Option<Self> {
        let wanted =
            config.get(&keys::REMOTE_LOGGING) || !config.get(&keys::LOGGING_CONFIG_CLASS).trim().is_empty();
        wanted.then(|| Self::new(interpreter))
    }

    pub(super) fn new(interpreter: &Interpreter) -> Self {
        let (permits, idle) = (Semaphore::new(AT_ONCE), Mutex::default());
        Self { pool: Arc::new(Pool { interpreter: interpreter.clone(), permits, idle }) }
    }

    /// Uploads the log at a path below `[logging] base_log_folder`. Waits for its turn, and at most five minutes then.
    ///
    /// # Errors
    /// What the handler raised, or why it could not be asked.
    pub(super) async fn upload(&self, path: &str, ti: Option<&WorkloadTi>) -> Result<(), PythonError> {
        // The semaphore is never closed.
        let _permit = self.pool.permits.acquire().await;
        let idle = self.idle().pop();
        let service = match idle {
            Some(service) => service,
            None => Service::start(&self.pool.interpreter).await?,
        };
        let done = service.call("task_logs.upload", json!({"path": path, "ti": ti}), LIMIT).await;
        self.idle().push(service);
        if done? == json!(false) {
            tracing::warn!(path, "there is no remote log handler: the task's log stays on this machine");
        }
        Ok(())
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Service>> {
        self.pool.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
