//! Commands on tasks in whole rounds of the loop, on real databases. The event engine's part is written by hand.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use slipstream_core::state::{RunState, TaskState};
use uuid::Uuid;

use super::tests::{Events, dag, key, run, run_state, scheduler_with, state, told, waiting};
use super::tick::Scheduler;
use crate::executor::Report;
use crate::runtime::EventWake;
use crate::store::testing::{self, NewRun, NewTi, count, first, insert, on_each_database};
use crate::store::{Conn, Db, Param, history, own_tables};

/// Fields of a task with a trigger that does this.
fn on_event(action: &Value) -> Value {
    declared(json!({"triggers": [{"version": 1, "on": {"event": {"key": "x"}}, "do": action}]}))
}

fn declared(slipstream: Value) -> Value {
    let tagged = json!({"__type": "dict", "__var": {"slipstream": {"__type": "dict", "__var": slipstream}}});
    json!({"executor_config": tagged})
}

fn gate() -> Value {
    json!({"start": {"mode": "gate"}})
}

/// A scheduler beside an event engine that has put every event to every trigger.
async fn scheduler(db: &Db) -> (Scheduler, tempfile::TempDir) {
    scheduler_with(db, 8, Events::Some(EventWake::default())).await
}

async fn tables(db: &Db) {
    own_tables::migrate(db).await.unwrap();
    insert(db, "slipstream_cursor", vec![("name", "engine".into()), ("position", 1_000.into())]).await;
}

/// An event at a position of the log.
async fn event(db: &Db, position: i64) {
    let values = vec![
        ("position", position.into()),
        ("namespace", "default".into()),
        ("key", "x".into()),
        ("type", "t".into()),
        ("source", "s".into()),
        ("id", position.to_string().into()),
        ("time", testing::at(position).into()),
        ("received_at", testing::at(position).into()),
        ("data", json!({"n": position}).into()),
        ("extensions", json!({}).into()),
    ];
    insert(db, "slipstream_event", values).await;
}

/// A firing on the event at this position, and its command on a task; returns the command's number.
async fn command(db: &Db, task: &str, action: &Value, position: i64) -> i64 {
    event(db, position).await;
    let firing = Uuid::now_v7();
    let name = action.as_object().unwrap().keys().next().unwrap().clone();
    let values = vec![
        ("id", firing.into()),
        ("trigger_id", 1.into()),
        ("dag_id", "d".into()),
        ("task_id", task.into()),
        ("scope_run_id", "r".into()),
        ("correlation", "".into()),
        ("position", position.into()),
        ("events", json!([position]).into()),
        ("action", name.as_str().into()),
        ("status", "done".into()),
        ("fired_at", testing::at(position).into()),
    ];
    insert(db, "slipstream_firing", values).await;
    let values = vec![
        ("firing_id", firing.into()),
        ("dag_id", "d".into()),
        ("run_id", "r".into()),
        ("task_id", task.into()),
        ("map_index", (-1).into()),
        ("action", name.as_str().into()),
        ("options", action.into()),
        ("status", "pending".into()),
        ("created_at", testing::at(position).into()),
    ];
    insert(db, "slipstream_command", values).await;
    first(db, "SELECT max(id) AS id FROM slipstream_command").await.int("id").unwrap()
}

async fn status(db: &Db, command: i64) -> String {
    let sql = db.sql("SELECT status FROM slipstream_command WHERE id = ?").bind(command);
    db.one(sql).await.unwrap().unwrap().text("status").unwrap()
}

/// A round that looks at the run.
async fn look(scheduler: &mut Scheduler) {
    scheduler.agenda.look_at_named("d".into(), "r".into());
    scheduler.tick_now().await.unwrap();
}

