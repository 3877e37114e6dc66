//! Why the dag processor ends on its own.

use crate::python::PythonError;
use crate::store::StoreError;

/// An error that ends the dag processor.
#[derive(Debug, thiserror::Error)]
pub enum DagProcessorError {
    /// Python, or Airflow in it, does not work.
    #[error(transparent)]
    Python(#[from] PythonError),
    /// The database does not work.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A bundle on the command line is not configured.
    #[error("no Dag bundle `{0}` is configured: name one of `[dag_processor] dag_bundle_config_list`")]
    NoSuchBundle(String),
}
