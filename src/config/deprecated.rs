//! Options that Airflow renamed: the old name still works and is noted.

/// (section, option, old section, old option); `airflow/_shared/configuration/parser.py`, `deprecated_options`.
const RENAMED: &[(&str, &str, &str, &str)] = &[
    ("dag_processor", "dag_file_processor_timeout", "core", "dag_file_processor_timeout"),
    ("dag_processor", "refresh_interval", "scheduler", "dag_dir_list_interval"),
    ("dag_processor", "parsing_pre_import_modules", "scheduler", "parsing_pre_import_modules"),
    ("api", "base_url", "webserver", "base_url"),
    ("api", "host", "webserver", "web_server_host"),
    ("api", "port", "webserver", "web_server_port"),
    ("api", "secret_key", "webserver", "secret_key"),
    ("core", "num_dag_runs_to_retain_rendered_fields", "core", "max_num_rendered_ti_fields_per_task"),
    ("core", "execution_api_server_url", "workers", "execution_api_server_url"),
    ("scheduler", "ti_metrics_interval", "scheduler", "running_metrics_interval"),
    ("workers", "missing_dag_retries", "workers", "missing_dag_retires"),
    ("database", "sql_alchemy_conn", "core", "sql_alchemy_conn"),
];

/// The old section and name of an option, if it had one.
pub(super) fn old_name(section: &str, name: &str) -> Option<(&'static str, &'static str)> {
    RENAMED.iter().find(|row| (row.0, row.1) == (section, name)).map(|row| (row.2, row.3))
}

/// Whether this is the old name of an option.
pub(super) fn is_old_name(section: &str, name: &str) -> bool {
    RENAMED.iter().any(|row| (row.2, row.3) == (section, name))
}
