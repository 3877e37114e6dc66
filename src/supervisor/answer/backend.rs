//! The deployment's own secrets backend (`[secrets] backend`), asked in a Python process that the first question starts.
//!
//! A task's process asks its worker's backend itself (`[workers] secrets_backend`), then its environment, then us. What we
//! answer is what Airflow's API server answers: this backend, our environment, the metadata database.

use std::time::Duration;

use serde_json::{Value, json};

use crate::config::{Config, keys};
use crate::python::LazyService;
use crate::store::secrets::{BackendError, SecretsBackend};

/// How long the backend may take for one secret.
const LIMIT: Duration = Duration::from_secs(60);

/// The secrets backend, if one is configured. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct CustomBackend(Option<LazyService>);

impl CustomBackend {
    /// As configured, in this process.
    pub fn from_config(config: &Config, python: &LazyService) -> Self {
        let class = config.get(&keys::secrets::BACKEND);
        Self((!class.trim().is_empty()).then(|| python.clone()))
    }

    async fn ask(&self, op: &str, args: Value) -> Result<Option<String>, BackendError> {
        let Some(service) = &self.0 else { return Ok(None) };
        let answer = service.call(op, args, LIMIT).await;
        let answer = answer.map_err(|error| BackendError::Failed(error.to_string()))?;
        if let Some(why) = answer.get("denied").and_then(Value::as_str) {
            return Err(BackendError::Denied(why.to_owned()));
        }
        Ok(answer.get("found").and_then(Value::as_str).map(str::to_owned))
    }
}

impl SecretsBackend for CustomBackend {
    async fn variable(&self, key: &str, team: Option<&str>) -> Result<Option<String>, BackendError> {
        self.ask("secrets.variable", json!({"key": key, "team_name": team})).await
    }

    async fn connection(&self, conn_id: &str, team: Option<&str>) -> Result<Option<String>, BackendError> {
        self.ask("secrets.connection", json!({"conn_id": conn_id, "team_name": team})).await
    }
}