async fn set(db: &Db, task: &str, state: TaskState) {
    let sql = db
        .sql("UPDATE task_instance SET state = ?, start_date = ?, last_heartbeat_at = ? WHERE task_id = ?")
        .bind(state)
        .bind(testing::at(1))
        .bind(testing::at(1))
        .bind(task);
    db.exec(sql).await.unwrap();
}

/// What the worker reports when it has ended a task that it was told to end.
async fn killed(scheduler: &mut Scheduler, db: &Db, task: &str, try_number: i32) {
    let adopt = db.sql("UPDATE task_instance SET queued_by_job_id = ?").bind(scheduler.job);
    db.exec(adopt).await.unwrap();
    let key = key(task, try_number);
    let ended = told(key, Report::Success);
    scheduler.process_ended(&[ended], testing::at(60)).await.unwrap();
    look(scheduler).await;
}

async fn triggering_events(db: &Db, task: &str) -> Option<Value> {
    let sql = db.sql("SELECT value FROM xcom WHERE key = 'triggering_events' AND task_id = ?").bind(task);
    db.one(sql).await.unwrap().map(|row| row.json("value").unwrap())
}

async fn try_number(db: &Db, task: &str) -> i64 {
    let sql = db.sql("SELECT try_number FROM task_instance WHERE task_id = ?").bind(task);
    db.one(sql).await.unwrap().unwrap().int("try_number").unwrap()
}

#[test]
fn a_gate_waits_for_its_event_and_hands_it_to_the_task() {
    on_each_database(async |db| {
        tables(db).await;
        let version = dag(db, &[("a", &["g"], json!({})), ("g", &[], on_event(&gate()))]).await;
        run(db, version, &[NewTi::new("d", "r", "a").state(TaskState::Success), waiting("g")]).await;
        let (mut scheduler, _home) = scheduler(db).await;

        look(&mut scheduler).await;
        assert_eq!((state(db, "g").await, run_state(db).await.as_str()), (None, "running"));

        let open = command(db, "g", &gate(), 7).await;
        look(&mut scheduler).await;

        assert_eq!(state(db, "g").await, Some(TaskState::Queued));
        assert_eq!(status(db, open).await, "done");
        let told = triggering_events(db, "g").await.unwrap();
        assert_eq!(told[0]["data"], json!({"n": 7}));
        assert_eq!((&told[0]["key"], &told[0]["position"]), (&json!("x"), &json!(7)));
        let row = first(db, "SELECT sequence, first_try, firing_id FROM slipstream_execution").await;
        assert_eq!((row.int("sequence").unwrap(), row.int("first_try").unwrap()), (1, 1));
        assert!(row.uuid_opt("firing_id").unwrap().is_some());
    });
}

#[test]
fn an_event_before_the_dependencies_are_met_is_kept() {
    on_each_database(async |db| {
        tables(db).await;
        let version = dag(db, &[("a", &["g"], json!({})), ("g", &[], on_event(&gate()))]).await;
        run(db, version, &[NewTi::new("d", "r", "a").state(TaskState::Running), waiting("g")]).await;
        let (mut scheduler, _home) = scheduler(db).await;
        let open = command(db, "g", &gate(), 7).await;

        look(&mut scheduler).await;
        assert_eq!((state(db, "g").await, status(db, open).await.as_str()), (None, "open"));

        set(db, "a", TaskState::Success).await;
        look(&mut scheduler).await;
        assert_eq!(
            (state(db, "g").await, status(db, open).await.as_str()),
            (Some(TaskState::Queued), "done")
        );
    });
}

