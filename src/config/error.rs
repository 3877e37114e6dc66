//! What can be wrong with the configuration.

use std::path::PathBuf;

/// An error of the configuration, in words for the person who set it.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// `airflow.cfg` cannot be read or is not an INI file.
    #[error("the configuration file {} cannot be used: {why}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// Options have values that cannot be used; all of them are listed.
    #[error("the configuration cannot be used:\n  - {}", .0.join("\n  - "))]
    Invalid(Vec<String>),
    /// `[database] sql_alchemy_conn` names something that Slipstream cannot connect to.
    #[error("[database] sql_alchemy_conn {0}")]
    Database(String),
}
