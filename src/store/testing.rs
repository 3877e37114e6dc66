//! Databases and rows for tests: every test has a fresh, migrated database of its own.
//!
//! SQLite is a copy of a template, which is migrated by Airflow once if it is missing. PostgreSQL is used where
//! `PG_ADMIN_URL` says, and must then be there with its template; without the variable the local server is used if it
//! answers, and the test says that it skips it if not.

use std::path::{Path, PathBuf};
use std::process::Command;

use chrono::{DateTime, Utc};
use futures_util::FutureExt;
use serde_json::Value as Json;
use slipstream_core::ids::{DagId, MapIndex, RunId, TaskId};
use slipstream_core::state::{RunState, RunType, TaskState};
use uuid::Uuid;

use super::db::{Access, Conn, Db, Target};
use super::row::Row;
use super::sql::{Dialect, Param};
use super::statements::Prepared;

/// The Airflow version of the templates.
const VERSION: &str = "3.3.2";

/// Runs a test on a fresh SQLite database.
pub fn on_sqlite(test: impl AsyncFn(&Db)) {
    block_on(async {
        let (_directory, db) = sqlite().await;
        test(&db).await;
    });
}

/// Runs a test on a fresh SQLite database and then on a fresh PostgreSQL database, if there is a server.
pub fn on_each_database(test: impl AsyncFn(&Db)) {
    on_sqlite(&test);
    block_on(async {
        let Some(postgres) = Postgres::create().await else { return };
        let db = postgres.connect().await;
        let outcome = std::panic::AssertUnwindSafe(test(&db)).catch_unwind().await;
        db.close().await;
        postgres.drop().await;
        if let Err(panic) = outcome {
            std::panic::resume_unwind(panic);
        }
    });
}

/// Runs a test as [`on_each_database`] does, with a second connection that can only read.
pub fn on_each_database_and_reader(test: impl AsyncFn(&Db, &Db)) {
    block_on(async {
        let (directory, db) = sqlite().await;
        let target = sqlite_target(&directory.path().join("airflow.db"));
        let reader = Db::connect_for(&target, Access::ReadOnly).await.unwrap();
        test(&db, &reader).await;
    });
    block_on(async {
        let Some(postgres) = Postgres::create().await else { return };
        let db = postgres.connect().await;
        let reader = Db::connect_for(&postgres_target(&postgres.url()), Access::ReadOnly).await.unwrap();
        let outcome = std::panic::AssertUnwindSafe(test(&db, &reader)).catch_unwind().await;
        db.close().await;
        reader.close().await;
        postgres.drop().await;
        if let Err(panic) = outcome {
            std::panic::resume_unwind(panic);
        }
    });
}

/// Runs a future to its end, as the roles do: on one thread.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// A SQLite database in a directory that is deleted with the handle.
pub async fn sqlite() -> (tempfile::TempDir, Db) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("airflow.db");
    std::fs::copy(sqlite_template(), &path).unwrap();
    let db = Db::connect(&sqlite_target(&path)).await.unwrap();
    (directory, db)
}

/// How to reach a SQLite file.
pub fn sqlite_target(path: &Path) -> Target {
    Target {
        dialect: Dialect::Sqlite,
        url: format!("sqlite://{}?mode=rw", path.display()),
        max_connections: 4,
        schema: None,
        prepared: Prepared::Auto,
    }
}

pub(crate) fn sqlite_template() -> PathBuf {
    let directory = std::env::temp_dir().join("slipstream-harness");
    let template = directory.join(format!("template-{VERSION}.db"));
    if !template.exists() {
        std::fs::create_dir_all(&directory).unwrap();
        let fresh = directory.join(format!("{}.db", Uuid::now_v7()));
        let status = Command::new(python())
            .args(["-m", "airflow", "db", "migrate"])
            .env("AIRFLOW_HOME", directory.join("home"))
            .env("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", format!("sqlite:///{}", fresh.display()))
            .status()
            .unwrap();
        assert!(status.success(), "airflow db migrate failed");
        std::fs::rename(fresh, &template).unwrap();
    }
    template
}

