//! Databases of their own for tests.

use std::path::{Path, PathBuf};
use std::process::Command;

use uuid::Uuid;

use crate::store::{Conn, Db, Dialect, Prepared, Target, testing};

/// A copy of a migrated database, dropped with its test.
pub(crate) struct TestDb {
    pub(crate) db: Db,
    /// The SQLite file, or the PostgreSQL database's name.
    pub(crate) place: Place,
}

pub(crate) enum Place {
    File(tempfile::TempDir),
    Postgres(String),
}

/// The server for tests on PostgreSQL, without a database's name.
fn server() -> String {
    let admin = std::env::var("PG_ADMIN_URL")
        .unwrap_or_else(|_| "postgresql://postgres:postgres@127.0.0.1:5432/postgres".to_owned());
    admin.rsplit_once('/').map_or(admin.clone(), |(server, _)| server.to_owned())
}

/// Airflow's interpreter, if there is one.
pub(crate) fn python() -> Option<PathBuf> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(".venv/bin/python");
    path.exists().then_some(path)
}

/// A server that was asked for must be there; without one the test says that it leaves PostgreSQL out.
fn missing<T>(why: &str) -> Option<T> {
    assert!(std::env::var_os("PG_ADMIN_URL").is_none(), "no database for the test on PG_ADMIN_URL: {why}");
    eprintln!("skipped on PostgreSQL: {why}");
    None
}

/// How to reach a SQLite file.
fn target(file: &Path) -> Target {
    Target {
        dialect: Dialect::Sqlite,
        url: format!("sqlite://{}?mode=rw", file.display()),
        max_connections: 4,
        schema: None,
        prepared: Prepared::Auto,
    }
}

impl TestDb {
    /// Every database that can be reached here.
    pub(crate) async fn all() -> Vec<TestDb> {
        let mut all = Vec::new();
        all.extend(Self::sqlite().await);
        all.extend(Self::postgres().await);
        all
    }

    /// A copy of the SQLite template; `None` if there is no template.
    pub(crate) async fn sqlite() -> Option<TestDb> {
        let dir = tempfile::tempdir().ok()?;
        let file = dir.path().join("airflow.db");
        std::fs::copy(crate::store::testing::sqlite_template(), &file).ok()?;
        let target = target(&file);
        Some(TestDb { db: Db::connect(&target).await.ok()?, place: Place::File(dir) })
    }

    /// A copy of this SQLite database.
    pub(crate) async fn copy(&self) -> TestDb {
        let Place::File(from) = &self.place else { panic!("only files are copied") };
        self.run(&["PRAGMA wal_checkpoint(TRUNCATE)"]).await;
        let dir = tempfile::tempdir().unwrap();
        std::fs::copy(from.path().join("airflow.db"), dir.path().join("airflow.db")).unwrap();
        let target = target(&dir.path().join("airflow.db"));
        TestDb { db: Db::connect(&target).await.unwrap(), place: Place::File(dir) }
    }

    /// A copy of the PostgreSQL template; `None` if there is no server or no template.
    pub(crate) async fn postgres() -> Option<TestDb> {
        let name = format!("runs_test_{}", Uuid::new_v4().simple());
        let Some(admin) = Self::connect("postgres").await else { return missing("no server answers") };
        let sql = admin.sql(&format!("CREATE DATABASE {name} TEMPLATE airflow_tmpl_3_3_2"));
        if let Err(error) = admin.exec(sql).await {
            return missing(&error.to_string());
        }
        admin.close().await;
        Some(TestDb { db: Self::connect(&name).await?, place: Place::Postgres(name) })
    }

    async fn connect(name: &str) -> Option<Db> {
        let target = Target {
            dialect: Dialect::Postgres,
            url: format!("{}/{name}", server()),
            max_connections: 4,
            schema: None,
            // Databases are not made and removed in a transaction.
            prepared: if name == "postgres" { Prepared::Kept } else { testing::prepared() },
        };
        Db::connect(&target).await.ok()
    }

