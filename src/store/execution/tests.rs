//! The effects of requests on both databases.

use chrono::TimeDelta;
use serde_json::json;
use slipstream_core::ids::MapIndex;
use slipstream_core::state::TaskState;

use super::xcom::{self, NewXCom, Role, Runs, Slice, XComKey};
use super::*;
use crate::store::db::{Conn, Db};
use crate::store::testing::{self, NewRun, NewTi, at, first, on_each_database, one_task};
use crate::telemetry::metrics::testing::Sent;

fn starter() -> EnterRunning {
    EnterRunning { hostname: "host".into(), unixname: "user".into(), pid: 100, start_date: at(10) }
}

fn assert_send<T: Send>(value: T) -> T {
    value
}

async fn state_of(db: &Db, task: &str) -> Option<TaskState> {
    first(db, &format!("SELECT state FROM task_instance WHERE task_id = '{task}'"))
        .await
        .state_opt("state")
        .unwrap()
}

#[test]
fn a_queued_task_starts_once_and_the_same_process_may_ask_again() {
    on_each_database(async |db| {
        let id = one_task(db, TaskState::Queued).await;
        let context = assert_send(run(db, id, &starter(), MultiTeam::Off)).await.unwrap();
        assert_eq!(context.dag_run.run_id.as_str(), "r");
        assert!(!context.should_retry && context.resume.is_none());
        run(db, id, &starter(), MultiTeam::Off).await.unwrap();
        assert_eq!(testing::count(db, "log").await, 1, "only the first start is logged");
        let row = first(db, "SELECT * FROM log").await;
        assert_eq!(row.text("event").unwrap(), "running");
        assert_eq!(row.text("owner").unwrap(), "airflow");
        assert_eq!(row.text("extra").unwrap(), r#"{"host_name": "host"}"#);
        let other = EnterRunning { pid: 101, ..starter() };
        let refused = run(db, id, &other, MultiTeam::Off).await.unwrap_err();
        assert!(matches!(refused, RunError::InvalidState { previous: Some(TaskState::Running) }));
        let unknown = run(db, uuid::Uuid::now_v7(), &starter(), MultiTeam::Off).await;
        assert!(matches!(unknown, Err(RunError::NotFound)));
    });
}

#[test]
fn a_heartbeat_tells_why_the_process_must_stop() {
    on_each_database(async |db| {
        let id = one_task(db, TaskState::Running).await;
        assert_eq!(heartbeat(db, id, "host", 100).await.unwrap(), HeartbeatReply::Ok);
        let elsewhere = HeartbeatReply::RunningElsewhere { hostname: Some("host".into()), pid: Some(100) };
        assert_eq!(heartbeat(db, id, "host", 7).await.unwrap(), elsewhere);
        db.exec(db.sql("UPDATE task_instance SET state = 'restarting'")).await.unwrap();
        let stopped = HeartbeatReply::NotRunning { state: Some(TaskState::Restarting) };
        assert_eq!(heartbeat(db, id, "host", 100).await.unwrap(), stopped);
        let unknown = heartbeat(db, uuid::Uuid::now_v7(), "host", 100).await.unwrap();
        assert_eq!(unknown, HeartbeatReply::NotFound { archived: false });
    });
}

#[test]
fn a_retry_moves_the_try_to_the_history_and_gives_the_row_a_new_id() {
    on_each_database(async |db| {
        testing::dag(db, "d").await;
        NewRun::new("d", "r").insert(db).await;
        let id = NewTi::new("d", "r", "t").state(TaskState::Running).retries(2).insert(db).await;
        let report = RetryReport {
            end_date: at(15) + TimeDelta::milliseconds(250),
            rendered_map_index: None,
            retry_delay_seconds: Some(1.5),
            retry_reason: Some("x".repeat(600)),
        };
        assert_eq!(retry(db, id, &report).await.unwrap(), Reported::Written);
        let ti = first(db, "SELECT * FROM task_instance").await;
        assert_ne!(ti.uuid("id").unwrap(), id);
        assert_eq!(ti.state::<TaskState>("state").unwrap(), TaskState::UpForRetry);
        assert_eq!(ti.float_opt("duration").unwrap(), Some(5.25));
        assert_eq!(ti.text("retry_reason").unwrap().len(), 500);
        let past = first(db, "SELECT * FROM task_instance_history").await;
        assert_eq!(past.uuid("task_instance_id").unwrap(), id);
        assert_eq!(past.state::<TaskState>("state").unwrap(), TaskState::Failed);
        assert_eq!(past.float_opt("duration").unwrap(), Some(5.25));
        assert_eq!(past.text("task_display_name").unwrap(), "t");
        assert!(past.time_opt("updated_at").unwrap().is_some());
        let gone = heartbeat(db, id, "host", 100).await.unwrap();
        assert_eq!(gone, HeartbeatReply::NotFound { archived: true });
        let refused = rtif::put_rendered_fields(db, id, &Default::default(), &Options::default()).await;
        assert!(matches!(refused, Err(ExecutionError::Refused(refusal)) if refusal.status == 410));
    });
}

#[test]
fn a_report_is_taken_once_and_only_from_a_running_task() {
    on_each_database(async |db| {
        let id = one_task(db, TaskState::Running).await;
        let report = Finish { state: FinishState::Skipped, end_date: at(12), rendered_map_index: None };
        assert_eq!(finish(db, id, &report).await.unwrap(), Reported::Written);
        assert_eq!(finish(db, id, &report).await.unwrap(), Reported::Already);
        let failed = Finish { state: FinishState::Failed, ..report };
        let Err(ExecutionError::Refused(refusal)) = finish(db, id, &failed).await else {
            panic!("not refused")
        };
        assert_eq!(refusal.status, 409);
        assert_eq!(refusal.detail["previous_state"], "skipped");
        let ti = first(db, "SELECT * FROM task_instance").await;
        assert_eq!(ti.float_opt("duration").unwrap(), Some(2.0));
    });
}

#[test]
fn fail_fast_fails_what_runs_skips_the_rest_and_spares_teardowns() {
    on_each_database(async |db| {
        let id = one_task(db, TaskState::Running).await;
        db.exec(db.sql("UPDATE dag SET fail_fast = ?").bind(true)).await.unwrap();
        let task = |id: &str, teardown: bool| json!({"__type": "operator", "__var": {"task_id": id, "is_teardown": teardown}});
        let tasks = json!({"tasks": [task("t", false), task("busy", false), task("next", false), task("down", true)]});
        testing::serialized_dag(db, "d", tasks).await;
        NewTi::new("d", "r", "busy").state(TaskState::Running).insert(db).await;
        NewTi::new("d", "r", "next").state(None).insert(db).await;
        NewTi::new("d", "r", "down").state(None).insert(db).await;
        let report = Finish { state: FinishState::Failed, end_date: at(12), rendered_map_index: None };
        finish(db, id, &report).await.unwrap();
        assert_eq!(state_of(db, "busy").await, Some(TaskState::Failed));
        assert_eq!(state_of(db, "next").await, Some(TaskState::Skipped));
        assert_eq!(state_of(db, "down").await, None);
        let events = db.all(db.sql("SELECT event FROM log ORDER BY event")).await.unwrap();
        let events: Vec<_> = events.iter().map(|row| row.text("event").unwrap()).collect();
        assert_eq!(events, ["fail task", "failed", "skip task"]);
    });
}

#[test]
fn a_success_queues_the_dags_that_wait_for_its_asset() {
    on_each_database(async |db| {
        let id = one_task(db, TaskState::Running).await;
        testing::dag(db, "consumer").await;
        testing::dag(db, "paused").await;
        db.exec(db.sql("UPDATE dag SET is_paused = ? WHERE dag_id = 'paused'").bind(true)).await.unwrap();
        seed_asset(db, &["consumer", "paused"]).await;
        let outlet = assets::AssetProfile::read("Asset", Some("a"), Some("s3://a")).unwrap();
        let report = Success {
            end_date: at(12),
            task_outlets: vec![outlet],
            outlet_events: vec![
                json!({"dest_asset_key": {"name": "a", "uri": "s3://a"}, "extra": {"rows": 3}}),
            ],
            rendered_map_index: None,
        };
        testing::team(db, "blue").await;
        let sent = Sent::listen();
        let options = Options { multi_team: MultiTeam::On, ..Options::default() };
        assert_eq!(succeed(db, id, &report, &options).await.unwrap(), Reported::Written);
        assert_eq!(sent.take("asset"), ["asset.updates:1|c|#team_name:blue"]);
        let event = first(db, "SELECT * FROM asset_event").await;
        assert_eq!(event.json("extra").unwrap(), json!({"rows": 3}));
        assert_eq!(event.text("source_task_id").unwrap(), "t");
        assert_eq!(testing::count(db, "asset_dag_run_queue").await, 1);
        let queued = first(db, "SELECT target_dag_id FROM asset_dag_run_queue").await;
        assert_eq!(queued.text("target_dag_id").unwrap(), "consumer");
    });
}

#[test]
fn an_event_that_finds_its_asset_queued_is_not_left_for_the_next_one() {
    on_each_database(async |db| {
        let first_id = one_task(db, TaskState::Running).await;
        let second_id = NewTi::new("d", "r", "second").state(TaskState::Running).insert(db).await;
        testing::dag(db, "consumer").await;
        seed_asset(db, &["consumer"]).await;
        for id in [first_id, second_id] {
            let outlet = assets::AssetProfile::read("Asset", Some("a"), Some("s3://a")).unwrap();
            let report = Success {
                end_date: at(12),
                task_outlets: vec![outlet],
                outlet_events: Vec::new(),
                rendered_map_index: None,
            };
            assert_eq!(succeed(db, id, &report, &Options::default()).await.unwrap(), Reported::Written);
        }

        let latest = first(db, "SELECT max(timestamp) AS at FROM asset_event").await.time("at").unwrap();
        let queued =
            first(db, "SELECT created_at FROM asset_dag_run_queue").await.time("created_at").unwrap();
        assert!(queued >= latest, "a run consumes events up to {queued}, the second came at {latest}");
    });
}

#[test]
fn an_event_through_an_alias_makes_the_asset_and_links_both() {
    on_each_database(async |db| {
        let id = one_task(db, TaskState::Running).await;
        let outlet = assets::AssetProfile::read("AssetAlias", Some("al"), None).unwrap();
        let event = json!({"source_alias_name": "al", "dest_asset_key": {"name": "n", "uri": "u"},
            "dest_asset_extra": {"k": 1}, "extra": {}});
        let report = Success {
            end_date: at(12),
            task_outlets: vec![outlet],
            outlet_events: vec![event],
            rendered_map_index: None,
        };
        succeed(db, id, &report, &Options::default()).await.unwrap();
        let asset = first(db, "SELECT * FROM asset").await;
        assert_eq!((asset.text("name").unwrap(), asset.text("group").unwrap()), ("n".into(), "asset".into()));
        for table in ["asset_event", "asset_alias", "asset_alias_asset", "asset_alias_asset_event"] {
            assert_eq!(testing::count(db, table).await, 1, "{table}");
        }
    });
}

#[test]
fn an_event_that_cannot_be_read_fails_the_task() {
    on_each_database(async |db| {
        let id = one_task(db, TaskState::Running).await;
        let report = Success {
            end_date: at(12),
            task_outlets: Vec::new(),
            outlet_events: vec![json!({"extra": {}})],
            rendered_map_index: None,
        };
        assert_eq!(succeed(db, id, &report, &Options::default()).await.unwrap(), Reported::FailedInstead);
        assert_eq!(state_of(db, "t").await, Some(TaskState::Failed));
    });
}

async fn seed_asset(db: &Db, consumers: &[&str]) {
    let asset = vec![
        ("name", "a".into()),
        ("uri", "s3://a".into()),
        ("group", "asset".into()),
        ("extra", json!({}).into()),
        ("created_at", at(0).into()),
        ("updated_at", at(0).into()),
    ];
    testing::insert(db, "asset", asset).await;
    testing::insert(db, "asset_active", vec![("name", "a".into()), ("uri", "s3://a".into())]).await;
    let id = first(db, "SELECT id FROM asset").await.int("id").unwrap();
    for dag_id in consumers {
        let reference = vec![
            ("asset_id", id.into()),
            ("dag_id", (*dag_id).into()),
            ("created_at", at(0).into()),
            ("updated_at", at(0).into()),
        ];
        testing::insert(db, "dag_schedule_asset_reference", reference).await;
    }
}

fn key() -> XComKey {
    XComKey { dag_id: "d".into(), run_id: "r".into(), task_id: "t".into(), key: "return_value".into() }
}

fn value(json: serde_json::Value) -> NewXCom {
    NewXCom { value: json, map_index: MapIndex::UNMAPPED, role: Role::Value, mapped_length: None }
}

#[test]
fn a_value_is_pushed_replaced_and_deleted() {
    on_each_database(async |db| {
        one_task(db, TaskState::Running).await;
        let options = Options::default();
        xcom::set(db, &key(), &value(json!([1, 2])), &options).await.unwrap();
        let mapped = NewXCom { mapped_length: Some(3), ..value(json!({"b": 1, "a": [2]})) };
        xcom::set(db, &key(), &mapped, &options).await.unwrap();
        let found = xcom::get(db, &key(), MapIndex::UNMAPPED, Runs::This).await.unwrap();
        assert_eq!(found, Some(json!({"b": 1, "a": [2]})));
        let found = xcom::get(db, &key(), MapIndex::UNMAPPED, Runs::UpToThis).await.unwrap();
        assert_eq!(found, Some(json!({"b": 1, "a": [2]})));
        assert_eq!(first(db, "SELECT length FROM task_map").await.int("length").unwrap(), 3);
        let long = NewXCom { mapped_length: Some(1025), ..value(json!([])) };
        let Err(ExecutionError::Refused(refusal)) = xcom::set(db, &key(), &long, &options).await else {
            panic!("not refused")
        };
        assert_eq!(refusal.detail["reason"], "unmappable_return_value_length");
        xcom::delete(db, &key(), MapIndex::UNMAPPED).await.unwrap();
        assert_eq!(xcom::get(db, &key(), MapIndex::UNMAPPED, Runs::This).await.unwrap(), None);
    });
}

#[test]
fn values_of_copies_are_a_sequence() {
    on_each_database(async |db| {
        testing::dag(db, "d").await;
        NewRun::new("d", "r").insert(db).await;
        for index in 0..5 {
            NewTi::new("d", "r", "t").copy(index).insert(db).await;
            let new = NewXCom { map_index: MapIndex(index), ..value(json!(index * 10)) };
            xcom::set(db, &key(), &new, &Options::default()).await.unwrap();
        }
        assert_eq!(xcom::count(db, &key()).await.unwrap(), 5);
        assert_eq!(xcom::item(db, &key(), 1).await.unwrap(), json!(10));
        assert_eq!(xcom::item(db, &key(), -1).await.unwrap(), json!(40));
        assert!(matches!(xcom::item(db, &key(), 5).await, Err(ExecutionError::Refused(_))));
        let cases = [
            ((None, None, None), json!([0, 10, 20, 30, 40])),
            ((Some(1), Some(3), None), json!([10, 20])),
            ((Some(-2), None, None), json!([30, 40])),
            ((None, Some(-3), None), json!([0, 10])),
            ((None, None, Some(-2)), json!([40, 20, 0])),
            ((Some(3), Some(0), Some(-1)), json!([30, 20, 10])),
            ((Some(4), Some(1), None), json!([])),
            ((Some(-100), Some(100), Some(3)), json!([0, 30])),
        ];
        for ((start, stop, step), expected) in cases {
            let cut = xcom::slice(db, &key(), Slice { start, stop, step }, Runs::This).await.unwrap();
            assert_eq!(json!(cut), expected, "{start:?}:{stop:?}:{step:?}");
        }
    });
}

#[test]
fn rendered_fields_of_old_runs_are_forgotten() {
    on_each_database(async |db| {
        testing::dag(db, "d").await;
        let options = Options { rendered_fields_runs: 2, ..Options::default() };
        for n in 0..3 {
            let run = NewRun { logical_date: at(n * 60), ..NewRun::new("d", &format!("r{n}")) };
            run.insert(db).await;
            let id = NewTi::new("d", &format!("r{n}"), "t").insert(db).await;
            let fields = json!({"cmd": n}).as_object().unwrap().clone();
            rtif::put_rendered_fields(db, id, &fields, &options).await.unwrap();
        }
        assert_eq!(testing::count(db, "rendered_task_instance_fields").await, 2);
    });
}

#[test]
fn rendered_fields_of_old_runs_are_forgotten_with_all_their_copies() {
    on_each_database(async |db| {
        testing::dag(db, "d").await;
        let options = Options { rendered_fields_runs: 2, ..Options::default() };
        for n in 0..3 {
            let run = NewRun { logical_date: at(n * 60), ..NewRun::new("d", &format!("r{n}")) };
            run.insert(db).await;
            for copy in 0..3 {
                let ti = NewTi::new("d", &format!("r{n}"), "t").copy(copy);
                let id = ti.insert(db).await;
                let fields = json!({"cmd": copy}).as_object().unwrap().clone();
                rtif::put_rendered_fields(db, id, &fields, &options).await.unwrap();
            }
        }
        let sql = "SELECT count(*) AS n, min(run_id) AS oldest FROM rendered_task_instance_fields";
        let row = testing::first(db, sql).await;
        assert_eq!((row.int("n").unwrap(), row.text("oldest").unwrap()), (6, "r1".to_owned()));
    });
}
