//! A real task of a real Dag file: scheduler's executor, worker, zygote, Airflow's task runner, database, log.

mod survival;

use slipstream_core::admit::Class;
use std::path::Path;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::timeout;
use uuid::Uuid;

use super::fake::{execute, settings};
use super::{WorkerOptions, run};
use crate::executor::{
    BundleInfo, CallbackDto, ExecuteCallback, ExecuteTask, ExecutorEvent, LocalExecutor, LocalOptions,
    LogTemplate, Place, Report, TestConnection, WorkEvent, Workload, log_path::DEFAULT_LOG_TEMPLATE,
};
use crate::python::Interpreter;
use crate::runtime::Shutdown;
use crate::store::testing::{self, NewRun, NewTi};
use crate::store::{Conn, Db};
use crate::supervisor::answer;

/// Importing Airflow takes its time on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);

const DAG: &str = r#"
from airflow.sdk import dag, task

@dag(schedule=None)
def d():
    @task
    def good():
        print("hello from a real task")
        return {"answer": 42}

    @task
    def bad():
        raise ValueError("as intended")

    @task
    def endless():
        import time
        print("waiting", flush=True)
        time.sleep(600)

    @task
    def slow(gate):
        import os, time
        print("waiting", flush=True)
        while not os.path.exists(gate):
            time.sleep(0.02)

    good(), bad(), endless(), slow("GATE")

d()
"#;

struct Deployment {
    home: tempfile::TempDir,
    db: Db,
}

impl Deployment {
    async fn new() -> Self {
        let (home, db) = testing::sqlite().await;
        std::fs::create_dir(home.path().join("dags")).unwrap();
        let gate = home.path().join("gate");
        let dag = DAG.replace("GATE", gate.to_str().unwrap());
        std::fs::write(home.path().join("dags/d.py"), dag).unwrap();
        testing::dag(&db, "d").await;
        testing::serialized_dag(&db, "d", serde_json::json!({"dag_id": "d"})).await;
        NewRun::new("d", "r").insert(&db).await;
        Self { home, db }
    }

    fn place(&self) -> Place {
        Place::new(self.home.path(), "test", &self.home.path().join("run"), Path::new("/tmp"))
    }

    fn worker(&self, shutdown: Shutdown) -> WorkerOptions {
        let home = self.home.path();
        let interpreter = Interpreter::at(testing::python())
            .with_env("AIRFLOW_HOME", home)
            .with_env("AIRFLOW__CORE__LOAD_EXAMPLES", "False")
            .with_env("AIRFLOW__CORE__DAGS_FOLDER", home.join("dags"));
        let mut settings = settings(&home.join("logs"));
        settings.escalation = Duration::from_secs(5);
        WorkerOptions {
            place: self.place(),
            settings,
            db: self.db.clone(),
            answers: answer::Options::default(),
            interpreter,
            hostname: "here".to_owned(),
            unixname: "me".to_owned(),
            idle: Duration::from_secs(2),
            shutdown,
        }
    }

    /// An executor of the worker, which cannot start one itself: so it is there before.
    async fn executor(&self) -> (LocalExecutor, mpsc::UnboundedReceiver<ExecutorEvent>) {
        while !self.place().socket().exists() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        LocalExecutor::start(LocalOptions {
            place: self.place(),
            parallelism: 8,
            streaming: 8,
            worker: Vec::new(),
            config_file: std::path::PathBuf::new(),
        })
    }

    async fn task(&self, task_id: &str) -> ExecuteTask {
        self.insert(NewTi::new("d", "r", task_id), task_id).await
    }

    async fn insert(&self, ti: NewTi, task_id: &str) -> ExecuteTask {
        let mut task = execute(task_id, 1);
        task.ti.id = ti.insert(&self.db).await;
        task.ti.dag_version_id = Some(Uuid::nil());
        task.dag_rel_path = "d.py".to_owned();
        task.log_path = Some(LogTemplate::parse(DEFAULT_LOG_TEMPLATE).unwrap().render(&task.ti));
        task
    }

    fn log(&self, task: &ExecuteTask) -> String {
        let path = self.home.path().join("logs").join(task.log_path.as_deref().unwrap());
        std::fs::read_to_string(path).unwrap_or_default()
    }

