//! A real task of a real Dag file: scheduler's executor, worker, zygote, Airflow's task runner, database, log.

use std::path::Path;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::timeout;
use uuid::Uuid;

use super::fake::{execute, settings};
use super::{WorkerOptions, run};
use crate::executor::{
    ExecuteTask, ExecutorEvent, LocalExecutor, LocalOptions, LogTemplate, Place, Report, Workload,
    log_path::DEFAULT_LOG_TEMPLATE,
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

    good(), bad(), endless()

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
        std::fs::write(home.path().join("dags/d.py"), DAG).unwrap();
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
            idle: Duration::from_millis(100),
            shutdown,
        }
    }

    fn executor(&self) -> (LocalExecutor, mpsc::UnboundedReceiver<ExecutorEvent>) {
        LocalExecutor::start(LocalOptions { place: self.place(), parallelism: 8, worker: Vec::new() })
    }

    async fn task(&self, task_id: &str) -> ExecuteTask {
        let mut task = execute(task_id, 1);
        task.ti.id = NewTi::new("d", "r", task_id).insert(&self.db).await;
        task.ti.dag_version_id = Some(Uuid::nil());
        task.dag_rel_path = "d.py".to_owned();
        task.log_path = Some(LogTemplate::parse(DEFAULT_LOG_TEMPLATE).unwrap().render(&task.ti));
        task
    }

    fn log(&self, task: &ExecuteTask) -> String {
        let path = self.home.path().join("logs").join(task.log_path.as_deref().unwrap());
        std::fs::read_to_string(path).unwrap_or_default()
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
            ExecutorEvent::TaskEnded { key, report, .. } => {
                return (key.task_id.to_string(), report, changed);
            }
            ExecutorEvent::Changed { .. } => changed = true,
            _ => {}
        }
    }
}

#[test]
fn real_tasks_run_to_their_ends_and_the_worker_ends_when_it_is_not_needed() {
    let _ = tracing_subscriber::fmt().with_test_writer().with_max_level(tracing::Level::DEBUG).try_init();
    testing::block_on(async {
        let deployment = Deployment::new().await;
        let (_asker, shutdown) = Shutdown::by_hand();
        let worker = run(deployment.worker(shutdown));
        let test = async {
            let (executor, mut events) = deployment.executor();
            let good = deployment.task("good").await;
            executor.queue(vec![Workload::ExecuteTask(good.clone())]);
            assert_eq!(
                next_end(&mut events).await,
                ("good".to_owned(), Report::Success, true),
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
            while !deployment.log(&endless).contains("waiting") {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            let marked = deployment.db.sql("UPDATE task_instance SET state = 'failed' WHERE id = ?");
            deployment.db.exec(marked.bind(endless.ti.id)).await.unwrap();
            assert_eq!(next_end(&mut events).await.0, "endless");
            assert!(deployment.log(&endless).contains("Task killed!"));
            assert_eq!(executor.slots_occupied(), 0);
        };
        let (done, ()) = timeout(LIMIT, async { tokio::join!(worker, test) }).await.unwrap();
        done.unwrap();
    });
}