#[test]
fn another_event_after_the_end_is_another_try_with_a_history() {
    on_each_database(async |db| {
        tables(db).await;
        let version = dag(db, &[("g", &[], on_event(&gate())), ("h", &[], on_event(&gate()))]).await;
        run(db, version, &[waiting("g"), waiting("h")]).await;
        let (mut scheduler, _home) = scheduler(db).await;
        command(db, "g", &gate(), 7).await;
        look(&mut scheduler).await;
        set(db, "g", TaskState::Success).await;

        command(db, "g", &gate(), 8).await;
        look(&mut scheduler).await;

        assert_eq!((state(db, "g").await, try_number(db, "g").await), (Some(TaskState::Queued), 2));
        let past = first(db, "SELECT state, try_number FROM task_instance_history").await;
        assert_eq!((past.text("state").unwrap().as_str(), past.int("try_number").unwrap()), ("success", 1));
        assert_eq!(count(db, "slipstream_execution").await, 2);
        assert_eq!(triggering_events(db, "g").await.unwrap()[0]["position"], 8);
    });
}

#[test]
fn a_start_while_the_task_runs_is_queued_and_follows() {
    on_each_database(async |db| {
        tables(db).await;
        let queue = json!({"start": {"mode": "gate", "when_running": "queue"}});
        let version = dag(db, &[("g", &[], on_event(&queue)), ("h", &[], on_event(&gate()))]).await;
        run(db, version, &[NewTi::new("d", "r", "g").state(TaskState::Running), waiting("h")]).await;
        let (mut scheduler, _home) = scheduler(db).await;
        let ids = [command(db, "g", &queue, 7).await, command(db, "g", &queue, 8).await];

        look(&mut scheduler).await;
        assert_eq!(
            (status(db, ids[0]).await, status(db, ids[1]).await),
            ("waiting".into(), "waiting".into())
        );
        set(db, "g", TaskState::Failed).await;
        look(&mut scheduler).await;
        assert_eq!((status(db, ids[0]).await, status(db, ids[1]).await), ("done".into(), "waiting".into()));
        assert_eq!((state(db, "g").await, try_number(db, "g").await), (Some(TaskState::Queued), 2));
        set(db, "g", TaskState::Success).await;
        look(&mut scheduler).await;
        assert_eq!((status(db, ids[1]).await.as_str(), try_number(db, "g").await), ("done", 3));
    });
}

#[test]
fn a_stopped_task_is_shown_as_restarting_then_gets_its_mark_and_no_retry() {
    on_each_database(async |db| {
        tables(db).await;
        let stop = json!({"stop": {"mark": "success"}});
        let mut fields = on_event(&stop);
        fields["retries"] = json!(3);
        fields["has_on_retry_callback"] = json!(true);
        let version = dag(db, &[("s", &[], fields), ("h", &[], on_event(&gate()))]).await;
        run(db, version, &[NewTi::new("d", "r", "s").state(TaskState::Running).retries(3), waiting("h")])
            .await;
        let (mut scheduler, _home) = scheduler(db).await;
        let stopping = command(db, "s", &stop, 7).await;

        look(&mut scheduler).await;
        assert_eq!(state(db, "s").await, Some(TaskState::Restarting));
        assert_eq!(status(db, stopping).await, "stopping");
        killed(&mut scheduler, db, "s", 1).await;

        assert_eq!((state(db, "s").await, try_number(db, "s").await), (Some(TaskState::Success), 1));
        assert_eq!(status(db, stopping).await, "done");
        assert_eq!(count(db, "task_instance_history").await, 0);
        assert_eq!(count(db, "callback").await, 0, "it did not fail, and is not tried again");
    });
}

#[test]
fn a_restart_is_a_new_try_after_the_process_has_ended() {
    on_each_database(async |db| {
        tables(db).await;
        let restart = json!({"restart": {"mode": "control"}});
        let version = dag(db, &[("s", &[], on_event(&restart))]).await;
        run(db, version, &[NewTi::new("d", "r", "s").state(TaskState::Running)]).await;
        let (mut scheduler, _home) = scheduler(db).await;
        let ids = [command(db, "s", &restart, 7).await, command(db, "s", &restart, 8).await];

        look(&mut scheduler).await;
        assert_eq!(state(db, "s").await, Some(TaskState::Restarting));
        killed(&mut scheduler, db, "s", 1).await;

        assert_eq!((state(db, "s").await, try_number(db, "s").await), (Some(TaskState::Queued), 2));
        assert_eq!((status(db, ids[0]).await, status(db, ids[1]).await), ("done".into(), "dropped".into()));
        let told = triggering_events(db, "s").await.unwrap();
        assert_eq!(told.as_array().unwrap().len(), 2, "one restart for both events: {told}");
    });
}

