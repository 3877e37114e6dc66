//! `[core]`.

use std::time::Duration;

keys! { "core":
    /// Where Dag files are.
    DAGS_FOLDER: String = "dags_folder", "{AIRFLOW_HOME}/dags";
    /// Where plugins are.
    PLUGINS_FOLDER: String = "plugins_folder", "{AIRFLOW_HOME}/plugins";
    /// The Python function that names this machine.
    HOSTNAME_CALLABLE: String = "hostname_callable", "airflow.utils.net.getfqdn";
    /// The time zone of Dags that name none.
    DEFAULT_TIMEZONE: String = "default_timezone", "utc";
    /// Executor classes or aliases, separated by commas; the first is the default.
    EXECUTOR: String = "executor", "LocalExecutor";
    /// Most task instances that run at once in this executor.
    PARALLELISM: i64 = "parallelism", 32;
    /// Most running task instances per Dag.
    MAX_ACTIVE_TASKS_PER_DAG: i64 = "max_active_tasks_per_dag", 16;
    /// Most running runs per Dag.
    MAX_ACTIVE_RUNS_PER_DAG: i64 = "max_active_runs_per_dag", 16;
    /// After how many failed runs in a row a Dag is paused; 0: never.
    MAX_CONSECUTIVE_FAILED_DAG_RUNS_PER_DAG: i64 = "max_consecutive_failed_dag_runs_per_dag", 0;
    /// Whether a new Dag is paused.
    DAGS_ARE_PAUSED_AT_CREATION: bool = "dags_are_paused_at_creation", true;
    /// Whether Airflow's example Dags are loaded.
    LOAD_EXAMPLES: bool = "load_examples", true;
    /// Keys of the encryption of connections and variables, newest first, separated by commas.
    FERNET_KEY: String = "fernet_key", "", sensitive;
    /// How long a task process has between SIGTERM and SIGKILL.
    KILLED_TASK_CLEANUP_TIME: Duration = "killed_task_cleanup_time", Duration::from_secs(60);
    /// How long a task process may go on after it has reported success.
    TASK_SUCCESS_OVERTIME: Duration = "task_success_overtime", Duration::from_secs(20);
    /// How long importing one Dag file may take.
    DAGBAG_IMPORT_TIMEOUT: f64 = "dagbag_import_timeout", 30.0;
    /// Whether only files that mention Airflow and a Dag are parsed.
    DAG_DISCOVERY_SAFE_MODE: bool = "dag_discovery_safe_mode", true;
    /// Syntax of `.airflowignore`: `glob` or `regexp`.
    DAG_IGNORE_FILE_SYNTAX: String = "dag_ignore_file_syntax", "glob";
    /// How long at least between two writes of a serialised Dag.
    MIN_SERIALIZED_DAG_UPDATE_INTERVAL: Duration = "min_serialized_dag_update_interval", Duration::from_secs(30);
    /// Whether serialised Dags are stored compressed.
    COMPRESS_SERIALIZED_DAGS: bool = "compress_serialized_dags", false;
    /// How many runs keep their rendered fields, per task.
    NUM_DAG_RUNS_TO_RETAIN_RENDERED_FIELDS: i64 = "num_dag_runs_to_retain_rendered_fields", 30;
    /// Longest list that a task may be mapped over.
    MAX_MAP_LENGTH: i64 = "max_map_length", 1024;
    /// Upper limit of the delay that exponential backoff may reach.
    MAX_TASK_RETRY_DELAY: Duration = "max_task_retry_delay", Duration::from_secs(86_400);
    /// Slots of `default_pool` when it is made.
    DEFAULT_POOL_TASK_SLOT_COUNT: i64 = "default_pool_task_slot_count", 128;
    /// Where the Execution API is; empty: below `[api] base_url`.
    EXECUTION_API_SERVER_URL: String = "execution_api_server_url", "";
    /// Whether values under sensitive names are masked.
    HIDE_SENSITIVE_VAR_CONN_FIELDS: bool = "hide_sensitive_var_conn_fields", true;
    /// More names that are sensitive, separated by commas.
    SENSITIVE_VAR_CONN_NAMES: String = "sensitive_var_conn_names", "";
    /// The class that stores XCom values.
    XCOM_BACKEND: String = "xcom_backend", "airflow.sdk.execution_time.xcom.BaseXCom";
    /// Who may do what in the UI: the class that decides.
    AUTH_MANAGER: String = "auth_manager", "airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager";
    /// Users of the simple auth manager, `name:role` separated by commas.
    SIMPLE_AUTH_MANAGER_USERS: String = "simple_auth_manager_users", "admin:admin";
    /// Whether everybody is an administrator without a login.
    SIMPLE_AUTH_MANAGER_ALL_ADMINS: bool = "simple_auth_manager_all_admins", false;
    /// The file with the passwords that it made; empty: in `AIRFLOW_HOME`.
    SIMPLE_AUTH_MANAGER_PASSWORDS_FILE: String = "simple_auth_manager_passwords_file", "";
    /// Whether Dags belong to teams.
    MULTI_TEAM: bool = "multi_team", false;
    /// Whether a run's id may hold `..`.
    ALLOW_DOUBLE_DOT_IN_IDS: bool = "allow_double_dot_in_ids", false;
}
