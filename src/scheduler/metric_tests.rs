//! What the loop measures.

use chrono::Utc;
use serde_json::json;
use slipstream_core::state::TaskState;
use uuid::Uuid;

use super::tests::{dag, run, scheduler_with, waiting};
use super::tick::Scheduler;
use super::timers::Duty;
use crate::store::execution::MultiTeam;
use crate::store::job::{self, JobType};
use crate::store::testing::{self, NewTi, at, insert, on_each_database};
use crate::store::{Conn, Db};
use crate::telemetry::metrics::testing::Sent;
use crate::telemetry::metrics::{Teams, set_teams};

async fn scheduler(db: &Db) -> (Scheduler, tempfile::TempDir) {
    scheduler_with(db, 4, None).await
}

/// A Dag `d` that runs every hour, with a scheduled run whose only task has ended.
async fn an_hourly_run_at_its_end(db: &Db) {
    testing::dag(db, "d").await;
    let cron = json!({"expression": "0 * * * *", "timezone": "UTC"});
    let timetable = json!({"__type": "airflow.timetables.interval.CronDataIntervalTimetable", "__var": cron});
    let task = json!({"__type": "operator", "__var": {"task_id": "a", "task_type": "T"}});
    let dag = json!({"dag_id": "d", "tasks": [task], "timetable": timetable, "timezone": "UTC"});
    let version = testing::serialized_dag(db, "d", dag).await;
    run(db, version, &[NewTi::new("d", "r", "a").state(TaskState::Running)]).await;
    let ended = db.sql("UPDATE task_instance SET state = 'success', end_date = ?").bind(at(20));
    db.exec(ended).await.unwrap();
    let queued = db.sql("UPDATE dag_run SET run_type = 'scheduled', queued_at = ?").bind(at(4));
    db.exec(queued).await.unwrap();
}

#[test]
fn the_end_of_a_run_tells_how_late_its_first_task_started() {
    on_each_database(async |db| {
        an_hourly_run_at_its_end(db).await;
        let (mut scheduler, _home) = scheduler(db).await;
        let sent = Sent::listen();
        scheduler.tick_now().await.unwrap();
        let lines = sent.take("dagrun.");
        let expected = [
            "dagrun.d.first_task_scheduling_delay:10000.000000|ms|#run_type:scheduled",
            "dagrun.first_task_scheduling_delay:10000.000000|ms|#dag_id:d,run_type:scheduled",
            "dagrun.first_task_start_delay:6000.000000|ms|#dag_id:d,run_type:scheduled",
        ];
        for line in expected {
            assert!(lines.iter().any(|sent| sent == line), "{line} in {lines:#?}");
        }
    });
}

#[test]
fn the_step_that_queues_tells_how_long_its_query_and_the_executor_took() {
    on_each_database(async |db| {
        let version = dag(db, &[("a", &[], json!({}))]).await;
        run(db, version, &[waiting("a")]).await;
        let (mut scheduler, _home) = scheduler(db).await;
        let sent = Sent::listen();
        while super::tests::state(db, "a").await != Some(TaskState::Queued) {
            scheduler.tick_now().await.unwrap();
        }
        scheduler.measure_executor();
        let lines = sent.take_names("scheduler.");
        for line in [
            "scheduler.critical_section_query_duration|ms",
            "scheduler.executor_heartbeat_duration|ms|#executor:LocalExecutor",
            "scheduler.dag_bag.cache_miss|c",
            "scheduler.dag_bag.cache_size|g",
        ] {
            assert!(lines.iter().any(|sent| sent == line), "{line} in {lines:#?}");
        }
    });
}

