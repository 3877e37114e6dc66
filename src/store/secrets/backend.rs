//! The hook for a custom secrets backend (`[secrets] backend`), which is Python code and is asked elsewhere.

/// A source of secrets that is asked before the environment and the database.
pub trait SecretsBackend: Send + Sync {
    /// A variable's value, or nothing.
    fn variable(
        &self,
        key: &str,
        team: Option<&str>,
    ) -> impl Future<Output = Result<Option<String>, BackendError>> + Send;

    /// A connection as URI or JSON text, or nothing.
    fn connection(
        &self,
        conn_id: &str,
        team: Option<&str>,
    ) -> impl Future<Output = Result<Option<String>, BackendError>> + Send;
}

/// Why a backend has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BackendError {
    /// The task must not have the secret (`AirflowSecretsBackendAccessDenied`).
    #[error("access denied: {0}")]
    Denied(String),
    /// The lookup failed; other sources may have the secret.
    #[error("{0}")]
    Failed(String),
    /// The backend cannot be used at all; asking other sources might give a wrong secret.
    #[error("{0}")]
    Unavailable(String),
}

/// No custom backend is configured.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoBackend;

impl SecretsBackend for NoBackend {
    async fn variable(&self, _: &str, _: Option<&str>) -> Result<Option<String>, BackendError> {
        Ok(None)
    }

    async fn connection(&self, _: &str, _: Option<&str>) -> Result<Option<String>, BackendError> {
        Ok(None)
    }
}
