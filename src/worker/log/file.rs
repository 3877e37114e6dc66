//! Where log files are and with which permissions they are made (`init_log_file` in
//! `airflow/sdk/_shared/logging/structlog.py`).

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};

/// A log file could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum LogFileError {
    /// The path leads out of the folder for logs.
    #[error(
        "the log path `{0}` is not below [logging] base_log_folder: change [logging] log_filename_template"
    )]
    Outside(String),
    /// The system refused.
    #[error("the log file {path} cannot be opened: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
}

/// The folder for logs and how files are made in it.
#[derive(Clone, Debug)]
pub struct LogFiles {
    /// `[logging] base_log_folder`.
    pub folder: PathBuf,
    /// `[logging] file_task_handler_new_file_permissions`; the process's umask applies.
    pub file_mode: u32,
    /// `[logging] file_task_handler_new_folder_permissions`; the process's umask applies.
    pub folder_mode: u32,
}

impl LogFiles {
    /// Opens the log at a path relative to the folder, to append to it: a task that resumes goes on in its log.
    ///
    /// # Errors
    /// [`LogFileError`] names the path.
    pub fn open(&self, relative: &str) -> Result<File, LogFileError> {
        let inside = Path::new(relative)
            .components()
            .all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
        if !inside || relative.is_empty() {
            return Err(LogFileError::Outside(relative.to_owned()));
        }
        let path = self.folder.join(relative);
        if let Some(parent) = path.parent() {
            // A folder that cannot be made shows as an error of the open below.
            let _ = DirBuilder::new().recursive(true).mode(self.folder_mode).create(parent);
        }
        OpenOptions::new()
            .append(true)
            .create(true)
            .mode(self.file_mode)
            .open(&path)
            .map_err(|source| LogFileError::Io { path, source })
    }
}