#[test]
fn connection_tests_are_counted_by_what_becomes_of_them() {
    on_each_database(async |db| {
        for (n, state, at) in [(1, "queued", at(0)), (2, "queued", Utc::now()), (3, "pending", Utc::now())] {
            let values = vec![
                ("id", Uuid::now_v7().into()),
                ("token", format!("t{n}").into()),
                ("connection_id", format!("c{n}").into()),
                ("active_connection_id", format!("c{n}").into()),
                ("state", state.into()),
                ("created_at", at.into()),
                ("updated_at", at.into()),
                ("conn_type", "http".into()),
            ];
            insert(db, "connection_test_request", values).await;
        }
        let (mut scheduler, _home) = scheduler(db).await;
        let sent = Sent::listen();
        scheduler.duty(Duty::ConnectionTests, Utc::now()).await;
        let expected = [
            "connection_test.reaped:1|c|#prior_state:queued",
            "connection_test.active:1|g",
            "connection_test.pending:1|g",
        ];
        assert_eq!(sent.take("connection_test."), expected);
        scheduler.hand_on_connection_tests(Utc::now()).await.unwrap();
        let lines = sent.take("connection_test.");
        assert!(
            matches!(&lines[..], [line] if line.starts_with("connection_test.dispatch_duration:")),
            "{lines:#?}"
        );
        scheduler.duty(Duty::ConnectionTests, Utc::now()).await;
        assert_eq!(
            sent.take("connection_test."),
            ["connection_test.active:2|g", "connection_test.pending:0|g"]
        );
    });
}

#[test]
fn schedulers_that_are_found_dead_are_counted_as_ended() {
    on_each_database(async |db| {
        job::start(db, JobType::Scheduler, "there", at(0)).await.unwrap();
        let (mut scheduler, _home) = scheduler(db).await;
        let sent = Sent::listen();
        scheduler.duty(Duty::Orphans, Utc::now()).await;
        assert_eq!(sent.take("schedulerjobrunner"), ["schedulerjobrunner_end:1|c"]);
    });
}

#[test]
fn a_missed_deadline_names_its_run() {
    on_each_database(async |db| {
        an_hourly_run_at_its_end(db).await;
        let callback = Uuid::now_v7();
        let values = vec![
            ("id", callback.into()),
            ("type", "triggerer".into()),
            ("fetch_method", "import_path".into()),
            ("data", json!({"path": "p", "kwargs": {}}).into()),
            ("state", "scheduled".into()),
            ("priority_weight", 1.into()),
            ("created_at", at(0).into()),
        ];
        insert(db, "callback", values).await;
        let run = testing::first(db, "SELECT id FROM dag_run").await.int("id").unwrap();
        let values = vec![
            ("id", Uuid::now_v7().into()),
            ("created_at", at(0).into()),
            ("last_updated_at", at(0).into()),
            ("dagrun_id", run.into()),
            ("deadline_time", at(1).into()),
            ("missed", false.into()),
            ("callback_id", callback.into()),
        ];
        insert(db, "deadline", values).await;
        let (mut scheduler, _home) = scheduler(db).await;
        let sent = Sent::listen();
        scheduler.tick_now().await.unwrap();
        assert_eq!(
            sent.take("deadline_alerts"),
            ["deadline_alerts.deadline_missed:1|c|#dag_id:d,dagrun_id:r"]
        );
    });
}

#[test]
fn with_teams_what_is_about_a_dag_or_a_pool_names_its_team() {
    on_each_database(async |db| {
        an_hourly_run_at_its_end(db).await;
        testing::team(db, "blue").await;
        let (mut scheduler, _home) = scheduler(db).await;
        scheduler.options.multi_team = MultiTeam::On;
        let sent = Sent::listen();
        scheduler.tick_now().await.unwrap();
        scheduler.duty(Duty::PoolMetrics, Utc::now()).await;
        let lines = sent.take_names("");
        set_teams(Teams::default());
        for line in [
            "dagrun.first_task_start_delay|ms|#dag_id:d,run_type:scheduled,team_name:blue",
            "dagrun.duration.success.d|ms|#run_type:scheduled,team_name:blue",
            "pool.open_slots|g|#pool_name:default_pool,team_name:blue",
        ] {
            assert!(lines.iter().any(|sent| sent == line), "{line} in {lines:#?}");
        }
    });
}