    /// Closes the connections and removes the database.
    pub(crate) async fn drop(self) {
        self.db.close().await;
        if let Place::Postgres(name) = self.place
            && let Some(admin) = Self::connect("postgres").await
        {
            let sql = admin.sql(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"));
            let _ = admin.exec(sql).await;
            admin.close().await;
        }
    }

    /// `[database] sql_alchemy_conn` for Python.
    pub(crate) fn sqlalchemy(&self) -> String {
        match &self.place {
            Place::File(dir) => format!("sqlite:///{}", dir.path().join("airflow.db").display()),
            Place::Postgres(name) => {
                let server = server();
                let (_, rest) = server.split_once("://").unwrap_or_default();
                format!("postgresql+psycopg2://{rest}/{name}")
            }
        }
    }

    /// Runs Python code with Airflow on this database; returns what it printed. `None` if there is no Airflow.
    pub(crate) fn airflow(&self, code: &str) -> Option<String> {
        let home = tempfile::tempdir().ok()?;
        let out = Command::new(python()?)
            .args(["-W", "ignore", "-c", code])
            .env("AIRFLOW_HOME", home.path())
            .env("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", self.sqlalchemy())
            .env("AIRFLOW__CORE__LOAD_EXAMPLES", "False")
            .env("AIRFLOW__CORE__FERNET_KEY", "")
            .env("AIRFLOW__LOGGING__LOGGING_LEVEL", "ERROR")
            .output()
            .ok()?;
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).ok()
    }

    /// Runs statements without values.
    pub(crate) async fn run(&self, statements: &[&str]) {
        for text in statements {
            self.db.exec(self.db.sql(text)).await.unwrap_or_else(|error| panic!("{text}: {error}"));
        }
    }

    /// Inserts a bundle and an unpaused Dag whose row says the given (`column = value`, …) beyond the defaults.
    pub(crate) async fn dag(&self, dag_id: &str, columns: &[(&str, &str)]) {
        let db = &self.db;
        let sql = db
            .sql("INSERT INTO dag_bundle (name, active) VALUES ('dags-folder', true) ON CONFLICT DO NOTHING");
        db.exec(sql).await.unwrap();
        let mut all = vec![
            ("is_paused", "false"),
            ("is_stale", "false"),
            ("has_import_errors", "false"),
            ("exceeds_max_non_backfill", "false"),
            ("fileloc", "'/dags/a.py'"),
            ("relative_fileloc", "'a.py'"),
            ("bundle_name", "'dags-folder'"),
            ("timetable_type", "''"),
            ("timetable_partitioned", "false"),
            ("timetable_periodic", "true"),
            ("partition_mapper_info", "'{}'"),
            ("max_active_tasks", "16"),
            ("max_active_runs", "16"),
            ("max_consecutive_failed_dag_runs", "0"),
            ("has_task_concurrency_limits", "false"),
            ("fail_fast", "false"),
        ];
        all.retain(|(name, _)| columns.iter().all(|(other, _)| other != name));
        all.extend(columns);
        let names: Vec<&str> = all.iter().map(|(name, _)| *name).collect();
        let values: Vec<&str> = all.iter().map(|(_, value)| *value).collect();
        let text =
            format!("INSERT INTO dag (dag_id, {}) VALUES (?, {})", names.join(", "), values.join(", "));
        db.exec(db.sql(&text).bind(dag_id)).await.unwrap();
        let now = chrono::Utc::now();
        let sql = db
            .sql(
                "INSERT INTO dag_version (id, version_number, dag_id, bundle_name, created_at, last_updated) \
                 VALUES (?, 1, ?, 'dags-folder', ?, ?)",
            )
            .bind(Uuid::now_v7())
            .bind(dag_id)
            .bind(now)
            .bind(now);
        db.exec(sql).await.unwrap();
    }

    /// The version of a Dag that [`TestDb::dag`] made.
    pub(crate) async fn version(&self, dag_id: &str) -> Uuid {
        let sql = self.db.sql("SELECT id FROM dag_version WHERE dag_id = ?").bind(dag_id);
        self.db.one(sql).await.unwrap().unwrap().uuid("id").unwrap()
    }
}
