//! What the dag processor is told: on the command line, and in `[dag_processor]` and its neighbours.

use std::path::PathBuf;
use std::time::Duration;

use crate::python::Interpreter;
use crate::store::Db;

/// Everything that [`super::run`] needs.
#[derive(Clone, Debug)]
pub struct Options {
    /// The metadata database.
    pub db: Db,
    /// The interpreter of the Airflow environment.
    pub interpreter: Interpreter,
    /// `--num-runs`.
    pub runs: Runs,
    /// `--bundle-name`, as often as it was given; empty means every bundle.
    pub bundles: Vec<String>,
    /// The configuration.
    pub settings: Settings,
}

/// How often every file is parsed before the dag processor ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runs {
    /// For ever.
    Unlimited,
    /// This many times.
    Times(u32),
}

impl Runs {
    /// `--num-runs` as Airflow takes it: negative means for ever.
    pub fn from_option(number: Option<i64>) -> Self {
        match number.and_then(|number| u32::try_from(number).ok()) {
            Some(times) => Self::Times(times),
            None => Self::Unlimited,
        }
    }

    /// Whether a file that was parsed `count` times has had its share.
    pub fn reached(self, count: u32) -> bool {
        matches!(self, Self::Times(times) if count >= times)
    }
}

/// `[dag_processor] file_parsing_sort_mode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SortMode {
    /// The file that was edited last comes first.
    ModifiedTime,
    /// By path.
    Alphabetical,
    /// An order of this host's own, so that several hosts begin with different files.
    RandomSeededByHost,
}

/// The configuration of the dag processor, with Airflow's defaults.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `[dag_processor] parsing_processes`.
    pub parsing_processes: usize,
    /// `[dag_processor] dag_file_processor_timeout`.
    pub processor_timeout: Duration,
    /// `[dag_processor] min_file_process_interval`.
    pub file_interval: Duration,
    /// `[dag_processor] bundle_refresh_check_interval`.
    pub bundle_check_interval: Duration,
    /// `[scheduler] parsing_cleanup_interval`.
    pub cleanup_interval: Duration,
    /// `[dag_processor] stale_dag_threshold`.
    pub stale_dag_threshold: Duration,
    /// `[dag_processor] stale_bundle_cleanup_interval`; zero turns it off.
    pub bundle_cleanup_interval: Duration,
    /// `[dag_processor] print_stats_interval`; zero turns it off.
    pub print_stats_interval: Duration,
    /// `[dag_processor] max_callbacks_per_loop`.
    pub max_callbacks: i64,
    /// `[dag_processor] file_parsing_sort_mode`.
    pub sort_mode: SortMode,
    /// `[scheduler] job_heartbeat_sec`.
    pub heartbeat_interval: Duration,
    /// `[core] min_serialized_dag_update_interval`.
    pub min_update_interval: Duration,
    /// `[slipstream] max_parse_age`: a file is executed again after this time even if nothing changed.
    pub max_parse_age: Duration,
    /// `[logging] dag_processor_child_process_log_directory`.
    pub log_directory: PathBuf,
    /// `[logging] dag_processor_log_target` is `stdout`: what children say is written there too.
    pub log_to: LogTarget,
    /// `[logging] file_task_handler_new_folder_permissions`.
    pub folder_mode: u32,
    /// `[logging] file_task_handler_new_file_permissions`.
    pub file_mode: u32,
}

/// Where the children's output goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogTarget {
    /// To one file per Dag file.
    File,
    /// To that file and to this process's stdout.
    FileAndStdout,
}

impl Default for Settings {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            parsing_processes: 2,
            processor_timeout: seconds(50),
            file_interval: seconds(30),
            bundle_check_interval: seconds(5),
            cleanup_interval: seconds(60),
            stale_dag_threshold: seconds(50),
            bundle_cleanup_interval: seconds(1800),
            print_stats_interval: seconds(30),
            max_callbacks: 20,
            sort_mode: SortMode::ModifiedTime,
            heartbeat_interval: seconds(5),
            min_update_interval: seconds(30),
            max_parse_age: seconds(600),
            log_directory: PathBuf::from("logs/dag_processor"),
            log_to: LogTarget::File,
            folder_mode: 0o775,
            file_mode: 0o664,
        }
    }
}
