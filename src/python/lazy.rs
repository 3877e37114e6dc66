//! A [`Service`] that is started by its first call.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::OnceCell;

use super::error::PythonError;
use super::interpreter::Interpreter;
use super::service::Service;
use crate::config::Config;

/// A Python process that exists only once it was needed. Cheap to clone; clones share the process.
#[derive(Clone, Debug)]
pub struct LazyService {
    config: Config,
    service: Arc<OnceCell<Service>>,
}

impl LazyService {
    /// Starts nothing yet.
    pub fn new(config: &Config) -> Self {
        Self { config: config.clone(), service: Arc::default() }
    }

    /// As [`Service::call`], after starting the process if there is none.
    ///
    /// # Errors
    /// As [`Service::start`] and [`Service::call`]; a start that failed is tried again by the next call.
    pub async fn call(&self, op: &str, args: Value, limit: Duration) -> Result<Value, PythonError> {
        let start = async || Service::start(&Interpreter::locate(&self.config)?).await;
        self.service.get_or_try_init(start).await?.call(op, args, limit).await
    }

    /// Whether the process was needed so far.
    pub fn is_started(&self) -> bool {
        self.service.initialized()
    }
}