    async fn wait_for_output(&self, task: &ExecuteTask) {
        while !self.log(task).contains("waiting") {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn open_gate(&self) {
        std::fs::write(self.home.path().join("gate"), "").unwrap();
    }

    async fn pid(&self, task: &ExecuteTask) -> nix::unistd::Pid {
        let sql = self.db.sql("SELECT pid FROM task_instance WHERE id = ?").bind(task.ti.id);
        let row = self.db.one(sql).await.unwrap().unwrap();
        nix::unistd::Pid::from_raw(row.int32("pid").unwrap())
    }

    async fn state(&self, task: &ExecuteTask) -> String {
        let sql = self.db.sql("SELECT state FROM task_instance WHERE id = ?").bind(task.ti.id);
        self.db.one(sql).await.unwrap().unwrap().text("state").unwrap()
    }
}

async fn next_end(events: &mut mpsc::UnboundedReceiver<ExecutorEvent>) -> (String, Report, bool) {
    let mut changed = false;
    loop {
        match events.recv().await.unwrap() {
            ExecutorEvent::Work(WorkEvent::TaskEnded { key, report, .. }) => {
                return (key.task_id.to_string(), report, changed);
            }
            ExecutorEvent::Changed { .. } => changed = true,
            _ => {}
        }
    }
}

#[test]
fn real_tasks_run_to_their_ends_and_the_worker_ends_when_it_is_not_needed() {
    testing::block_on(async {
        let deployment = Deployment::new().await;
        let (_asker, shutdown) = Shutdown::by_hand();
        let worker = run(deployment.worker(shutdown));
        let test = async {
            let (executor, mut events) = deployment.executor().await;
            let good = deployment.task("good").await;
            executor.queue(vec![Workload::ExecuteTask(good.clone())]);
            assert_eq!(
                next_end(&mut events).await,
                ("good".to_owned(), Report::Settled, true),
                "{}",
                deployment.log(&good)
            );
            assert_eq!(deployment.state(&good).await, "success", "{}", deployment.log(&good));
            assert!(deployment.log(&good).contains("hello from a real task"));
            let value =
                testing::first(&deployment.db, "SELECT value FROM xcom WHERE key = 'return_value'").await;
            assert!(value.text("value").unwrap().contains("42"));

            let bad = deployment.task("bad").await;
            executor.queue(vec![Workload::ExecuteTask(bad.clone())]);
            assert_eq!(next_end(&mut events).await.0, "bad");
            assert_eq!(deployment.state(&bad).await, "failed");
            assert!(deployment.log(&bad).contains("as intended"));

            let endless = deployment.task("endless").await;
            executor.queue(vec![Workload::ExecuteTask(endless.clone())]);
            deployment.wait_for_output(&endless).await;
            let marked = deployment.db.sql("UPDATE task_instance SET state = 'failed' WHERE id = ?");
            deployment.db.exec(marked.bind(endless.ti.id)).await.unwrap();
            assert_eq!(next_end(&mut events).await.0, "endless");
            assert!(deployment.log(&endless).contains("Task killed!"));
            assert_eq!(executor.slots_occupied(Class::Batch), 0);
        };
        let (done, ()) = timeout(LIMIT, async { tokio::join!(worker, test) }).await.unwrap();
        done.unwrap();
    });
}

/// Runs a worker beside a test, and ends it by hand when the test has not let it end.
async fn beside_a_worker(deployment: &Deployment, test: impl Future<Output = ()>) {
    beside(|shutdown| deployment.worker(shutdown), test).await;
}

/// As [`beside_a_worker`], with these options.
async fn beside(options: impl FnOnce(Shutdown) -> WorkerOptions, test: impl Future<Output = ()>) {
    let (asker, shutdown) = Shutdown::by_hand();
    let worker = run(options(shutdown));
    let test = async {
        test.await;
        asker.ask();
    };
    let (done, ()) = timeout(LIMIT, async { tokio::join!(worker, test) }).await.unwrap();
    done.unwrap();
}

/// A handler of a deployment's own, which keeps what it is given in a folder.
const HANDLER: &str = r#"
import os, pathlib
from airflow.config_templates.airflow_local_settings import DEFAULT_LOGGING_CONFIG as LOGGING_CONFIG

HOME = pathlib.Path(os.environ["AIRFLOW_HOME"])

class Folder:
    processors = ()

    def upload(self, path, ti=None):
        from airflow.sdk import Connection
        if ti is None or ti.task_id == "bad":
            raise RuntimeError("the store is full")
        text = (HOME / "logs" / path).read_text()
        (HOME / "uploaded").write_text(f"{ti.run_id} to {Connection.get('store').host}: {text}")

REMOTE_TASK_LOG = Folder()
"#;

#[test]
fn logs_of_ended_tasks_go_to_the_deployments_own_handler() {
    testing::block_on(async {
        let deployment = Deployment::new().await;
        let home = deployment.home.path();
        std::fs::write(home.join("keep_logs.py"), HANDLER).unwrap();
        let options = |shutdown| {
            let mut options = deployment.worker(shutdown);
            let python = options
                .interpreter
                .clone()
                .with_env("PYTHONPATH", home)
                .with_env("AIRFLOW__LOGGING__BASE_LOG_FOLDER", home.join("logs"))
                .with_env("AIRFLOW__LOGGING__LOGGING_CONFIG_CLASS", "keep_logs.LOGGING_CONFIG")
                .with_env("AIRFLOW__LOGGING__REMOTE_LOG_CONN_ID", "store")
                .with_env("AIRFLOW_CONN_STORE", "http://someone:secret@far-away/");
            options.settings.remote_logs = Some(super::RemoteLogs::new(&python));
            options
        };
        beside(options, async {
            let (executor, mut events) = deployment.executor().await;
            let good = deployment.task("good").await;
            executor.queue(vec![Workload::ExecuteTask(good.clone())]);
            assert_eq!(next_end(&mut events).await, ("good".to_owned(), Report::Settled, true));
            let uploaded = std::fs::read_to_string(home.join("uploaded"));
            let uploaded = uploaded.unwrap_or_else(|_| panic!("{}", deployment.log(&good)));
            assert!(uploaded.starts_with("r to far-away: "), "{uploaded}");
            assert!(uploaded.contains("hello from a real task"), "{uploaded}");

            // What cannot be uploaded stays, says so, and changes nothing about the task.
            let bad = deployment.task("bad").await;
            executor.queue(vec![Workload::ExecuteTask(bad.clone())]);
            assert_eq!(next_end(&mut events).await.0, "bad");
            assert_eq!(deployment.state(&bad).await, "failed");
            assert!(deployment.log(&bad).contains("the store is full"), "{}", deployment.log(&bad));
        })
        .await;
    });
}

#[test]
fn a_callback_runs_and_its_end_is_told() {
    testing::block_on(async {
        let deployment = Deployment::new().await;
        beside_a_worker(&deployment, async {
            let (executor, mut events) = deployment.executor().await;
            let callback = |path: &str| {
                Workload::ExecuteCallback(ExecuteCallback {
                    token: String::new(),
                    dag_rel_path: "d.py".to_owned(),
                    bundle_info: BundleInfo { name: "dags-folder".to_owned(), version: None },
                    log_path: Some("executor_callbacks/d/r/1".to_owned()),
                    callback: CallbackDto {
                        id: Uuid::new_v4(),
                        fetch_method: "import_path".to_owned(),
                        data: serde_json::json!({"path": path, "kwargs": {"text": "called back"}}),
                    },
                })
            };
            let helper = "def tell(text):\n    print(text)\n";
            std::fs::write(deployment.home.path().join("dags/helper.py"), helper).unwrap();
            for (path, expected) in [("helper.tell", Report::Success), ("helper.absent", Report::Failed)] {
                executor.queue(vec![callback(path)]);
                loop {
                    if let ExecutorEvent::Work(WorkEvent::CallbackEnded { report, .. }) =
                        events.recv().await.unwrap()
                    {
                        assert_eq!(report, expected, "{path}");
                        break;
                    }
                }
            }
            let log = deployment.home.path().join("logs/executor_callbacks/d/r/1");
            assert!(std::fs::read_to_string(log).unwrap().contains("called back"));
        })
        .await;
    });
}

#[test]
fn a_connection_is_tested_by_its_hook_and_the_row_says_what_came_of_it() {
    testing::block_on(async {
        let deployment = Deployment::new().await;
        let ask = async |name: &str, conn_type: &str, extra: &str| {
            let id = Uuid::now_v7();
            let now = chrono::Utc::now();
            let values = vec![
                ("id", id.into()),
                ("token", name.into()),
                ("connection_id", name.into()),
                ("active_connection_id", name.into()),
                ("state", "queued".into()),
                ("created_at", now.into()),
                ("updated_at", now.into()),
                ("conn_type", conn_type.into()),
                ("extra", extra.into()),
            ];
            testing::insert(&deployment.db, "connection_test_request", values).await;
            Workload::TestConnection(TestConnection {
                token: String::new(),
                connection_test_id: id,
                connection_id: name.to_owned(),
                timeout: 60,
                queue: None,
            })
        };
        let works = ask("there", "fs", r#"{"path": "/"}"#).await;
        let fails = ask("not_there", "fs", r#"{"path": "/no/such/folder"}"#).await;
        let unknown = ask("unknown", "no_such_type", "").await;
        beside_a_worker(&deployment, async {
            let (executor, mut events) = deployment.executor().await;
            executor.queue(vec![works.clone(), fails, unknown]);
            // A test that runs somewhere is not run again.
            for _ in 0..3 {
                while !matches!(
                    events.recv().await.unwrap(),
                    ExecutorEvent::Work(WorkEvent::ConnectionTested { report: Report::Settled, .. })
                ) {}
            }
            executor.queue(vec![works]);
            while !matches!(
                events.recv().await.unwrap(),
                ExecutorEvent::Work(WorkEvent::ConnectionTested { report: Report::Failed, .. })
            ) {}
        })
        .await;
        let rows = "SELECT connection_id, state, result_message, active_connection_id FROM connection_test_request \
                    ORDER BY created_at";
        let rows = deployment.db.all(deployment.db.sql(rows)).await.unwrap();
        let facts: Vec<_> = rows
            .iter()
            .map(|row| {
                assert_eq!(row.text_opt("active_connection_id").unwrap(), None);
                (row.text("state").unwrap(), row.text("result_message").unwrap())
            })
            .collect();
        assert_eq!(facts[0], ("success".to_owned(), "Path / is existing.".to_owned()));
        assert_eq!(facts[1], ("failed".to_owned(), "Path /no/such/folder does not exist.".to_owned()));
        assert_eq!(facts[2].0, "failed");
        assert!(facts[2].1.contains("no_such_type"), "{}", facts[2].1);
    });
}