#[test]
fn a_stop_of_a_deferred_task_removes_its_trigger() {
    on_each_database(async |db| {
        tables(db).await;
        let stop = json!({"stop": {"mark": "skipped"}});
        let version = dag(db, &[("s", &[], on_event(&stop)), ("h", &[], on_event(&gate()))]).await;
        run(db, version, &[NewTi::new("d", "r", "s").state(TaskState::Deferred), waiting("h")]).await;
        let values = vec![
            ("id", 5.into()),
            ("classpath", "a.B".into()),
            ("kwargs", Param::from("{}")),
            ("created_date", testing::at(0).into()),
        ];
        insert(db, "trigger", values).await;
        db.exec(db.sql("UPDATE task_instance SET trigger_id = 5 WHERE task_id = 's'")).await.unwrap();
        let (mut scheduler, _home) = scheduler(db).await;
        command(db, "s", &stop, 7).await;

        look(&mut scheduler).await;

        assert_eq!((state(db, "s").await, count(db, "trigger").await), (Some(TaskState::Skipped), 0));
    });
}

#[test]
fn a_command_for_a_run_that_has_ended_is_dropped_and_starts_nothing() {
    on_each_database(async |db| {
        tables(db).await;
        let version = dag(db, &[("g", &[], on_event(&gate()))]).await;
        run(db, version, &[NewTi::new("d", "r", "g").state(TaskState::Success)]).await;
        db.exec(db.sql("UPDATE dag_run SET state = 'success'")).await.unwrap();
        let (mut scheduler, _home) = scheduler(db).await;
        let late = command(db, "g", &gate(), 7).await;

        scheduler.find_commands(testing::at(60)).await.unwrap();
        look(&mut scheduler).await;

        assert_eq!(
            (status(db, late).await.as_str(), state(db, "g").await),
            ("dropped", Some(TaskState::Success))
        );
    });
}

#[test]
fn a_run_ends_only_when_its_last_events_were_heard() {
    on_each_database(async |db| {
        tables(db).await;
        let only = json!({"start": {"mode": "event_only"}});
        let watch =
            json!({"version": 1, "do": only, "on": {"event": {"namespace": "airflow", "key": "d.a"}}});
        let event_only = declared(json!({"triggers": [watch]}));
        let version = dag(db, &[("a", &[], json!({})), ("e", &[], event_only)]).await;
        run(db, version, &[NewTi::new("d", "r", "a").state(TaskState::Success), waiting("e")]).await;
        let (mut scheduler, _home) = scheduler(db).await;

        look(&mut scheduler).await;
        assert_eq!((state(db, "e").await, run_state(db).await.as_str()), (None, "running"), "not observed");

        let values = vec![
            ("dag_id", "d".into()),
            ("run_id", "r".into()),
            ("task_id", "a".into()),
            ("map_index", (-1).into()),
            ("state", "success".into()),
            ("try_number", 1.into()),
            ("seen_at", testing::at(0).into()),
        ];
        insert(db, "slipstream_observed", values).await;
        db.exec(db.sql("UPDATE slipstream_log_head SET last_position = 1001")).await.unwrap();
        look(&mut scheduler).await;
        assert_eq!(run_state(db).await, "running", "the engine has not come that far");

        // More events come in; they need not be heard.
        db.exec(db.sql("UPDATE slipstream_log_head SET last_position = 2000")).await.unwrap();
        db.exec(db.sql("UPDATE slipstream_cursor SET position = 1001")).await.unwrap();
        look(&mut scheduler).await;
        assert_eq!(
            (state(db, "e").await, run_state(db).await.as_str()),
            (Some(TaskState::Skipped), "success")
        );
    });
}

