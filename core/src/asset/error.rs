//! What can go wrong with assets and their partitions.

/// A serialized asset, condition or mapper that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AssetError {
    /// It is not what Airflow writes.
    #[error("serialized {what} cannot be read: {reason}")]
    Malformed {
        /// What was being read.
        what: &'static str,
        /// What is wrong.
        reason: String,
    },
}

/// Why a key was not mapped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MapError {
    /// The mapper, or a part of it, is a plugin's.
    #[error(
        "partition mapper `{path}` is not one of Airflow's own: ask the environment's Python for its answers"
    )]
    Custom {
        /// The import path of its class.
        path: String,
    },
    /// The key does not fit the mapper. The message is Python's.
    #[error("{0}")]
    Value(String),
    /// The parts of the mapper do not fit each other. The message is Python's.
    #[error("{0}")]
    Type(String),
}

impl MapError {
    /// The name of the Python exception that Airflow records in this case, if it is one of Airflow's own mappers.
    pub fn exception(&self) -> Option<&'static str> {
        match self {
            Self::Custom { .. } => None,
            Self::Value(_) => Some("ValueError"),
            Self::Type(_) => Some("TypeError"),
        }
    }
}
