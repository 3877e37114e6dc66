//! Options: what is set and not honoured, and which executors are asked for.

use crate::config::{Config, ConfigError, FileState, keys};
use crate::executor::names as executors;

use super::report::{Report, Verdict};

const AREA: &str = "config";

/// A configuration that cannot be used at all.
pub(super) fn refused(error: &ConfigError, report: &mut Report) {
    match error {
        ConfigError::Invalid(reasons) => {
            reasons
                .iter()
                .for_each(|why| report.add(AREA, "airflow.cfg and environment", Verdict::Refused, why));
        }
        other => report.add(AREA, "airflow.cfg and environment", Verdict::Refused, other.to_string()),
    }
}

pub(super) fn look(config: &Config, report: &mut Report) {
    match config.file() {
        (file, FileState::Read) => report.add(AREA, file.display().to_string(), Verdict::Supported, "read"),
        (file, FileState::Missing) => report.add(
            AREA,
            file.display().to_string(),
            Verdict::Differs,
            "there is no such file: Airflow would make one with new secrets, Slipstream does not",
        ),
    }
    for note in config.notes() {
        report.add(AREA, "option", Verdict::Differs, note);
    }
    if config.get(&keys::logging::REMOTE_LOGGING) {
        let why = "task logs are not uploaded yet, they stay in [logging] base_log_folder";
        report.add(AREA, "[logging] remote_logging", Verdict::Differs, why);
    }
    let executor = config.get(&keys::core::EXECUTOR);
    match executors::local_names(&executor) {
        Ok(_) => report.add(AREA, format!("[core] executor = {executor}"), Verdict::Supported, ""),
        Err(why) => report.add(AREA, format!("[core] executor = {executor}"), Verdict::Refused, why),
    }
}
