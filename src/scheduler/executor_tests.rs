//! The loop with an executor of Airflow in a process of its own, beside the local one.

use serde_json::{Value, json};
use slipstream_core::state::TaskState;

use super::debug::Progress;
use super::options::{End, Loops};
use super::tests::{dag, run, state, waiting};
use super::tick::{Links, Scheduler};
use super::users_python::UsersPython;
use crate::config::Config;
use crate::executor::hosted::testing::{House, PATIENCE};
use crate::executor::{Executors, LocalOptions, Place};
use crate::store::testing::{self, NewTi, first};
use crate::store::{Conn, Db, job};

async fn scheduler(db: &Db, house: &House) -> Scheduler {
    let config = Config::from_pairs(&[]).unwrap();
    let place = Place::new(&house.file("home"), "test", &house.file("home"), &house.file("home"));
    let local = LocalOptions {
        place,
        parallelism: 4,
        streaming: 1,
        worker: Vec::new(),
        config_file: std::path::PathBuf::new(),
    };
    let started = Executors::start(&config, house.roster(), &house.interpreter(), local).await;
    let (executors, reports) = started.unwrap();
    let links = Links {
        executors,
        reports,
        python: UsersPython::none(&config),
        events: None,
        progress: Progress::default(),
    };
    let end = End { after: None, counts: Loops::All };
    Scheduler::start(db.clone(), &config, end, links, "here").await.unwrap()
}

/// Rounds of the loop until the query gives the value.
async fn until(scheduler: &mut Scheduler, db: &Db, sql: &str, wanted: Option<&str>) {
    let rounds = async {
        loop {
            scheduler.tick_now().await.unwrap();
            if first(db, sql).await.text_opt("value").unwrap().as_deref() == wanted {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    let in_time = tokio::time::timeout(PATIENCE, rounds).await;
    assert!(in_time.is_ok(), "{sql} is not {wanted:?}");
}

fn column(column: &str, task: &str) -> String {
    format!("SELECT CAST({column} AS text) AS value FROM task_instance WHERE task_id = '{task}'")
}

#[test]
fn work_goes_to_the_executor_that_it_names_and_what_a_dead_scheduler_left_is_offered_to_it() {
    testing::block_on(async {
        let (directory, db) = testing::sqlite().await;
        let house = House::new(
            &directory.path().join("airflow.db"),
            "LocalExecutor,mine:house_executor.FixedExecutor",
        );
        let tasks = ["a", "b", "c", "taken", "lost"].map(|task| (task, &[][..], json!({})));
        let version = dag(&db, &tasks).await;
        let left = |task| NewTi::new("d", "r", task).state(TaskState::Running);
        run(&db, version, &[waiting("a"), waiting("b"), waiting("c"), left("taken"), left("lost")]).await;
        let dead = job::start(&db, job::JobType::Scheduler, "there", testing::at(0)).await.unwrap();
        db.exec(db.sql("UPDATE job SET state = 'failed'")).await.unwrap();
        let left = db.sql("UPDATE task_instance SET queued_by_job_id = ? WHERE task_id IN ('taken', 'lost')");
        db.exec(left.bind(dead)).await.unwrap();
        let names = "UPDATE task_instance SET executor = CASE task_id WHEN 'a' THEN NULL WHEN 'c' THEN 'nobody' ELSE 'mine' END";
        db.exec(db.sql(names)).await.unwrap();
        house.tell("given-taken");
        let mut scheduler = scheduler(&db, &house).await;

        until(&mut scheduler, &db, &column("state", "b"), Some("queued")).await;
        assert_eq!(state(&db, "a").await, Some(TaskState::Queued), "it is the local executor's");
        assert_eq!(state(&db, "c").await, Some(TaskState::Scheduled), "there is no such executor");
        let given: Value = serde_json::from_str(&house.read("given-b").await).unwrap();
        assert_eq!(given["ti"]["queue"], "default");
        assert_eq!(given["log_path"], "dag_id=d/run_id=r/task_id=b/attempt=1.log");
        assert_eq!(given["token"].as_str().unwrap().split('.').count(), 3, "a signed token");
        until(&mut scheduler, &db, &column("external_executor_id", "b"), Some("house-b")).await;

        let job = scheduler.job.0.to_string();
        until(&mut scheduler, &db, &column("queued_by_job_id", "taken"), Some(&job)).await;
        assert_eq!(house.read("adopted-taken").await, dead.0.to_string());
        let again =
            "SELECT CAST(count(*) AS text) AS value FROM task_instance_history WHERE task_id = 'lost'";
        until(&mut scheduler, &db, again, Some("1")).await;
        assert_eq!(state(&db, "taken").await, Some(TaskState::Running));

        house.tell("failed-b");
        until(&mut scheduler, &db, &column("state", "b"), Some("failed")).await;
        let log = first(&db, "SELECT extra AS value FROM log WHERE event = 'state mismatch'").await;
        let text = log.text("value").unwrap();
        assert!(text.starts_with("Executor FixedExecutor(parallelism=32) reported that"), "{text}");
        assert!(text.ends_with("Extra info: the house says so"), "{text}");
        scheduler.executors.end(PATIENCE).await;
    });
}
