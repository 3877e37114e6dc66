//! `[dag_processor]`.

use std::time::Duration;

keys! { "dag_processor":
    /// Where bundles are checked out; empty: below the machine's temporary directory.
    DAG_BUNDLE_STORAGE_PATH: String = "dag_bundle_storage_path", "";
    /// The bundles, as JSON.
    DAG_BUNDLE_CONFIG_LIST: String = "dag_bundle_config_list", "[{\"name\": \"dags-folder\", \"classpath\": \"airflow.dag_processing.bundles.local.LocalDagBundle\", \"kwargs\": {}}]";
    /// How often a bundle is refreshed.
    REFRESH_INTERVAL: Duration = "refresh_interval", Duration::from_secs(300);
    /// How many files are parsed at once.
    PARSING_PROCESSES: i64 = "parsing_processes", 2;
    /// Which file is parsed first.
    FILE_PARSING_SORT_MODE: String = "file_parsing_sort_mode", "modified_time";
    /// Most callbacks fetched per loop.
    MAX_CALLBACKS_PER_LOOP: i64 = "max_callbacks_per_loop", 20;
    /// How long at least between two parses of a file.
    MIN_FILE_PROCESS_INTERVAL: Duration = "min_file_process_interval", Duration::from_secs(30);
    /// After how long a Dag that was not seen in its file counts as gone.
    STALE_DAG_THRESHOLD: Duration = "stale_dag_threshold", Duration::from_secs(50);
    /// How long a file's process may run.
    DAG_FILE_PROCESSOR_TIMEOUT: Duration = "dag_file_processor_timeout", Duration::from_secs(50);
    /// How often statistics are logged.
    PRINT_STATS_INTERVAL: Duration = "print_stats_interval", Duration::from_secs(30);
    /// After how long without a heartbeat a Dag processor counts as dead.
    HEALTH_CHECK_THRESHOLD: Duration = "health_check_threshold", Duration::from_secs(30);
    /// Whether runs use the newest version of a bundle.
    DISABLE_BUNDLE_VERSIONING: bool = "disable_bundle_versioning", false;
    /// How often it is checked whether a bundle is to be refreshed.
    BUNDLE_REFRESH_CHECK_INTERVAL: Duration = "bundle_refresh_check_interval", Duration::from_secs(5);
    /// How often old versions of bundles are removed.
    STALE_BUNDLE_CLEANUP_INTERVAL: Duration = "stale_bundle_cleanup_interval", Duration::from_secs(1800);
    /// How old they must be.
    STALE_BUNDLE_CLEANUP_AGE_THRESHOLD: Duration = "stale_bundle_cleanup_age_threshold", Duration::from_secs(21_600);
    /// How many are kept.
    STALE_BUNDLE_CLEANUP_MIN_VERSIONS: i64 = "stale_bundle_cleanup_min_versions", 10;
    /// Whether modules that Dag files import are imported before the fork.
    PARSING_PRE_IMPORT_MODULES: bool = "parsing_pre_import_modules", true;
    /// What is done about a Dag file that makes a new version at every parse: `off`, `warning` or `error`.
    DAG_VERSION_INFLATION_CHECK_LEVEL: String = "dag_version_inflation_check_level", "warning";
}