/// The Python that has Airflow: `SLIPSTREAM_TEST_PYTHON`, else the project's virtual environment.
pub fn python() -> PathBuf {
    match std::env::var_os("SLIPSTREAM_TEST_PYTHON") {
        Some(path) => path.into(),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv/bin/python"),
    }
}

/// A PostgreSQL database of a test's own.
#[derive(Debug)]
pub struct Postgres {
    admin: String,
    name: String,
}

impl Postgres {
    /// Makes one from the template, or says why there is none.
    pub async fn create() -> Option<Self> {
        let admin = std::env::var("PG_ADMIN_URL")
            .unwrap_or_else(|_| "postgresql://postgres:postgres@127.0.0.1:5432/postgres".to_owned());
        let name = format!("slipstream_test_{}", Uuid::new_v4().simple());
        let template = format!("airflow_tmpl_{}", VERSION.replace('.', "_"));
        match Self::command(&admin, &format!("CREATE DATABASE {name} TEMPLATE {template}")).await {
            Ok(()) => Some(Self { admin, name }),
            Err(error) => {
                // A server that was asked for must be there.
                assert!(std::env::var_os("PG_ADMIN_URL").is_none(), "no database on PG_ADMIN_URL: {error}");
                eprintln!("skipped on PostgreSQL: {error}");
                None
            }
        }
    }

    async fn command(admin: &str, text: &str) -> Result<(), super::StoreError> {
        // Databases are not made and removed in a transaction.
        let db = Db::connect(&Target { prepared: Prepared::Kept, ..postgres_target(admin) }).await?;
        let done = db.exec(db.sql(text)).await;
        db.close().await;
        done.map(drop)
    }

    /// Its address.
    pub fn url(&self) -> String {
        let (server, _) = self.admin.rsplit_once('/').unwrap();
        format!("{server}/{}", self.name)
    }

    /// Connects to it.
    pub async fn connect(&self) -> Db {
        Db::connect(&postgres_target(&self.url())).await.unwrap()
    }

    /// Connects to it with connections that [`cut`] cuts.
    pub async fn connect_to_be_cut(&self) -> Db {
        Db::connect(&postgres_target(&format!("{}?application_name={CUT}", self.url()))).await.unwrap()
    }

    /// Removes it.
    pub async fn drop(self) {
        let drop = format!("DROP DATABASE {} WITH (FORCE)", self.name);
        if let Err(error) = Self::command(&self.admin, &drop).await {
            eprintln!("{} was left behind: {error}", self.name);
        }
    }
}

/// The name of connections that are cut.
const CUT: &str = "to_be_cut";

/// The server ends all connections of [`Postgres::connect_to_be_cut`], whatever they are doing; returns how many there were.
pub async fn cut(conn: &impl Conn) -> i64 {
    let sql = conn
        .sql(
            "SELECT count(pg_terminate_backend(pid)) AS n FROM pg_stat_activity \
             WHERE datname = current_database() AND application_name = ?",
        )
        .bind(CUT);
    conn.one(sql).await.unwrap().unwrap().int("n").unwrap()
}

pub(super) fn postgres_target(url: &str) -> Target {
    Target {
        dialect: Dialect::Postgres,
        url: url.to_owned(),
        max_connections: 4,
        schema: None,
        prepared: prepared(),
    }
}

/// `SLIPSTREAM_TEST_PREPARED=unnamed`: all tests with statements that have no names.
pub(crate) fn prepared() -> Prepared {
    let wanted = std::env::var("SLIPSTREAM_TEST_PREPARED").unwrap_or_default();
    Prepared::ALL.into_iter().find(|one| one.as_str() == wanted).unwrap_or(Prepared::Auto)
}

/// A fixed time for rows: `2026-01-01T00:00:00Z` and so many seconds.
pub fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_767_225_600 + seconds, 0).unwrap()
}

/// Writes one row.
pub async fn insert(conn: &impl Conn, table: &str, values: Vec<(&str, Param)>) {
    let (columns, values): (Vec<_>, Vec<_>) = values.into_iter().unzip();
    let columns: Vec<_> = columns.iter().map(|column| format!("\"{column}\"")).collect();
    let sql = format!("INSERT INTO {table} ({}) VALUES ?", columns.join(", "));
    conn.exec(conn.sql(&sql).bind_rows([values])).await.unwrap();
}

