//! What the dag processor is told: on the command line, and in `[dag_processor]` and its neighbours.

use std::path::PathBuf;
use std::time::Duration;

use crate::config::Config;
use crate::config::keys::{core, dag_processor, logging, scheduler, slipstream};
use crate::python::Interpreter;
use crate::runtime::Shutdown;
use crate::store::Db;
use crate::supervisor::answer;

/// Everything that [`super::run`] needs.
#[derive(Clone, Debug)]
pub struct Options {
    /// The metadata database.
    pub db: Db,
    /// The interpreter of the Airflow environment.
    pub interpreter: Interpreter,
    /// This machine, as `[core] hostname_callable` calls it.
    pub hostname: String,
    /// Asks the dag processor to end.
    pub shutdown: Shutdown,
    /// `--num-runs`.
    pub runs: Runs,
    /// `--bundle-name`, as often as it was given; empty means every bundle.
    pub bundles: Vec<String>,
    /// How questions of Dag files are answered.
    pub answers: answer::Options,
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

impl Settings {
    /// What the configuration says.
    pub fn from_config(config: &Config) -> Self {
        let mode = |text: String| u32::from_str_radix(text.trim_start_matches("0o"), 8).ok();
        let defaults = Self::default();
        Self {
            parsing_processes: usize::try_from(config.get(&dag_processor::PARSING_PROCESSES))
                .unwrap_or(1)
                .max(1),
            processor_timeout: config.get(&dag_processor::DAG_FILE_PROCESSOR_TIMEOUT),
            file_interval: config.get(&dag_processor::MIN_FILE_PROCESS_INTERVAL),
            bundle_check_interval: config.get(&dag_processor::BUNDLE_REFRESH_CHECK_INTERVAL),
            cleanup_interval: config.get(&scheduler::PARSING_CLEANUP_INTERVAL),
            stale_dag_threshold: config.get(&dag_processor::STALE_DAG_THRESHOLD),
            bundle_cleanup_interval: config.get(&dag_processor::STALE_BUNDLE_CLEANUP_INTERVAL),
            print_stats_interval: config.get(&dag_processor::PRINT_STATS_INTERVAL),
            max_callbacks: config.get(&dag_processor::MAX_CALLBACKS_PER_LOOP),
            sort_mode: SortMode::from_text(&config.get(&dag_processor::FILE_PARSING_SORT_MODE)),
            heartbeat_interval: config.get(&scheduler::JOB_HEARTBEAT_SEC),
            min_update_interval: config.get(&core::MIN_SERIALIZED_DAG_UPDATE_INTERVAL),
            max_parse_age: config.get(&slipstream::MAX_PARSE_AGE),
            log_directory: PathBuf::from(config.get(&logging::DAG_PROCESSOR_CHILD_PROCESS_LOG_DIRECTORY)),
            log_to: match config.get(&logging::DAG_PROCESSOR_LOG_TARGET).as_str() {
                "stdout" => LogTarget::FileAndStdout,
                _ => LogTarget::File,
            },
            folder_mode: mode(config.get(&logging::FILE_TASK_HANDLER_NEW_FOLDER_PERMISSIONS))
                .unwrap_or(defaults.folder_mode),
            file_mode: mode(config.get(&logging::FILE_TASK_HANDLER_NEW_FILE_PERMISSIONS))
                .unwrap_or(defaults.file_mode),
        }
    }
}

impl SortMode {
    /// Airflow leaves the order as it is for a mode that it does not know; we take the default.
    fn from_text(text: &str) -> Self {
        match text {
            "alphabetical" => Self::Alphabetical,
            "random_seeded_by_host" => Self::RandomSeededByHost,
            _ => Self::ModifiedTime,
        }
    }
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
            max_parse_age: seconds(1_800),
            log_directory: PathBuf::from("logs/dag_processor"),
            log_to: LogTarget::File,
            folder_mode: 0o775,
            file_mode: 0o664,
        }
    }
}
