//! The dag processor on a real Airflow environment and a database of its own.

use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::task::{JoinHandle, LocalSet};
use tokio::time::Instant;

use super::{DagProcessorError, Options, Runs, Settings, run};
use crate::python::Interpreter;
use crate::runtime::{Asker, Shutdown};
use crate::store::runs::testing::TestDb;
use crate::store::{Conn, Row};
use crate::supervisor::answer;
use crate::telemetry::metrics::testing::Sent;

/// A dag processor at work on a folder of its own.
struct Lab {
    database: TestDb,
    home: tempfile::TempDir,
    settings: Settings,
    asker: Asker,
    shutdown: Shutdown,
}

impl Lab {
    async fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir(home.path().join("dags")).unwrap();
        let settings = Settings {
            file_interval: Duration::from_millis(300),
            min_update_interval: Duration::ZERO,
            cleanup_interval: Duration::from_secs(1),
            stale_dag_threshold: Duration::from_secs(1),
            log_directory: home.path().join("logs"),
            ..Settings::default()
        };
        let (asker, shutdown) = Shutdown::by_hand();
        Self { database: TestDb::sqlite().await.unwrap(), home, settings, asker, shutdown }
    }

    fn dags(&self) -> PathBuf {
        self.home.path().join("dags")
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.dags().join(name), text).unwrap();
    }

    fn start(&self, runs: Runs) -> JoinHandle<Result<(), DagProcessorError>> {
        let python = Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv/bin/python");
        let interpreter = Interpreter::at(python)
            .with_env("AIRFLOW_HOME", self.home.path())
            .with_env("AIRFLOW__CORE__DAGS_FOLDER", self.dags())
            .with_env("AIRFLOW__CORE__LOAD_EXAMPLES", "False")
            .with_env("AIRFLOW__CORE__MIN_SERIALIZED_DAG_UPDATE_INTERVAL", "0")
            .with_env("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", self.database.sqlalchemy());
        let settings = self.settings.clone();
        let options = Options {
            db: self.database.db.clone(),
            interpreter,
            hostname: "here".to_owned(),
            shutdown: self.shutdown.clone(),
            runs,
            bundles: vec![],
            answers: answer::Options::default(),
            settings,
        };
        tokio::task::spawn_local(run(options))
    }

    /// The first row of a query, once there is one.
    async fn wait(&self, query: &str) -> Row {
        let db = &self.database.db;
        let limit = Instant::now() + Duration::from_secs(60);
        while Instant::now() < limit {
            if let Some(row) = db.one(db.sql(query)).await.unwrap() {
                return row;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("no row in time: {query}");
    }

    /// The processes of its Python that are children of `parent`, or of any if there is none.
    fn pythons(&self, parent: Option<u32>) -> Vec<i32> {
        let home = format!("AIRFLOW_HOME={}\0", self.home.path().display());
        let is_one = |pid: &i32| {
            let read = |what| std::fs::read_to_string(format!("/proc/{pid}/{what}")).unwrap_or_default();
            let is_child =
                |status: String| parent.is_none_or(|it| status.contains(&format!("PPid:\t{it}\n")));
            read("environ").contains(&home) && is_child(read("status"))
        };
        let entries = std::fs::read_dir("/proc").unwrap();
        let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        pids.filter(is_one).collect()
    }

    async fn count(&self, query: &str) -> i64 {
        let db = &self.database.db;
        db.one(db.sql(&format!("SELECT count(*) AS n FROM {query}")))
            .await
            .unwrap()
            .unwrap()
            .int("n")
            .unwrap()
    }
}

/// A Dag file with one empty task.
fn dag(id: &str) -> String {
    format!(
        "from airflow.sdk import DAG\nfrom airflow.providers.standard.operators.empty import EmptyOperator\n\
         with DAG({id:?}, schedule=None):\n    EmptyOperator(task_id=\"t\")\n"
    )
}

#[tokio::test]
async fn good_files_are_in_the_database_whatever_bad_ones_do() {
    LocalSet::new().run_until(good_and_bad_files()).await;
}

async fn good_and_bad_files() {
    let mut lab = Lab::new().await;
    lab.settings.processor_timeout = Duration::from_secs(2);
    lab.write("a_good.py", &dag("good"));
    lab.write("b_broken.py", "from airflow.sdk import DAG\nraise ValueError('no such dag')\n");
    lab.write("c_exits.py", "from airflow.sdk import DAG\nimport os\nos._exit(3)\n");
    lab.write("d_endless.py", "from airflow.sdk import DAG\nwhile True: pass\n");
    let processor = lab.start(Runs::Times(1));
    processor.await.unwrap().unwrap();
    lab.wait("SELECT 1 FROM dag WHERE dag_id = 'good' AND NOT is_stale AND relative_fileloc = 'a_good.py'")
        .await;
    assert_eq!(lab.count("serialized_dag WHERE dag_id = 'good'").await, 1);
    let error = lab.wait("SELECT filename, stacktrace FROM import_error").await;
    assert_eq!(error.text("filename").unwrap(), "b_broken.py");
    assert!(error.text("stacktrace").unwrap().contains("no such dag"));
    assert_eq!(lab.count("import_error").await, 1, "as in Airflow, a crash leaves no row");
    lab.wait(
        "SELECT 1 FROM job WHERE job_type = 'DagProcessorJob' AND state = 'success' AND end_date IS NOT NULL",
    )
    .await;
    let log = |file: &str| {
        std::fs::read_to_string(lab.settings.log_directory.join("latest/dags-folder").join(file)).unwrap()
    };
    assert!(log("c_exits.py.log").contains("exit code 3"));
    assert!(log("d_endless.py.log").contains("was killed"));
}

#[tokio::test]
async fn an_unchanged_file_is_not_executed_again_and_an_edited_one_is() {
    LocalSet::new().run_until(unchanged_and_edited_files()).await;
}

async fn unchanged_and_edited_files() {
    let lab = Lab::new().await;
    let counter = lab.home.path().join("executions");
    let text = format!("open({counter:?}, 'a').write('x')\n{}", dag("counted"));
    lab.write("counted.py", &text);
    let processor = lab.start(Runs::Unlimited);
    lab.wait("SELECT 1 FROM dag WHERE dag_id = 'counted'").await;
    let executions = || std::fs::metadata(&counter).map_or(0, |meta| meta.len());
    // The second execution finds the same result; after it only the time of the last parse is kept up.
    let mut last = (0, String::new(), 0);
    while last.2 < 5 {
        let row = lab.wait("SELECT last_parsed_time AS t FROM dag WHERE dag_id = 'counted'").await;
        let (count, time) = (executions(), row.text("t").unwrap());
        if count != last.0 {
            last = (count, time, 0);
        } else if time != last.1 {
            last = (count, time, last.2 + 1);
        }
        assert!(count <= 3, "executed {count} times");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    lab.write("counted.py", &text.replace("\"t\"", "\"edited\""));
    lab.wait("SELECT 1 FROM serialized_dag WHERE dag_id = 'counted' AND data LIKE '%edited%'").await;
    lab.write("new.py", &dag("new"));
    lab.wait("SELECT 1 FROM dag WHERE dag_id = 'new'").await;
    std::fs::remove_file(lab.dags().join("counted.py")).unwrap();
    lab.wait("SELECT 1 FROM dag WHERE dag_id = 'counted' AND is_stale").await;
    lab.asker.ask();
    processor.await.unwrap().unwrap();
    lab.wait("SELECT 1 FROM job WHERE state = 'success'").await;
}

#[tokio::test]
async fn what_a_parse_takes_from_elsewhere_has_the_file_executed_again() {
    LocalSet::new().run_until(taken_from_elsewhere()).await;
}

async fn taken_from_elsewhere() {
    let lab = Lab::new().await;
    let (counter, flag) = (lab.home.path().join("executions"), lab.home.path().join("flag"));
    let text = format!(
        "import os\nopen({counter:?}, 'a').write('x')\n{}if os.path.exists({flag:?}):\n    flagged = DAG('flagged', schedule=None)\n",
        dag("looks")
    );
    lab.write("looks.py", &text);
    let processor = lab.start(Runs::Unlimited);
    lab.wait("SELECT 1 FROM dag WHERE dag_id = 'looks'").await;
    let db = &lab.database.db;
    let executions = || std::fs::metadata(&counter).map_or(0, |meta| meta.len());
    // Until it is only looked at.
    let mut seen = (0, 0);
    while seen.1 < 40 {
        tokio::time::sleep(Duration::from_millis(50)).await;
        seen = if executions() == seen.0 { (seen.0, seen.1 + 1) } else { (executions(), 0) };
    }

    std::fs::write(&flag, "").unwrap();
    lab.wait("SELECT 1 FROM dag WHERE dag_id = 'flagged'").await;

    db.exec(db.sql("UPDATE dag SET exceeds_max_non_backfill = ? WHERE dag_id = 'looks'").bind(true))
        .await
        .unwrap();
    lab.wait("SELECT 1 FROM dag WHERE dag_id = 'looks' AND NOT exceeds_max_non_backfill").await;

    db.exec(db.sql("UPDATE dag SET bundle_version = 'old' WHERE dag_id = 'looks'")).await.unwrap();
    lab.wait("SELECT 1 FROM dag WHERE dag_id = 'looks' AND bundle_version IS NULL").await;

    tokio::time::sleep(Duration::from_secs(1)).await;
    let before = executions();
    db.exec(db.sql("UPDATE dag SET is_paused = NOT is_paused WHERE dag_id = 'looks'")).await.unwrap();
    let limit = Instant::now() + Duration::from_secs(60);
    while executions() == before {
        assert!(Instant::now() < limit, "the pause is not noticed");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    lab.asker.ask();
    processor.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_pass_over_the_files_is_measured_when_the_queue_is_empty_again() {
    LocalSet::new().run_until(measured_pass()).await;
}

async fn measured_pass() {
    let lab = Lab::new().await;
    lab.write("measured.py", &dag("measured"));
    let sent = Sent::listen();
    let processor = lab.start(Runs::Unlimited);
    let mut lines = Vec::new();
    let limit = Instant::now() + Duration::from_secs(60);
    let has = |lines: &[String], wanted: &str| lines.iter().any(|line| line.starts_with(wanted));
    // The first pass ends, as in Airflow, when the last file has left the queue and is not parsed yet.
    while !has(&lines, "dagbag_size:1|g") && Instant::now() < limit {
        tokio::time::sleep(Duration::from_millis(50)).await;
        lines.extend(sent.take(""));
    }
    lab.asker.ask();
    processor.await.unwrap().unwrap();
    for wanted in [
        "dag_processing.total_parse_time:",
        "dagbag_size:1|g",
        "dag_processing.import_errors:0|g",
        "dag_processing.file_path_queue_update_count:1|c",
        "dag_processing.file_path_queue_size:0|g",
        "dag_processing.processes:1|c|#file_path:measured.py,action:start",
        "dag_processor_heartbeat:1|c",
    ] {
        assert!(has(&lines, wanted), "{wanted} in {lines:#?}");
    }
}

#[tokio::test]
async fn whatever_process_of_python_is_killed_files_go_on_being_parsed_and_none_is_left_at_the_end() {
    LocalSet::new().run_until(killed_pythons()).await;
}

async fn killed_pythons() {
    let lab = Lab::new().await;
    lab.write("before.py", &dag("before"));
    let processor = lab.start(Runs::Unlimited);
    lab.wait("SELECT 1 FROM dag WHERE dag_id = 'before'").await;
    let ancestors = lab.pythons(Some(std::process::id()));
    let [ancestor] = ancestors[..] else { panic!("one process loads Airflow, not {ancestors:?}") };
    let killed = |pid| kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
    // The service and the zygote, one after the other; then what both are forked from.
    for pid in lab.pythons(u32::try_from(ancestor).ok()) {
        killed(pid);
        lab.write("killed.py", &dag(&format!("killed_{pid}")));
        lab.wait(&format!("SELECT 1 FROM dag WHERE dag_id = 'killed_{pid}' AND NOT is_stale")).await;
    }
    assert_eq!(lab.pythons(Some(std::process::id())), [ancestor]);
    killed(ancestor);
    lab.write("after.py", &dag("after"));
    lab.wait("SELECT 1 FROM dag WHERE dag_id = 'after'").await;
    lab.asker.ask();
    processor.await.unwrap().unwrap();
    let limit = Instant::now() + Duration::from_secs(60);
    while !lab.pythons(None).is_empty() {
        assert!(Instant::now() < limit, "{:?} are left", lab.pythons(None));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
