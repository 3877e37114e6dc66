//! `[logging]`.

keys! { "logging":
    /// Where task logs are.
    BASE_LOG_FOLDER: String = "base_log_folder", "{AIRFLOW_HOME}/logs";
    /// The path of a task log, as a template of Jinja.
    LOG_FILENAME_TEMPLATE: String = "log_filename_template", "dag_id={{ ti.dag_id }}/run_id={{ ti.run_id }}/task_id={{ ti.task_id }}/{% if ti.map_index >= 0 %}map_index={{ ti.map_index }}/{% endif %}attempt={{ try_number|default(ti.try_number) }}.log";
    /// From which level on messages are logged.
    LOGGING_LEVEL: String = "logging_level", "INFO";
    /// Levels of single loggers, `name=LEVEL` separated by commas or blanks.
    NAMESPACE_LEVELS: String = "namespace_levels", "";
    /// Whether our logs are JSON.
    JSON_LOGS: bool = "json_logs", false;
    /// Whether task logs are uploaded.
    REMOTE_LOGGING: bool = "remote_logging", false;
    /// A dictionary of the deployment's own for Python's logs; its module may bring a handler for remote task logs.
    LOGGING_CONFIG_CLASS: String = "logging_config_class", "";
    /// The port of the log server.
    WORKER_LOG_SERVER_PORT: i64 = "worker_log_server_port", 8793;
    /// Permissions of new log folders.
    FILE_TASK_HANDLER_NEW_FOLDER_PERMISSIONS: String = "file_task_handler_new_folder_permissions", "0o775";
    /// Permissions of new log files.
    FILE_TASK_HANDLER_NEW_FILE_PERMISSIONS: String = "file_task_handler_new_file_permissions", "0o664";
    /// Shorter secrets are not masked.
    MIN_LENGTH_MASKED_SECRET: i64 = "min_length_masked_secret", 5;
    /// Where what a Dag file prints goes: `file` or `stdout`.
    DAG_PROCESSOR_LOG_TARGET: String = "dag_processor_log_target", "file";
    /// The folder of these logs.
    DAG_PROCESSOR_CHILD_PROCESS_LOG_DIRECTORY: String = "dag_processor_child_process_log_directory", "{AIRFLOW_HOME}/logs/dag_processor";
    /// The port at which the triggerer serves its logs.
    TRIGGER_LOG_SERVER_PORT: i64 = "trigger_log_server_port", 8794;
}
