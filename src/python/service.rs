//! A Python process that runs operations on request: `_host/service.py`.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::error::{Cause, PythonError};
use super::launch::Hello;
use super::origin::{Origin, Process};
use super::wire;

/// A long-lived Python process for operations that need Airflow's Python or a user's plugin. Cheap to clone; calls
/// through clones wait for each other.
///
/// A process that overran a call's limit or died is replaced at the next call.
#[derive(Clone, Debug)]
pub struct Service {
    origin: Origin,
    hello: Hello,
    process: Arc<Mutex<Option<Process>>>,
}

#[derive(Deserialize)]
struct Reply {
    #[serde(default)]
    ok: Value,
    error: Option<String>,
    #[serde(default)]
    database: bool,
}

impl Service {
    /// Starts the process, from an [`Origin`] or as one of an interpreter's own, and waits until Airflow is imported.
    ///
    /// # Errors
    /// When the interpreter has no Airflow, an unsupported one, or does not start.
    pub async fn start(origin: impl Into<Origin>) -> Result<Self, PythonError> {
        let origin = origin.into();
        let process = origin.start("service", json!({})).await?;
        let hello = process.hello.clone();
        Ok(Self { origin, hello, process: Arc::new(Mutex::new(Some(process))) })
    }

    /// Which Python and Airflow it is.
    pub fn hello(&self) -> &Hello {
        &self.hello
    }

    /// Runs the operation `family.name` with keyword arguments (`args` is a JSON object); waits at most `limit` once it
    /// is its turn.
    ///
    /// # Errors
    /// [`PythonError::Op`] with the traceback's last lines when it raises; [`PythonError::Overran`] after the limit.
    pub async fn call(&self, op: &str, args: Value, limit: Duration) -> Result<Value, PythonError> {
        self.call_with(op, args, &[], limit).await
    }

    /// As [`Service::call`], with bytes that the operation gets as `attachment`.
    ///
    /// # Errors
    /// As [`Service::call`].
    pub async fn call_with(
        &self,
        op: &str,
        args: Value,
        attachment: &[u8],
        limit: Duration,
    ) -> Result<Value, PythonError> {
        let mut place = self.process.lock().await;
        // Taken out: a call that is dropped half-way leaves no process that is out of step.
        let mut process = match place.take() {
            Some(process) => process,
            None => self.origin.start("service", json!({})).await?,
        };
        let talk = async {
            wire::write(&mut process.socket, &json!({"op": op, "args": args}), attachment).await?;
            wire::read::<Reply>(&mut process.socket).await
        };
        match tokio::time::timeout(limit, talk).await {
            Ok(Ok(reply)) => {
                *place = Some(process);
                match reply.error {
                    None => Ok(reply.ok),
                    Some(why) => {
                        let cause = if reply.database { Cause::Database } else { Cause::Other };
                        Err(PythonError::Op { op: op.to_owned(), why, cause })
                    }
                }
            }
            Ok(Err(error)) if error.kind() == std::io::ErrorKind::InvalidData => Err(error.into()),
            Ok(Err(_)) => Err(PythonError::Died),
            // Dropped, the process is killed.
            Err(_) => Err(PythonError::Overran { op: op.to_owned(), limit }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::python::Interpreter;

    const LIMIT: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn an_operation_that_overruns_is_stopped_and_the_next_one_runs() {
        let home = tempfile::tempdir().unwrap();
        let interpreter = Interpreter::at(".venv/bin/python").with_env("AIRFLOW_HOME", home.path());
        let service = Service::start(&interpreter).await.unwrap();
        assert!(service.hello().airflow.starts_with("3.3."));
        let before = service.call("probe.about", json!({}), LIMIT).await.unwrap();
        let short = Duration::from_millis(50);
        let error = service.call("probe.wait", json!({"seconds": 600}), short).await.unwrap_err();
        assert!(matches!(error, PythonError::Overran { .. }), "{error}");
        let after = service.call("probe.about", json!({}), LIMIT).await.unwrap();
        assert_ne!(before["pid"], after["pid"]);
        let error = service.call("probe.wait", json!({"seconds": "long"}), LIMIT).await.unwrap_err();
        assert!(error.to_string().contains("TypeError"), "{error}");
        assert_eq!(service.call("probe.about", json!({}), LIMIT).await.unwrap(), after);
    }

    #[tokio::test]
    async fn an_operation_that_does_not_reach_the_database_says_so() {
        let home = tempfile::tempdir().unwrap();
        let nowhere = format!("sqlite:///{}/no-such-folder/airflow.db", home.path().display());
        let interpreter = Interpreter::at(".venv/bin/python")
            .with_env("AIRFLOW_HOME", home.path())
            .with_env("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", nowhere);
        let service = Service::start(&interpreter).await.unwrap();
        let error = service.call("bundles.sync_to_db", json!({"names": null}), LIMIT).await.unwrap_err();
        assert!(matches!(error, PythonError::Op { cause: Cause::Database, .. }), "{error:?}");
        let error = service.call("probe.wait", json!({"seconds": "long"}), LIMIT).await.unwrap_err();
        assert!(matches!(error, PythonError::Op { cause: Cause::Other, .. }), "{error:?}");
    }
}
