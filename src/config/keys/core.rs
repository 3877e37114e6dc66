//! `[core]`.

use std::time::Duration;

keys! { "core":
    /// The Python function that names this machine.
    HOSTNAME_CALLABLE: String = "hostname_callable", "airflow.utils.net.getfqdn";
    /// Executor classes or aliases, separated by commas; the first is the default.
    EXECUTOR: String = "executor", "LocalExecutor";
    /// Most task instances that run at once in this executor.
    PARALLELISM: i64 = "parallelism", 32;
    /// Keys of the encryption of connections and variables, newest first, separated by commas.
    FERNET_KEY: String = "fernet_key", "", sensitive;
    /// How long a task process may go on after it has reported success.
    TASK_SUCCESS_OVERTIME: Duration = "task_success_overtime", Duration::from_secs(20);
    /// How long at least between two writes of a serialised Dag.
    MIN_SERIALIZED_DAG_UPDATE_INTERVAL: Duration = "min_serialized_dag_update_interval", Duration::from_secs(30);
    /// How many runs keep their rendered fields, per task.
    NUM_DAG_RUNS_TO_RETAIN_RENDERED_FIELDS: i64 = "num_dag_runs_to_retain_rendered_fields", 30;
    /// Longest list that a task may be mapped over.
    MAX_MAP_LENGTH: i64 = "max_map_length", 1024;
    /// Upper limit of the delay that exponential backoff may reach.
    MAX_TASK_RETRY_DELAY: Duration = "max_task_retry_delay", Duration::from_secs(86_400);
    /// The umask of a process in the background, in octal digits.
    DAEMON_UMASK: String = "daemon_umask", "0o077";
    /// Whether values under sensitive names are masked.
    HIDE_SENSITIVE_VAR_CONN_FIELDS: bool = "hide_sensitive_var_conn_fields", true;
    /// More names that are sensitive, separated by commas.
    SENSITIVE_VAR_CONN_NAMES: String = "sensitive_var_conn_names", "";
    /// Who may do what in the UI: the class that decides.
    AUTH_MANAGER: String = "auth_manager", "airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager";
    /// Users of the simple auth manager, `name:role` separated by commas.
    SIMPLE_AUTH_MANAGER_USERS: String = "simple_auth_manager_users", "admin:admin";
    /// Whether everybody is an administrator without a login.
    SIMPLE_AUTH_MANAGER_ALL_ADMINS: bool = "simple_auth_manager_all_admins", false;
    /// The file with the passwords that it made; empty: in `AIRFLOW_HOME`.
    SIMPLE_AUTH_MANAGER_PASSWORDS_FILE: String = "simple_auth_manager_passwords_file", "";
    /// Where plugins are.
    PLUGINS_FOLDER: String = "plugins_folder", "{AIRFLOW_HOME}/plugins";
    /// Whether Dags belong to teams.
    MULTI_TEAM: bool = "multi_team", false;
    /// Whether what is cleared goes by the newest version of its Dag, if the Dag does not say.
    RERUN_WITH_LATEST_VERSION: bool = "rerun_with_latest_version", false;
    /// Whether a run's id may hold `..`.
    ALLOW_DOUBLE_DOT_IN_IDS: bool = "allow_double_dot_in_ids", false;
}