/// The first row of a query without values.
pub async fn first(conn: &impl Conn, sql: &str) -> Row {
    conn.one(conn.sql(sql)).await.unwrap().unwrap_or_else(|| panic!("no row for: {sql}"))
}

/// How many rows a table has.
pub async fn count(conn: &impl Conn, table: &str) -> i64 {
    first(conn, &format!("SELECT COUNT(*) AS n FROM {table}")).await.int("n").unwrap()
}

/// Writes an active, unpaused Dag without a schedule, in the bundle `dags-folder`.
pub async fn dag(conn: &impl Conn, dag_id: &str) {
    let bundle =
        conn.sql("INSERT INTO dag_bundle (name, active) VALUES ('dags-folder', ?) ON CONFLICT DO NOTHING");
    conn.exec(bundle.bind(true)).await.unwrap();
    let values = vec![
        ("dag_id", dag_id.into()),
        ("is_paused", false.into()),
        ("is_stale", false.into()),
        ("fileloc", format!("{dag_id}.py").into()),
        ("relative_fileloc", format!("{dag_id}.py").into()),
        ("bundle_name", "dags-folder".into()),
        ("owners", "airflow".into()),
        ("timetable_type", "airflow.timetables.simple.NullTimetable".into()),
        ("partition_mapper_info", Json::Object(serde_json::Map::new()).into()),
        ("max_active_tasks", 16.into()),
        ("max_active_runs", 16.into()),
        ("max_consecutive_failed_dag_runs", 0.into()),
        ("has_task_concurrency_limits", false.into()),
    ];
    insert(conn, "dag", values).await;
}

/// Writes the next version of a Dag with its serialised form (the object under `dag`); returns the version's id.
pub async fn serialized_dag(conn: &impl Conn, dag_id: &str, dag: Json) -> Uuid {
    let version = Uuid::now_v7();
    let sql = conn.sql("SELECT COUNT(*) AS n FROM dag_version WHERE dag_id = ?").bind(dag_id);
    let earlier = conn.one(sql).await.unwrap().unwrap().int("n").unwrap();
    let values = vec![
        ("id", version.into()),
        ("version_number", (earlier + 1).into()),
        ("dag_id", dag_id.into()),
        ("bundle_name", "dags-folder".into()),
        ("created_at", at(earlier).into()),
        ("last_updated", at(earlier).into()),
    ];
    insert(conn, "dag_version", values).await;
    let values = vec![
        ("id", Uuid::now_v7().into()),
        ("dag_id", dag_id.into()),
        ("data", serde_json::json!({"__version": 3, "dag": dag}).into()),
        ("created_at", at(earlier).into()),
        ("last_updated", at(earlier).into()),
        ("dag_hash", earlier.to_string().into()),
        ("dag_version_id", version.into()),
    ];
    insert(conn, "serialized_dag", values).await;
    version
}

/// Gives the bundle `dags-folder` and the pool `default_pool` to a new team.
pub async fn team(conn: &impl Conn, team: &str) {
    insert(conn, "team", vec![("name", team.into())]).await;
    let values = vec![("dag_bundle_name", "dags-folder".into()), ("team_name", team.into())];
    insert(conn, "dag_bundle_team", values).await;
    let pool = conn.sql("UPDATE slot_pool SET team_name = ? WHERE pool = 'default_pool'").bind(team);
    conn.exec(pool).await.unwrap();
}

/// A dag run to be written.
#[derive(Clone, Debug)]
pub struct NewRun {
    /// The Dag; it must exist.
    pub dag_id: DagId,
    /// The run.
    pub run_id: RunId,
    /// Its logical date, at which it also starts.
    pub logical_date: DateTime<Utc>,
    /// Its state.
    pub state: RunState,
    /// Its partition.
    pub partition_key: Option<String>,
}

