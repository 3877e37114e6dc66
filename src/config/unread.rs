//! Airflow's defaults of the options that nobody reads: a freshly made `airflow.cfg` spells them all out.

/// Section, option, default, from `airflow/config_templates/config.yml` of Airflow 3.3.2.
const DEFAULTS: &[(&str, &str, &str)] = &[
    ("core", "execute_tasks_new_python_interpreter", "False"),
    ("core", "unit_test_mode", "False"),
    ("core", "killed_task_cleanup_time", "60"),
    ("core", "team_name_cache_ttl", "30"),
    ("core", "asset_manager_class", ""),
    ("core", "asset_manager_kwargs", ""),
    ("database", "sql_alchemy_engine_args", ""),
    ("database", "sql_alchemy_pool_enabled", "True"),
    ("database", "sql_alchemy_pool_recycle", "1800"),
    ("database", "sql_alchemy_pool_pre_ping", "True"),
    ("database", "sql_alchemy_connect_args", ""),
    ("database", "sql_alchemy_session_maker", ""),
    ("database", "max_db_retries", "3"),
    ("scheduler", "task_instance_heartbeat_sec", "0"),
    ("scheduler", "scheduler_idle_sleep_time", "1"),
    ("scheduler", "ignore_first_depends_on_past_by_default", "True"),
    ("scheduler", "max_tis_per_query", "16"),
    ("scheduler", "use_row_level_locking", "True"),
    ("scheduler", "enable_tracemalloc", "False"),
    ("dag_processor", "parsing_pre_import_modules", "True"),
    (
        "logging",
        "dag_processor_log_format",
        "[%(asctime)s] [SOURCE:DAG_PROCESSOR] {%(filename)s:%(lineno)d} %(levelname)s - %(message)s",
    ),
    ("logging", "secret_mask_adapter", ""),
    ("secrets", "use_cache", "False"),
    ("secrets", "cache_ttl_seconds", "900"),
    ("sdk", "coordinators", ""),
    ("sdk", "queue_to_coordinator", ""),
    ("metrics", "statsd_ipv6", "False"),
    ("metrics", "stat_name_handler", ""),
    ("metrics", "statsd_custom_client_path", ""),
    ("metrics", "otel_debugging_on", "False"),
    ("execution_api", "otel_trace_propagation", "only-authenticated"),
    ("workers", "secrets_backend", ""),
    ("workers", "secrets_backend_kwargs", ""),
    ("workers", "state_store_backend", ""),
    ("workers", "missing_dag_retries", "3"),
    ("workers", "missing_dag_retry_delay", "60"),
    ("state_store", "backend", "airflow.state.metastore.MetastoreBackend"),
    ("state_store", "default_retention_days", "30"),
    ("state_store", "state_cleanup_batch_size", "0"),
    ("state_store", "max_value_storage_bytes", "65535"),
    ("traces", "otel_debugging_on", "False"),
    ("traces", "otel_debug_traces_on", "False"),
    ("traces", "task_runner_flush_timeout_milliseconds", "30000"),
    ("profiling", "memray_trace_components", ""),
    ("profiling", "memray_detailed_tracing", "False"),
];

/// Whether the option has this value anyway, so that setting it asks for nothing.
pub(super) fn is_default(section: &str, name: &str, value: &str) -> bool {
    let default = DEFAULTS.iter().find(|(of, option, _)| (*of, *option) == (section, name));
    default.is_some_and(|(_, _, default)| default.eq_ignore_ascii_case(value.trim()))
}
