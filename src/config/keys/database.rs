//! `[database]`.

keys! { "database":
    /// The metadata database, as a URL of SQLAlchemy.
    SQL_ALCHEMY_CONN: String = "sql_alchemy_conn", "sqlite:///{AIRFLOW_HOME}/airflow.db", sensitive;
    /// The schema in which Airflow's tables are.
    SQL_ALCHEMY_SCHEMA: String = "sql_alchemy_schema", "";
    /// Connections that are kept.
    SQL_ALCHEMY_POOL_SIZE: i64 = "sql_alchemy_pool_size", 5;
}
