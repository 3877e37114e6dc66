//! `[dag_processor]`.

use std::time::Duration;

keys! { "dag_processor":
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
    /// How often it is checked whether a bundle is to be refreshed.
    BUNDLE_REFRESH_CHECK_INTERVAL: Duration = "bundle_refresh_check_interval", Duration::from_secs(5);
    /// How often old versions of bundles are removed.
    STALE_BUNDLE_CLEANUP_INTERVAL: Duration = "stale_bundle_cleanup_interval", Duration::from_secs(1800);
}