impl NewRun {
    /// A run that runs, with its logical date at [`at`]`(0)`.
    pub fn new(dag_id: &str, run_id: &str) -> Self {
        Self {
            dag_id: dag_id.into(),
            run_id: run_id.into(),
            logical_date: at(0),
            state: RunState::Running,
            partition_key: None,
        }
    }

    /// Writes it; returns `dag_run.id`.
    pub async fn insert(&self, conn: &impl Conn) -> i64 {
        let values = vec![
            ("dag_id", (&self.dag_id).into()),
            ("run_id", (&self.run_id).into()),
            ("logical_date", self.logical_date.into()),
            ("data_interval_start", self.logical_date.into()),
            ("data_interval_end", self.logical_date.into()),
            ("start_date", self.logical_date.into()),
            ("run_after", self.logical_date.into()),
            ("state", self.state.into()),
            ("run_type", RunType::Manual.into()),
            ("conf", Json::Object(serde_json::Map::new()).into()),
            ("partition_key", self.partition_key.as_deref().into()),
        ];
        insert(conn, "dag_run", values).await;
        let sql = conn
            .sql("SELECT id FROM dag_run WHERE dag_id = ? AND run_id = ?")
            .bind(&self.dag_id)
            .bind(&self.run_id);
        conn.one(sql).await.unwrap().unwrap().int("id").unwrap()
    }
}

/// A task instance to be written.
#[derive(Clone, Debug)]
pub struct NewTi {
    /// The Dag.
    pub dag_id: DagId,
    /// The run; it must exist.
    pub run_id: RunId,
    /// The task.
    pub task_id: TaskId,
    /// Which copy.
    pub map_index: MapIndex,
    /// Its state.
    pub state: Option<TaskState>,
    /// Which try.
    pub try_number: i32,
    /// How many retries.
    pub max_tries: i32,
}

impl NewTi {
    /// A queued task instance at its first and only try.
    pub fn new(dag_id: &str, run_id: &str, task_id: &str) -> Self {
        Self {
            dag_id: dag_id.into(),
            run_id: run_id.into(),
            task_id: task_id.into(),
            map_index: MapIndex::UNMAPPED,
            state: Some(TaskState::Queued),
            try_number: 1,
            max_tries: 0,
        }
    }

    /// In another state.
    #[must_use]
    pub fn state(mut self, state: impl Into<Option<TaskState>>) -> Self {
        self.state = state.into();
        self
    }

    /// With so many retries.
    #[must_use]
    pub fn retries(mut self, retries: i32) -> Self {
        self.max_tries = retries;
        self
    }

    /// As a copy of a mapped task.
    #[must_use]
    pub fn copy(mut self, index: i32) -> Self {
        self.map_index = MapIndex(index);
        self
    }

    /// Writes it; returns its id. One that runs has started at [`at`]`(10)` on the host `host` as process 100.
    pub async fn insert(&self, conn: &impl Conn) -> Uuid {
        let id = Uuid::now_v7();
        let running = self.state == Some(TaskState::Running);
        let values = vec![
            ("id", id.into()),
            ("dag_id", (&self.dag_id).into()),
            ("run_id", (&self.run_id).into()),
            ("task_id", (&self.task_id).into()),
            ("map_index", self.map_index.into()),
            ("state", self.state.into()),
            ("try_number", self.try_number.into()),
            ("max_tries", self.max_tries.into()),
            ("pool", "default_pool".into()),
            ("pool_slots", 1.into()),
            ("queue", "default".into()),
            ("priority_weight", 1.into()),
            ("operator", "BashOperator".into()),
            ("start_date", running.then(|| at(10)).into()),
            ("hostname", Param::from(running.then_some("host"))),
            ("unixname", Param::from(running.then_some("user"))),
            ("pid", running.then_some(100_i64).into()),
        ];
        insert(conn, "task_instance", values).await;
        id
    }
}

/// A Dag `d` with a run `r` and one task instance `t` in a state; returns the task instance's id.
pub async fn one_task(conn: &impl Conn, state: TaskState) -> Uuid {
    dag(conn, "d").await;
    NewRun::new("d", "r").insert(conn).await;
    NewTi::new("d", "r", "t").state(state).insert(conn).await
}