/// What the event engine has told of the Dag and of this task.
async fn observed(db: &Db, task: &str, state: &str, try_number: i64) {
    let values = vec![
        ("dag_id", "d".into()),
        ("run_id", if task.is_empty() { "" } else { "r" }.into()),
        ("task_id", task.into()),
        ("map_index", (-1).into()),
        ("state", state.into()),
        ("try_number", try_number.into()),
        ("seen_at", testing::at(0).into()),
    ];
    insert(db, "slipstream_observed", values).await;
}

async fn written_at(db: &Db, task: &str, moment: DateTime<Utc>) {
    let sql = db.sql("UPDATE task_instance SET updated_at = ? WHERE task_id = ?").bind(moment).bind(task);
    db.exec(sql).await.unwrap();
}

#[test]
fn a_task_starts_again_only_when_the_log_has_the_end_of_the_execution_before() {
    on_each_database(async |db| {
        tables(db).await;
        let queue = json!({"start": {"mode": "gate", "when_running": "queue"}});
        let version = dag(db, &[("g", &[], on_event(&queue)), ("h", &[], on_event(&gate()))]).await;
        run(db, version, &[NewTi::new("d", "r", "g").state(TaskState::Running), waiting("h")]).await;
        let (mut scheduler, _home) = scheduler(db).await;
        observed(db, "", "watched", 0).await;
        observed(db, "g", "running", 1).await;
        let next = command(db, "g", &queue, 7).await;
        look(&mut scheduler).await;

        set(db, "g", TaskState::Success).await;
        written_at(db, "g", Utc::now()).await;
        look(&mut scheduler).await;
        assert_eq!((state(db, "g").await, try_number(db, "g").await), (Some(TaskState::Success), 1));
        assert_eq!((status(db, next).await.as_str(), run_state(db).await.as_str()), ("waiting", "running"));

        let told = db.sql("UPDATE slipstream_observed SET state = 'success' WHERE task_id = 'g'");
        db.exec(told).await.unwrap();
        look(&mut scheduler).await;
        assert_eq!((state(db, "g").await, try_number(db, "g").await), (Some(TaskState::Queued), 2));
        assert_eq!(status(db, next).await, "done");
    });
}

#[test]
fn an_event_engine_that_tells_nothing_does_not_keep_a_task_from_starting_again_for_long() {
    on_each_database(async |db| {
        tables(db).await;
        let version = dag(db, &[("g", &[], on_event(&gate())), ("h", &[], on_event(&gate()))]).await;
        run(db, version, &[NewTi::new("d", "r", "g").state(TaskState::Success), waiting("h")]).await;
        let (mut scheduler, _home) = scheduler(db).await;
        observed(db, "", "watched", 0).await;
        let next = command(db, "g", &gate(), 7).await;
        written_at(db, "g", Utc::now() - TimeDelta::seconds(29)).await;
        look(&mut scheduler).await;
        assert_eq!(status(db, next).await, "waiting");

        written_at(db, "g", Utc::now() - TimeDelta::seconds(31)).await;
        look(&mut scheduler).await;
        assert_eq!(
            (status(db, next).await.as_str(), state(db, "g").await),
            ("done", Some(TaskState::Queued))
        );
    });
}

#[test]
fn without_event_tasks_no_table_of_events_is_read() {
    on_each_database(async |db| {
        // The tables do not exist, so that a statement on them would fail the look.
        let version = dag(db, &[("a", &[], json!({"_is_empty": true}))]).await;
        run(db, version, &[waiting("a")]).await;
        let (mut scheduler, _home) = scheduler(db).await;
        look(&mut scheduler).await;
        assert_eq!(run_state(db).await, "success");
    });
}

