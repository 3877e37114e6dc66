//! Options that are set but that Slipstream does not honour: each is named once at start-up.

use std::collections::{BTreeMap, BTreeSet};

use super::{deprecated, ini::Ini, keys, unread};

/// Sections of the components that Slipstream takes the place of.
const OURS: &[&str] = &[
    "core",
    "database",
    "scheduler",
    "dag_processor",
    "logging",
    "metrics",
    "execution_api",
    "workers",
    "operators",
    "secrets",
    "sdk",
    "callbacks",
    "connection_test",
    "state_store",
    "traces",
    "profiling",
    "slipstream",
];

/// Options of these sections that the Python processes (tasks, parsing, api-server, triggerer) read by themselves.
const PYTHON: &[(&str, &[&str])] = &[
    (
        "core",
        &[
            "dags_folder",
            "default_pool_task_slot_count",
            "airflow_home",
            "allow_double_dot_in_ids",
            "allowed_deserialization_classes",
            "allowed_deserialization_classes_regexp",
            "auth_manager",
            "compress_serialized_dags",
            "dag_ignore_file_syntax",
            "dag_discovery_safe_mode",
            "dag_run_conf_overrides_params",
            "dagbag_import_error_traceback_depth",
            "dagbag_import_error_tracebacks",
            "dagbag_import_timeout",
            "dags_are_paused_at_creation",
            "default_impersonation",
            "default_task_execution_timeout",
            "default_task_retries",
            "default_task_retry_delay",
            "default_task_weight_rule",
            "hide_sensitive_var_conn_fields",
            "lazy_discover_providers",
            "lazy_load_plugins",
            "load_examples",
            "max_active_runs_per_dag",
            "max_active_tasks_per_dag",
            "max_consecutive_failed_dag_runs_per_dag",
            "max_map_length",
            "max_templated_field_length",
            "might_contain_dag_callable",
            "mp_forkserver_preload",
            "mp_start_method",
            "security",
            "sensitive_var_conn_names",
            "simple_auth_manager_all_admins",
            "simple_auth_manager_passwords_file",
            "simple_auth_manager_users",
            "test_connection",
            "xcom_backend",
            "fernet_key",
            "execution_api_server_url",
            "default_timezone",
        ],
    ),
    (
        "database",
        &[
            "alembic_ini_file_path",
            "check_migrations",
            "external_db_managers",
            "migration_batch_size",
            "sql_alchemy_conn_async",
            "sql_alchemy_connect_args_async",
            "sql_engine_encoding",
            "sql_engine_collation_for_ids",
        ],
    ),
    (
        "logging",
        &[
            "callsite_parameters",
            "celery_logging_level",
            "celery_stdout_stderr_separation",
            "color_log_error_keywords",
            "color_log_warning_keywords",
            "colored_console_log",
            "extra_logger_names",
            "fab_logging_level",
            "log_format",
            "interleave_timestamp_parser",
            "log_formatter_class",
            "log_timestamp_format",
            "min_length_masked_secret",
            "simple_log_format",
            "task_log_prefix_template",
            "task_log_reader",
            "trigger_log_server_port",
            "uvicorn_logging_level",
            "gunicorn_logging_level",
            "encrypt_s3_logs",
            "google_key_path",
            "remote_log_conn_id",
            "remote_base_log_folder",
            "remote_task_handler_kwargs",
            "delete_local_logs",
        ],
    ),
    (
        "dag_processor",
        &[
            "dag_bundle_storage_path",
            "dag_bundle_config_list",
            "refresh_interval",
            "disable_bundle_versioning",
            "health_check_threshold",
            "stale_bundle_cleanup_age_threshold",
            "stale_bundle_cleanup_min_versions",
            "dag_version_inflation_check_level",
        ],
    ),
    ("secrets", &["backend_kwargs"]),
    (
        "operators",
        &[
            "default_owner",
            "default_deferrable",
            "default_cpus",
            "default_ram",
            "default_disk",
            "default_gpus",
            "default_queue",
        ],
    ),
    (
        "workers",
        &[
            "execution_api_retries",
            "execution_api_retry_wait_max",
            "execution_api_retry_wait_min",
            "execution_api_timeout",
        ],
    ),
    ("execution_api", &["jwt_audience", "jwt_expiration_time"]),
    (
        "scheduler",
        &[
            "catchup_by_default",
            "create_cron_data_intervals",
            "create_delta_data_intervals",
            "allowed_run_id_pattern",
        ],
    ),
];

/// One sentence per option that is set to something else than its default and not honoured.
pub(super) fn notes(env: &BTreeMap<String, String>, ini: &Ini) -> Vec<String> {
    let read: BTreeSet<_> = keys::all().map(|key| (key.section(), key.name())).collect();
    let honoured = |section: &str, name: &str| {
        let plain = name.strip_suffix("_cmd").or_else(|| name.strip_suffix("_secret")).unwrap_or(name);
        read.contains(&(section, name))
            || read.contains(&(section, plain))
            || deprecated::is_old_name(section, name)
            || PYTHON.iter().any(|(of, names)| *of == section && names.contains(&name))
    };
    let in_env = env.iter().filter_map(|(variable, value)| {
        let (section, name) = variable.strip_prefix("AIRFLOW__")?.split_once("__")?;
        Some(((section.to_lowercase(), name.to_lowercase()), value.clone()))
    });
    let in_file = ini.options().map(|(section, name)| {
        let value = ini.get(section, name).and_then(Result::ok).unwrap_or_default();
        ((section.to_owned(), name.to_owned()), value)
    });
    // The environment comes last: it wins.
    let set: BTreeMap<_, _> = in_file.chain(in_env).collect();
    set.into_iter()
        .filter(|((section, name), _)| OURS.contains(&section.as_str()) && !honoured(section, name))
        .filter(|((section, name), value)| !unread::is_default(section, name, value))
        .map(|((section, name), _)| format!("[{section}] {name} is set, but Slipstream does not honour it"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_nobody_honours_is_named() {
        let set = [
            ("AIRFLOW__CORE__PARALLELISM", "4"),
            ("AIRFLOW__CORE__DAGS_FOLDER", "/dags"),
            ("AIRFLOW__CORE__FERNET_KEY_CMD", "cat key"),
            ("AIRFLOW__API__WORKERS", "2"),
            ("AIRFLOW__SCHEDULER__USE_ROW_LEVEL_LOCKING", "False"),
        ];
        let env = set.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        // What a new airflow.cfg says anyway asks for nothing.
        let ini = "[scheduler]\nno_such_option = 1\nenable_tracemalloc = False\n[state_store]\ndefault_retention_days = 30\n";
        let ini = Ini::parse(ini).unwrap();
        let notes = notes(&env, &ini);
        assert_eq!(
            notes,
            [
                "[scheduler] no_such_option is set, but Slipstream does not honour it",
                "[scheduler] use_row_level_locking is set, but Slipstream does not honour it",
            ]
        );
    }
}
