//! A hosted executor through its life: work, events, a hang, a crash, adoption, the end.

use std::collections::HashMap;
use std::time::Duration;

use slipstream_core::ids::{MapIndex, TiKey};
use slipstream_core::state::TaskState;
use tokio::sync::mpsc::UnboundedReceiver;
use uuid::Uuid;

use super::testing::{House, PATIENCE};
use super::{Adoptable, HostedExecutor};
use crate::executor::event::{ExecutorEvent, Report, WorkEvent};
use crate::store::testing::{self, NewRun, NewTi};
use crate::store::{Conn, Db, job};

fn key(task: &str) -> TiKey {
    TiKey {
        dag_id: "d".into(),
        task_id: task.into(),
        run_id: "r".into(),
        try_number: 1,
        map_index: MapIndex::UNMAPPED,
    }
}

async fn next(events: &mut UnboundedReceiver<ExecutorEvent>) -> ExecutorEvent {
    let event = tokio::time::timeout(PATIENCE, events.recv()).await;
    event.expect("there is news in time").expect("the executor is there")
}

/// The job of a scheduler, and the rows of task instances that it has queued, except `x`, which has ended.
async fn rows(db: &Db, tasks: &[&str]) -> (i64, HashMap<String, Uuid>) {
    testing::dag(db, "d").await;
    let version = testing::serialized_dag(db, "d", serde_json::json!({"dag_id": "d", "tasks": []})).await;
    NewRun::new("d", "r").insert(db).await;
    let mut ids = HashMap::new();
    for task in tasks {
        let state = if *task == "x" { TaskState::Success } else { TaskState::Queued };
        ids.insert((*task).to_owned(), NewTi::new("d", "r", task).state(state).insert(db).await);
    }
    let job = job::start(db, job::JobType::Scheduler, "here", testing::at(0)).await.unwrap().0;
    let sql =
        db.sql("UPDATE task_instance SET queued_by_job_id = ?, dag_version_id = ?").bind(job).bind(version);
    db.exec(sql).await.unwrap();
    (job, ids)
}

/// Waits until there is no such process; one that nobody has waited for yet counts as gone.
async fn gone(pid: &str) {
    let status = std::path::Path::new("/proc").join(pid.trim()).join("status");
    let ended = async {
        while std::fs::read_to_string(&status).is_ok_and(|status| !status.contains("State:\tZ")) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, ended).await.expect("what the executor has forked ends with its process");
}

#[test]
fn an_executor_in_a_process_of_its_own_works_hangs_crashes_and_goes_on() {
    testing::block_on(async {
        let (directory, db) = testing::sqlite().await;
        let (job, ids) = rows(&db, &["a", "b", "c", "q", "x"]).await;
        let house = House::new(&directory.path().join("airflow.db"), "mine:house_executor.HouseExecutor");
        // Long for a busy machine, short beside the hang.
        let (executor, mut events) =
            HostedExecutor::start(house.options(Duration::from_secs(5))).await.unwrap();
        assert_eq!(executor.facts().repr, "HouseExecutor(parallelism=32)");
        assert_eq!(executor.slots_available(), 0, "it has not started");
        executor.begin(job);
        assert_eq!(next(&mut events).await, ExecutorEvent::Ready);

        executor.queue_tasks(["a", "b", "x"].map(|task| (ids[task], key(task))));
        for task in ["a", "b"] {
            let placed = WorkEvent::Placed { key: key(task), info: Some(format!("house-{task}")) };
            assert_eq!(next(&mut events).await, placed.into());
        }
        executor.handed_over().await;
        assert_eq!(executor.slots_occupied(), 2, "x has ended already and was not handed over");
        assert_eq!(executor.slots_available(), 30);
        house.tell("success-a");
        let ExecutorEvent::Work(WorkEvent::TaskEnded { key: ended, report, .. }) = next(&mut events).await
        else {
            panic!()
        };
        assert_eq!((ended, report), (key("a"), Report::Success));
        assert_eq!(executor.slots_occupied(), 1);

        house.tell("raise");
        house.tell("hang");
        assert_eq!(next(&mut events).await, ExecutorEvent::Ready, "a new process has taken its place");
        assert_eq!(house.read("adopted-b").await, job.to_string());
        house.tell("failed-b");
        let ExecutorEvent::Work(WorkEvent::TaskEnded { key: ended, report, info, .. }) =
            next(&mut events).await
        else {
            panic!()
        };
        assert_eq!((ended, report, info.as_deref()), (key("b"), Report::Failed, Some("the house says so")));

        let c = ids["c"];
        executor.queue_tasks([(c, key("c"))]);
        assert!(matches!(next(&mut events).await, ExecutorEvent::Work(WorkEvent::Placed { .. })));
        std::fs::remove_file(house.file("given-c")).unwrap();
        let watcher = house.read("watcher").await;
        house.tell("crash");
        assert_eq!(next(&mut events).await, ExecutorEvent::Ready);
        gone(&watcher).await;
        assert_eq!(next(&mut events).await, WorkEvent::NotAdopted { tis: vec![c] }.into());
        assert_eq!(executor.slots_occupied(), 0);

        let q = ids["q"];
        executor.adopt([Adoptable { ti_id: q, key: key("q"), queued_by_job_id: Some(5) }]);
        assert_eq!(next(&mut events).await, WorkEvent::NotAdopted { tis: vec![q] }.into());
        executor.queue_tasks([(q, key("q"))]);
        assert!(matches!(next(&mut events).await, ExecutorEvent::Work(WorkEvent::Placed { .. })));
        executor.revoke(q, key("q"));
        assert_eq!(next(&mut events).await, WorkEvent::Revoked { ti_id: q }.into());

        executor.end(PATIENCE).await;
        house.read("ended").await;
    });
}

#[test]
fn an_executor_that_cannot_be_loaded_is_named_with_its_reason() {
    testing::block_on(async {
        let (directory, _db) = testing::sqlite().await;
        let house = House::new(&directory.path().join("airflow.db"), "no_such_module.Executor");
        let error = HostedExecutor::start(house.options(PATIENCE)).await.unwrap_err().to_string();
        assert!(error.contains("no_such_module"), "{error}");
    });
}