#[test]
fn a_trigger_that_was_added_from_outside_holds_its_task_back() {
    on_each_database(async |db| {
        tables(db).await;
        let version = dag(db, &[("a", &[], json!({})), ("b", &[], json!({}))]).await;
        run(db, version, &["a", "b"].map(waiting)).await;
        let spec = json!({"version": 1, "on": {"event": {"key": "x"}}, "do": gate()});
        let values = vec![
            ("name", "outside".into()),
            ("dag_id", "d".into()),
            ("task_id", "b".into()),
            ("origin", "external".into()),
            ("spec", spec.into()),
            ("spec_hash", "".into()),
            ("status", "active".into()),
            ("from_position", 0.into()),
            ("created_at", testing::at(0).into()),
            ("updated_at", testing::at(0).into()),
        ];
        insert(db, "slipstream_trigger", values).await;
        let (mut scheduler, _home) = scheduler(db).await;

        look(&mut scheduler).await;
        assert_eq!((state(db, "a").await, state(db, "b").await), (Some(TaskState::Queued), None));
        command(db, "b", &gate(), 7).await;
        look(&mut scheduler).await;
        assert_eq!(state(db, "b").await, Some(TaskState::Queued));
    });
}

#[test]
fn a_long_running_run_does_not_keep_others_of_its_dag_from_starting() {
    for (streaming, second) in [(json!({}), "running"), (json!({"counts": true}), "queued")] {
        on_each_database(async |db| {
            tables(db).await;
            let fields = declared(json!({"streaming": streaming}));
            let version = dag(db, &[("s", &[], fields)]).await;
            db.exec(db.sql("UPDATE dag SET max_active_runs = 1")).await.unwrap();
            run(db, version, &[NewTi::new("d", "r", "s").state(TaskState::Running)]).await;
            let queued = NewRun { logical_date: testing::at(60), ..NewRun::new("d", "q") };
            NewRun { state: RunState::Queued, ..queued }.insert(db).await;
            let (mut scheduler, _home) = scheduler(db).await;

            look(&mut scheduler).await;
            scheduler.agenda.start_runs = true;
            look(&mut scheduler).await;

            let row = first(db, "SELECT state FROM dag_run WHERE run_id = 'q'").await;
            assert_eq!(row.text("state").unwrap(), second);
        });
    }
}

#[test]
fn a_streaming_task_takes_no_slot_of_others_and_they_take_none_of_its() {
    on_each_database(async |db| {
        tables(db).await;
        let streams = || declared(json!({"streaming": {}}));
        let tasks = [("a", json!({})), ("b", json!({})), ("s", streams()), ("t", streams())];
        let tasks = tasks.map(|(task, fields)| (task, [""; 0], fields));
        let tasks: Vec<_> =
            tasks.iter().map(|(task, after, fields)| (*task, &after[..], fields.clone())).collect();
        let version = dag(db, &tasks).await;
        run(db, version, &["a", "b", "s", "t"].map(waiting)).await;
        // One slot of each kind.
        let (mut scheduler, _home) = scheduler_with(db, 1, Events::Some(EventWake::default())).await;

        for _ in 0..2 {
            look(&mut scheduler).await;
            scheduler.agenda.enqueue = true;
        }

        let queued = "SELECT task_id AS t FROM task_instance WHERE state = 'queued' ORDER BY task_id";
        let queued = db.all(db.sql(queued)).await.unwrap();
        let queued: Vec<String> = queued.iter().map(|row| row.text("t").unwrap()).collect();
        let of = |one: &str, other: &str| {
            queued.iter().filter(|task| [one, other].contains(&task.as_str())).count()
        };
        assert_eq!((of("a", "b"), of("s", "t")), (1, 1), "{queued:?}");
    });
}

