//! `[state_store]`.

keys! { "state_store":
    /// The class that stores it.
    BACKEND: String = "backend", "airflow.state.metastore.MetastoreBackend";
    /// Whether the state of a task is removed when it has succeeded.
    CLEAR_ON_SUCCESS: bool = "clear_on_success", false;
    /// After how many days state is removed.
    DEFAULT_RETENTION_DAYS: i64 = "default_retention_days", 30;
    /// The largest value, in bytes.
    MAX_VALUE_STORAGE_BYTES: i64 = "max_value_storage_bytes", 65_535;
}