#[test]
fn a_periodic_task_runs_at_each_tick_until_it_is_stopped() {
    on_each_database(async |db| {
        tables(db).await;
        let (tick, stop) = (gate(), json!({"stop": {"mark": "success"}}));
        let mut fields = on_event(&tick);
        fields["executor_config"]["__var"]["slipstream"]["__var"]["periodic"] = json!({});
        let version = dag(db, &[("p", &[], fields)]).await;
        run(db, version, &[waiting("p")]).await;
        let (mut scheduler, _home) = scheduler(db).await;

        for position in [1, 2] {
            command(db, "p", &tick, position).await;
            look(&mut scheduler).await;
            assert_eq!(
                (state(db, "p").await, try_number(db, "p").await),
                (Some(TaskState::Queued), position)
            );
            let overlapping = command(db, "p", &tick, position + 10).await;
            look(&mut scheduler).await;
            assert_eq!(status(db, overlapping).await, "dropped");
            set(db, "p", TaskState::Success).await;
            look(&mut scheduler).await;
            assert_eq!(run_state(db).await, "running");
        }
        command(db, "p", &stop, 3).await;
        look(&mut scheduler).await;
        assert_eq!(
            (state(db, "p").await, run_state(db).await.as_str()),
            (Some(TaskState::Success), "success")
        );
    });
}

#[test]
fn a_periodic_task_that_is_stopped_before_its_first_tick_is_skipped_and_does_not_keep_its_run() {
    on_each_database(async |db| {
        tables(db).await;
        let (tick, stop) = (gate(), json!({"stop": {"mark": "success"}}));
        let mut fields = on_event(&tick);
        fields["executor_config"]["__var"]["slipstream"]["__var"]["periodic"] = json!({});
        let version =
            dag(db, &[("p", &["after"], fields), ("after", &[], json!({})), ("a", &[], json!({}))]).await;
        run(
            db,
            version,
            &[waiting("p"), waiting("after"), NewTi::new("d", "r", "a").state(TaskState::Running)],
        )
        .await;
        let (mut scheduler, _home) = scheduler(db).await;
        let stopped = command(db, "p", &stop, 1).await;
        look(&mut scheduler).await;
        let late = command(db, "p", &tick, 2).await;
        look(&mut scheduler).await;
        assert_eq!((status(db, stopped).await, status(db, late).await), ("done".into(), "dropped".into()));
        assert_eq!((state(db, "p").await, run_state(db).await.as_str()), (None, "running"));

        set(db, "a", TaskState::Success).await;
        look(&mut scheduler).await;
        let (p, after) = (state(db, "p").await, state(db, "after").await);
        assert_eq!((p, after), (Some(TaskState::Skipped), Some(TaskState::Skipped)));
        assert_eq!(run_state(db).await, "success");
    });
}

/// What a person does to a task instance, and what a command asks at the same moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    Clearing,
    Marking(TaskState),
}

/// Who comes first; together, the person after so many turns of the scheduler's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    Person,
    Command,
    Together(usize),
}

/// As the API clears or marks a task instance: it locks the row, and decides by what it finds.
async fn person(db: &Db, by: By) {
    let tx = db.begin().await.unwrap();
    let text = format!(
        "SELECT id, state, try_number, max_tries FROM task_instance WHERE task_id = 's'{}",
        tx.dialect().pg(" FOR UPDATE")
    );
    let row = tx.one(tx.sql(&text)).await.unwrap().unwrap();
    let (id, state) = (row.uuid("id").unwrap(), row.state_opt("state").unwrap());
    let set = async |id: Uuid, state: Option<TaskState>| {
        let sql = tx.sql("UPDATE task_instance SET state = ?, updated_at = ? WHERE id = ?");
        tx.exec(sql.bind(state).bind(Utc::now()).bind(id)).await.unwrap();
    };
    match by {
        By::Marking(mark) => set(id, Some(mark)).await,
        By::Clearing if state == Some(TaskState::Running) => set(id, Some(TaskState::Restarting)).await,
        By::Clearing => {
            let renewed = history::prepare_db_for_next_try(&tx, &[id], Utc::now()).await.unwrap();
            set(renewed.first().map_or(id, |(_, new)| *new), None).await;
        }
    }
    // The run is touched last, as Airflow does; the scheduler holds it first.
    tx.exec(tx.sql("UPDATE dag_run SET updated_at = ? WHERE run_id = 'r'").bind(Utc::now())).await.unwrap();
    tx.commit().await.unwrap();
}

/// What is left when both have done theirs: the state, the try, and what became of the command.
async fn left(db: &Db, version: Uuid, action: &Value, (begin, by): (TaskState, By), who: Who) -> String {
    for table in
        ["slipstream_command", "slipstream_firing", "slipstream_event", "slipstream_execution", "xcom"]
    {
        db.exec(db.sql(&format!("DELETE FROM {table}"))).await.unwrap();
    }
    db.exec(db.sql("DELETE FROM task_instance_history")).await.unwrap();
    db.exec(db.sql("DELETE FROM task_instance")).await.unwrap();
    db.exec(db.sql("DELETE FROM dag_run")).await.unwrap();
    run(db, version, &[NewTi::new("d", "r", "s").state(begin), waiting("h")]).await;
    let (mut scheduler, _home) = scheduler(db).await;
    let command = command(db, "s", action, 7).await;
    match who {
        Who::Person => person(db, by).await,
        Who::Command => {
            look(&mut scheduler).await;
            person(db, by).await;
        }
        Who::Together(turns) => {
            let late = async {
                for _ in 0..turns {
                    tokio::task::yield_now().await;
                }
                person(db, by).await;
            };
            tokio::join!(look(&mut scheduler), late);
        }
    }
    for _ in 0..2 {
        look(&mut scheduler).await;
    }
    let row = first(db, "SELECT state, try_number FROM task_instance WHERE task_id = 's'").await;
    let (state, tries) = (row.text_opt("state").unwrap(), row.int("try_number").unwrap());
    let (past, status) = (count(db, "task_instance_history").await, status(db, command).await);
    format!("{state:?}, try {tries}, {past} before, command {status}")
}

#[test]
fn a_person_and_a_command_at_the_same_moment_leave_what_one_after_the_other_would() {
    on_each_database(async |db| {
        tables(db).await;
        let actions = [
            json!({"start": {"mode": "gate", "when_running": "queue"}}),
            json!({"stop": {"mark": "success"}}),
            json!({"restart": {"mode": "control"}}),
        ];
        for action in &actions {
            let version = dag_once(db, action).await;
            for begin in [TaskState::Running, TaskState::Success, TaskState::Deferred] {
                for by in [By::Clearing, By::Marking(TaskState::Success), By::Marking(TaskState::Failed)] {
                    let what = (begin, by);
                    let mut serial = Vec::new();
                    for who in [Who::Person, Who::Command] {
                        serial.push(left(db, version, action, what, who).await);
                    }
                    for turns in [0, 3, 10, 25] {
                        let raced = left(db, version, action, what, Who::Together(turns)).await;
                        assert!(
                            serial.contains(&raced),
                            "{action} while {what:?}, after {turns} turns: {raced}, but one after the other {serial:?}"
                        );
                    }
                }
            }
        }
    });
}

/// The Dag of the race, with another action in place of the one before.
async fn dag_once(db: &Db, action: &Value) -> Uuid {
    for table in ["slipstream_command", "task_instance_history", "task_instance", "dag_run"] {
        db.exec(db.sql(&format!("DELETE FROM {table}"))).await.unwrap();
    }
    for table in ["serialized_dag", "dag_version", "dag"] {
        db.exec(db.sql(&format!("DELETE FROM {table}"))).await.unwrap();
    }
    dag(db, &[("s", &[], on_event(action)), ("h", &[], on_event(&gate()))]).await
}
