//! The engine on real databases, from an event to what follows.

use chrono::{TimeDelta, Utc};
use serde_json::{Value, json};

use slipstream_core::event::{Position, Scope};
use slipstream_core::ids::MapIndex;
use slipstream_core::state::TaskState;

use super::batch::Care;
use super::testing::{dag, engine, new_event, number, on, send, texts};
use crate::events::triggers::{self, About, Mode, NewExternal, Which};
use crate::store::db::{failpoint, recorder};
use crate::store::events::NewEvent;
use crate::store::testing::{self, NewRun, NewTi, first, on_each_database};
use crate::store::triggers::{TriggerId, commands, firings, progress};
use crate::store::{Conn, Db, Dialect};

fn run_on(key: &str) -> Value {
    json!({"version": 1, "on": on(key), "do": {"run": {}}})
}

async fn runs(db: &Db) -> i64 {
    number(db, "SELECT count(*) AS n FROM dag_run").await
}

#[test]
fn an_event_makes_one_run_with_its_task_instances() {
    on_each_database(async |db| {
        dag(db, "d", &[run_on("drift")], &[("t", vec![])]).await;
        let mut engine = engine(db);
        engine.round(Utc::now()).await.unwrap();
        send(db, new_event("other", Value::Null)).await;
        let sent = send(db, new_event("drift", json!({"score": 0.9}))).await;

        engine.round(Utc::now()).await.unwrap();
        engine.round(Utc::now()).await.unwrap();

        assert_eq!(runs(db).await, 1);
        let run = first(db, "SELECT * FROM dag_run").await;
        assert_eq!(run.text("state").unwrap(), "queued");
        assert_eq!(run.text("run_type").unwrap(), "manual");
        assert_eq!(run.text("triggering_user_name").unwrap(), "trigger d#0");
        let conf = run.json("conf").unwrap();
        assert_eq!(conf["triggering_events"][0]["position"], sent.position.0);
        assert_eq!(conf["triggering_events"][0]["data"]["score"], 0.9);
        assert_eq!(number(db, "SELECT count(*) AS n FROM task_instance").await, 1);
        assert_eq!(number(db, "SELECT count(*) AS n FROM dag_run_note").await, 1);
        assert_eq!(texts(db, "SELECT status AS t FROM slipstream_firing").await, ["done"]);
        assert_eq!(texts(db, "SELECT verdict AS t FROM slipstream_decision").await, ["fired"]);
        let cursor = "SELECT position AS n FROM slipstream_cursor WHERE name = 'engine'";
        assert_eq!(number(db, cursor).await, 2);
    });
}

#[test]
fn events_from_before_the_trigger_are_not_its_business() {
    on_each_database(async |db| {
        dag(db, "d", &[run_on("drift")], &[("t", vec![])]).await;
        send(db, new_event("drift", Value::Null)).await;
        let mut engine = engine(db);
        engine.round(Utc::now()).await.unwrap();
        assert_eq!(runs(db).await, 0);
        send(db, new_event("drift", Value::Null)).await;
        engine.round(Utc::now()).await.unwrap();
        assert_eq!(runs(db).await, 1);
    });
}

#[test]
fn a_paused_dag_gets_no_run_and_the_decision_says_so() {
    on_each_database(async |db| {
        dag(db, "d", &[run_on("drift")], &[("t", vec![])]).await;
        let mut engine = engine(db);
        engine.round(Utc::now()).await.unwrap();
        db.exec(db.sql("UPDATE dag SET is_paused = ?").bind(true)).await.unwrap();
        send(db, new_event("drift", Value::Null)).await;
        engine.round(Utc::now()).await.unwrap();
        assert_eq!(runs(db).await, 0);
        let reason = texts(db, "SELECT reason AS t FROM slipstream_decision").await;
        assert_eq!(reason, ["the Dag gets no runs: it is paused"]);
    });
}

#[test]
fn two_engines_at_once_make_one_run_per_event() {
    on_each_database(async |db| {
        dag(db, "d", &[run_on("drift")], &[("t", vec![])]).await;
        let (mut one, mut two) = (engine(db), engine(db));
        one.round(Utc::now()).await.unwrap();
        two.round(Utc::now()).await.unwrap();
        for _ in 0..20 {
            send(db, new_event("drift", Value::Null)).await;
            let (first, second) = tokio::join!(one.round(Utc::now()), two.round(Utc::now()));
            first.and(second).unwrap();
        }
        one.round(Utc::now()).await.unwrap();
        assert_eq!(runs(db).await, 20);
        assert_eq!(number(db, "SELECT count(*) AS n FROM slipstream_firing WHERE status = 'done'").await, 20);
    });
}

/// A running run with task instances, as if it had been made just now.
async fn running(db: &Db, dag_id: &str, run_id: &str, tasks: &[(&str, TaskState)]) {
    let logical_date = testing::at(number(db, "SELECT count(*) AS n FROM dag_run").await);
    NewRun { logical_date, ..NewRun::new(dag_id, run_id) }.insert(db).await;
    let now = db.sql("UPDATE dag_run SET created_at = ?, updated_at = ? WHERE run_id = ?");
    db.exec(now.bind(Utc::now()).bind(Utc::now()).bind(run_id)).await.unwrap();
    for (task, state) in tasks {
        NewTi::new(dag_id, run_id, task).state(*state).insert(db).await;
    }
}

async fn end(db: &Db, run_id: &str, state: &str) {
    let sql = db.sql("UPDATE dag_run SET state = ?, updated_at = ? WHERE run_id = ?");
    db.exec(sql.bind(state).bind(Utc::now()).bind(run_id)).await.unwrap();
}

fn start_on(key: &str) -> Value {
    json!({"version": 1, "on": on(key), "do": {"start": {"when_running": "queue"}}})
}

fn in_run(event: NewEvent, dag_id: &str, run_id: &str) -> NewEvent {
    NewEvent { scope: Scope::Run { dag_id: dag_id.into(), run_id: run_id.into() }, ..event }
}

const COMMANDS: &str = "SELECT run_id AS t FROM slipstream_command ORDER BY id";

#[test]
fn a_task_is_commanded_once_in_every_running_run() {
    on_each_database(async |db| {
        dag(db, "d", &[], &[("t", vec![start_on("go")]), ("u", vec![])]).await;
        let mut engine = engine(db);
        engine.round(Utc::now()).await.unwrap();
        running(db, "d", "one", &[]).await;
        running(db, "d", "two", &[]).await;
        running(db, "d", "over", &[]).await;
        end(db, "over", "success").await;
        send(db, new_event("go", Value::Null)).await;
        engine.round(Utc::now()).await.unwrap();
        engine.round(Utc::now()).await.unwrap();
        assert_eq!(texts(db, COMMANDS).await, ["one", "two"]);
        let command = first(db, "SELECT * FROM slipstream_command").await;
        assert_eq!(command.text("task_id").unwrap(), "t");
        assert_eq!(command.text("action").unwrap(), "start");
        assert_eq!(command.json("options").unwrap(), json!({"start": {"when_running": "queue"}}));
    });
}

#[test]
fn an_event_of_a_run_is_seen_in_that_run_only_and_ignored_after_its_end() {
    on_each_database(async |db| {
        dag(db, "d", &[], &[("t", vec![start_on("go")])]).await;
        let mut engine = engine(db);
        engine.round(Utc::now()).await.unwrap();
        running(db, "d", "one", &[]).await;
        running(db, "d", "two", &[]).await;
        send(db, in_run(new_event("go", Value::Null), "d", "two")).await;
        engine.round(Utc::now()).await.unwrap();
        end(db, "two", "failed").await;
        send(db, in_run(new_event("go", Value::Null), "d", "two")).await;
        engine.round(Utc::now()).await.unwrap();
        assert_eq!(texts(db, COMMANDS).await, ["two"]);
        let decisions = "SELECT reason AS t FROM slipstream_decision ORDER BY position";
        assert_eq!(texts(db, decisions).await[1], "the run has ended");
    });
}

#[test]
fn a_run_sees_only_events_from_after_it_was_made() {
    on_each_database(async |db| {
        dag(db, "d", &[run_on("make")], &[("t", vec![start_on("go")])]).await;
        let mut engine = engine(db);
        engine.round(Utc::now()).await.unwrap();
        // Both are in the log before the run is; by its order, one comes before the run and one after.
        send(db, new_event("go", Value::Null)).await;
        send(db, new_event("make", Value::Null)).await;
        send(db, new_event("go", json!({"after": true}))).await;
        engine.round(Utc::now()).await.unwrap();
        engine.round(Utc::now()).await.unwrap();
        assert_eq!(runs(db).await, 1);
        let positions = "SELECT f.position AS n FROM slipstream_firing f WHERE f.task_id = 't'";
        assert_eq!(db.all(db.sql(positions)).await.unwrap().len(), 1);
        assert_eq!(number(db, positions).await, 3);
        running(db, "d", "late", &[]).await;
        engine.round(Utc::now()).await.unwrap();
        assert_eq!(db.all(db.sql(COMMANDS)).await.unwrap().len(), 1);
    });
}

#[test]
fn a_run_that_is_pinned_keeps_the_triggers_of_its_version() {
    on_each_database(async |db| {
        let version = dag(db, "d", &[], &[("t", vec![start_on("old")])]).await;
        let mut engine = engine(db);
        engine.round(Utc::now()).await.unwrap();
        running(db, "d", "pinned", &[]).await;
        let pin = "UPDATE dag_run SET bundle_version = '1', created_dag_version_id = ?";
        db.exec(db.sql(pin).bind(version)).await.unwrap();
        // A new version with another trigger in place of the old one.
        let newer = uuid::Uuid::now_v7();
        let data = json!({"__version": 3, "dag": super::testing::serialized("d", &[], &[("t", vec![start_on("new")])])});
        let values = vec![
            ("id", newer.into()),
            ("version_number", 2.into()),
            ("dag_id", "d".into()),
            ("bundle_name", "dags-folder".into()),
            ("created_at", testing::at(60).into()),
            ("last_updated", testing::at(60).into()),
        ];
        testing::insert(db, "dag_version", values).await;
        let values = vec![
            ("id", uuid::Uuid::now_v7().into()),
            ("dag_id", "d".into()),
            ("data", data.into()),
            ("created_at", testing::at(60).into()),
            ("last_updated", testing::at(60).into()),
            ("dag_hash", "1".into()),
            ("dag_version_id", newer.into()),
        ];
        testing::insert(db, "serialized_dag", values).await;
        engine.round(Utc::now()).await.unwrap();
        running(db, "d", "follows", &[]).await;
        send(db, new_event("old", Value::Null)).await;
        send(db, new_event("new", Value::Null)).await;
        engine.round(Utc::now()).await.unwrap();
        assert_eq!(texts(db, COMMANDS).await, ["pinned", "follows"]);
    });
}

#[test]
fn a_lane_makes_one_run_at_a_time_in_the_order_of_the_events() {
    on_each_database(async |db| {
        let trigger = json!({"version": 1, "on": on("job"), "do": {"run": {"while_active": "queue", "lane": "data.key"}}});
        dag(db, "d", &[trigger], &[("t", vec![])]).await;
        let mut engine = engine(db);
        engine.round(Utc::now()).await.unwrap();
        for (key, number) in [("a", 1), ("a", 2), ("b", 3), ("a", 4)] {
            send(db, new_event("job", json!({"key": key, "number": number}))).await;
        }
        engine.round(Utc::now()).await.unwrap();
        let made =
            "SELECT position AS n FROM slipstream_firing WHERE status = 'done' ORDER BY done_at, position";
        let positions = async || -> Vec<i64> {
            db.all(db.sql(made)).await.unwrap().iter().map(|row| row.int("n").unwrap()).collect()
        };
        assert_eq!(positions().await, [1, 3]);
        for expected in [vec![1, 3, 2], vec![1, 3, 2, 4]] {
            let ends = "UPDATE dag_run SET state = 'success'";
            db.exec(db.sql(ends)).await.unwrap();
            engine.round(Utc::now()).await.unwrap();
            assert_eq!(positions().await, expected);
        }
        assert_eq!(runs(db).await, 4);
    });
}

/// A firing of the only trigger in a lane of `d`.
async fn firing_in(db: &Db, position: i64, lane: &str, status: firings::Status, made: Option<&str>) {
    let key = progress::Key {
        trigger: TriggerId(number(db, "SELECT id AS n FROM slipstream_trigger").await),
        run_id: String::new(),
        correlation: String::new(),
    };
    let firing = firings::Firing {
        id: uuid::Uuid::now_v7(),
        key,
        dag_id: "d".into(),
        task_id: None,
        position: Position(position),
        events: vec![Position(1)],
        action: "run".to_owned(),
        status,
        reason: None,
        result_run_id: made.map(Into::into),
        lane: Some(lane.to_owned()),
        fired_at: Utc::now(),
    };
    firings::insert(db, &[firing], Utc::now()).await.unwrap();
}

#[test]
fn a_free_lane_does_not_wait_behind_busy_ones_however_much_waits_in_them() {
    on_each_database(async |db| {
        use firings::Status::{Done, Pending};
        let trigger = json!({"version": 1, "on": on("job"), "do": {"run": {"while_active": "queue", "lane": "data.key"}}});
        dag(db, "d", &[trigger], &[("t", vec![])]).await;
        let mut engine = engine(db);
        engine.round(Utc::now()).await.unwrap();
        running(db, "d", "busy", &[]).await;
        send(db, new_event("other", Value::Null)).await;
        let busy = 510;
        for lane in 0..busy {
            firing_in(db, 1000 + lane, &format!("busy{lane}"), Done, Some("busy")).await;
            firing_in(db, 2000 + lane, &format!("busy{lane}"), Pending, None).await;
            firing_in(db, 3000 + lane, "busy0", Pending, None).await;
        }
        firing_in(db, 5000, "free", Pending, None).await;
        firing_in(db, 5001, "free", Pending, None).await;
        engine.resume_waiting(Utc::now()).await.unwrap();
        let made = "SELECT position AS n FROM slipstream_firing WHERE status = 'done' AND position > 2000";
        let made: Vec<i64> =
            db.all(db.sql(made)).await.unwrap().iter().map(|row| row.int("n").unwrap()).collect();
        assert_eq!(made, [5000], "one run at a time, also in the free lane");
        assert_eq!(runs(db).await, 2);
    });
}

#[test]
fn a_firing_that_was_skipped_does_not_count_against_at_most() {
    on_each_database(async |db| {
        let trigger =
            json!({"version": 1, "on": on("job"), "at_most": 2, "do": {"run": {"while_active": "skip"}}});
        let repeated = json!({"event": {"key": "job", "repeated": true}});
        let repeated = json!({"all": [repeated, on("other")]});
        let repeated =
            json!({"version": 1, "on": repeated, "at_most": 1, "do": {"stop_runs": {"mark": "failed"}}});
        dag(db, "d", &[trigger], &[("t", vec![])]).await;
        dag(db, "e", &[repeated], &[("t", vec![])]).await;
        let mut engine = engine(db);
        engine.round(Utc::now()).await.unwrap();
        for _ in 0..3 {
            send(db, new_event("job", Value::Null)).await;
        }
        engine.round(Utc::now()).await.unwrap();
        assert_eq!(runs(db).await, 1);
        for expected in [2, 2] {
            db.exec(db.sql("UPDATE dag_run SET state = 'success'")).await.unwrap();
            send(db, new_event("job", Value::Null)).await;
            engine.round(Utc::now()).await.unwrap();
            assert_eq!(runs(db).await, expected);
        }
        // What a trigger remembers outlives its last firing if that had no effect.
        for (run, expected) in [(None, 0), (Some("r"), 1), (Some("s"), 1)] {
            if let Some(run) = run {
                running(db, "e", run, &[]).await;
            }
            send(db, new_event("other", Value::Null)).await;
            engine.round(Utc::now()).await.unwrap();
            let stopped = "SELECT count(*) AS n FROM dag_run WHERE dag_id = 'e' AND state = 'failed'";
            assert_eq!(number(db, stopped).await, expected);
        }
        let kept = "SELECT count(*) AS n FROM slipstream_trigger_state s JOIN slipstream_trigger t ON t.id = s.trigger_id \
                    WHERE t.dag_id = 'e' AND CAST(s.progress AS text) LIKE '%\"m\"%'";
        assert_eq!(number(db, kept).await, 0, "a trigger that is done remembers nothing");
    });
}

#[test]
fn a_firing_is_skipped_while_a_run_is_active_and_says_so() {
    on_each_database(async |db| {
        let trigger = json!({"version": 1, "on": on("job"), "do": {"run": {"while_active": "skip"}}});
        dag(db, "d", &[trigger], &[("t", vec![])]).await;
        let mut engine = engine(db);
        engine.round(Utc::now()).await.unwrap();
        send(db, new_event("job", Value::Null)).await;
        send(db, new_event("job", Value::Null)).await;
        engine.round(Utc::now()).await.unwrap();
        assert_eq!(runs(db).await, 1);
        let reasons = texts(db, "SELECT reason AS t FROM slipstream_firing WHERE status = 'skipped'").await;
        assert!(reasons[0].contains("is active"), "{reasons:?}");
    });
}

#[test]
fn a_trigger_that_fails_parks_the_event_and_the_others_go_on() {
    on_each_database(async |db| {
        let poison = json!({"version": 1, "name": "poison", "on": {"event": {"key": "drift", "where": "data.score > 0.8"}}, "do": {"run": {}}});
        dag(db, "d", &[poison], &[("t", vec![])]).await;
        dag(db, "e", &[run_on("drift")], &[("t", vec![])]).await;
        let mut engine = engine(db);
        engine.round(Utc::now()).await.unwrap();
        send(db, new_event("drift", json!({"nothing": 1}))).await;
        send(db, new_event("drift", json!({"score": 0.9}))).await;
        engine.round(Utc::now()).await.unwrap();
        assert_eq!(texts(db, "SELECT dag_id AS t FROM dag_run ORDER BY id").await.len(), 3);
        assert_eq!(
            number(db, "SELECT position AS n FROM slipstream_dead_letter WHERE status = 'parked'").await,
            1
        );

        // It fails again, and stays parked; then the event is corrected by hand and goes through, though a later one was first.
        assert_eq!(triggers::retry(&mut engine, "d:poison", Which::All, Utc::now()).await.unwrap(), 0);
        assert_eq!(number(db, "SELECT attempts AS n FROM slipstream_dead_letter").await, 2);
        let sql = "UPDATE slipstream_event SET data = ? WHERE position = 1";
        db.exec(db.sql(sql).bind(json!({"score": 1.0}))).await.unwrap();
        assert_eq!(triggers::retry(&mut engine, "d:poison", Which::All, Utc::now()).await.unwrap(), 1);
        assert_eq!(number(db, "SELECT count(*) AS n FROM dag_run WHERE dag_id = 'd'").await, 2);
        assert_eq!(texts(db, "SELECT status AS t FROM slipstream_dead_letter").await, ["retried"]);
    });
}

#[test]
fn runs_are_stopped_as_the_api_does_it() {
    on_each_database(async |db| {
        let stop = json!({"version": 1, "on": on("halt"), "do": {"stop_runs": {"mark": "failed"}}});
        dag(db, "d", &[stop], &[("t", vec![]), ("u", vec![])]).await;
        let mut engine = engine(db);
        engine.round(Utc::now()).await.unwrap();
        running(db, "d", "r", &[("t", TaskState::Running), ("u", TaskState::Scheduled)]).await;
        send(db, new_event("halt", Value::Null)).await;
        engine.round(Utc::now()).await.unwrap();
        assert_eq!(texts(db, "SELECT state AS t FROM dag_run").await, ["failed"]);
        let states = "SELECT state AS t FROM task_instance ORDER BY task_id";
        assert_eq!(texts(db, states).await, ["failed", "skipped"]);
    });
}

#[test]
fn an_event_of_one_run_stops_that_run_only() {
    on_each_database(async |db| {
        let stop = json!({"version": 1, "on": on("halt"), "do": {"stop_runs": {"mark": "success"}}});
        dag(db, "d", &[stop], &[("t", vec![])]).await;
        let mut engine = engine(db);
        engine.round(Utc::now()).await.unwrap();
        for run_id in ["r", "s"] {
            running(db, "d", run_id, &[("t", TaskState::Running)]).await;
        }
        send(db, in_run(new_event("halt", Value::Null), "d", "s")).await;
        engine.round(Utc::now()).await.unwrap();
        let states = "SELECT state AS t FROM dag_run ORDER BY run_id";
        assert_eq!(texts(db, states).await, ["running", "success"]);
        send(db, in_run(new_event("halt", Value::Null), "another", "s")).await;
        engine.round(Utc::now()).await.unwrap();
        assert_eq!(
            texts(db, states).await,
            ["success", "success"],
            "a run of another Dag concerns all of this one"
        );
    });
}

#[test]
fn a_condition_inside_a_run_ends_that_run() {
    on_each_database(async |db| {
        let done = json!({"version": 1, "on": {"count": {"of": on("done"), "n": 2}}, "do": {"stop_run": {"mark": "success"}}});
        dag(db, "d", &[], &[("t", vec![done]), ("u", vec![])]).await;
        let mut engine = engine(db);
        engine.round(Utc::now()).await.unwrap();
        for run_id in ["r", "s"] {
            running(db, "d", run_id, &[("t", TaskState::Success), ("u", TaskState::Running)]).await;
        }
        engine.round(Utc::now()).await.unwrap();
        send(db, in_run(new_event("done", Value::Null), "d", "r")).await;
        send(db, in_run(new_event("done", Value::Null), "d", "s")).await;
        send(db, in_run(new_event("done", Value::Null), "d", "s")).await;
        engine.round(Utc::now()).await.unwrap();
        assert_eq!(texts(db, "SELECT state AS t FROM dag_run ORDER BY run_id").await, ["running", "success"]);
        let told = "SELECT reason AS t FROM slipstream_firing";
        assert_eq!(texts(db, told).await, ["ended as success: s"]);
    });
}

#[test]
fn what_airflow_does_itself_is_told_once_and_triggers() {
    on_each_database(async |db| {
        let on_success = json!({"event": {"namespace": "airflow", "key": "up.t", "type": "airflow.task_instance.success"}});
        dag(db, "down", &[json!({"version": 1, "on": on_success, "do": {"run": {}}})], &[("x", vec![])])
            .await;
        dag(db, "up", &[], &[("t", vec![])]).await;
        let mut engine = engine(db);
        running(db, "up", "before", &[("t", TaskState::Success)]).await;
        engine.round(Utc::now()).await.unwrap();
        running(db, "up", "r", &[("t", TaskState::Queued)]).await;
        engine.round(Utc::now()).await.unwrap();
        let done =
            "UPDATE task_instance SET state = 'success', start_date = ?, updated_at = ? WHERE run_id = 'r'";
        db.exec(db.sql(done).bind(Utc::now()).bind(Utc::now())).await.unwrap();
        end(db, "r", "success").await;
        engine.round(Utc::now()).await.unwrap();
        engine.round(Utc::now()).await.unwrap();
        let types = "SELECT type AS t FROM slipstream_event WHERE key = 'up.t' ORDER BY position";
        let expected = ["queued", "running", "success"].map(|state| format!("airflow.task_instance.{state}"));
        assert_eq!(texts(db, types).await, expected);
        assert_eq!(number(db, "SELECT count(*) AS n FROM dag_run WHERE dag_id = 'down'").await, 1);
    });
}

#[test]
fn the_states_of_copies_say_how_many_others_are_still_to_come() {
    on_each_database(async |db| {
        let all =
            json!({"task_state": {"task_id": "m", "states": ["success"], "where": "data.remaining == 0"}});
        let all = json!({"version": 1, "on": all, "do": {"start": {"when_running": "queue"}}});
        dag(db, "d", &[], &[("m", vec![]), ("t", vec![all])]).await;
        let mut engine = engine(db);
        engine.round(Utc::now()).await.unwrap();
        running(db, "d", "r", &[]).await;
        for map_index in 0..4 {
            let ti = NewTi { map_index: MapIndex(map_index), ..NewTi::new("d", "r", "m") };
            ti.state(TaskState::Running).insert(db).await;
        }
        engine.round(Utc::now()).await.unwrap();
        let ends = async |copies: &str| {
            let sql = format!(
                "UPDATE task_instance SET state = 'success', start_date = ?, updated_at = ? WHERE map_index IN ({copies})"
            );
            db.exec(db.sql(&sql).bind(Utc::now()).bind(Utc::now())).await.unwrap();
        };
        let removed = "UPDATE task_instance SET state = 'removed' WHERE map_index = 3";
        db.exec(db.sql(removed)).await.unwrap();
        for (copies, commands) in [("0", 0), ("1, 2", 1)] {
            ends(copies).await;
            engine.round(Utc::now()).await.unwrap();
            assert_eq!(texts(db, COMMANDS).await.len(), commands, "{copies}");
        }
        let remaining = "SELECT data->>'remaining' AS n FROM slipstream_event \
                         WHERE type = 'airflow.task_instance.success' ORDER BY position";
        let remaining = remaining.replace("data->>'remaining'", "CAST(data->>'remaining' AS integer)");
        let remaining: Vec<i64> =
            db.all(db.sql(&remaining)).await.unwrap().iter().map(|row| row.int("n").unwrap()).collect();
        assert_eq!(remaining, [2, 1, 0]);
    });
}

#[test]
fn a_run_that_was_queued_for_a_moment_only_is_told_to_have_been() {
    on_each_database(async |db| {
        let queued = json!({"version": 1, "on": {"run_state": {"dag_id": "up", "states": ["queued"]}}, "do": {"run": {}}});
        dag(db, "down", &[queued], &[("x", vec![])]).await;
        dag(db, "up", &[], &[("t", vec![])]).await;
        let mut engine = engine(db);
        engine.round(Utc::now()).await.unwrap();
        let made = "SELECT count(*) AS n FROM dag_run WHERE dag_id = 'down'";
        running(db, "up", "r", &[]).await;
        let queued = async |after: i64| {
            let sql =
                "UPDATE dag_run SET queued_at = ?, updated_at = ?, state = 'running' WHERE run_id = 'r'";
            let at = Utc::now() + TimeDelta::seconds(after);
            db.exec(db.sql(sql).bind(at).bind(at)).await.unwrap();
        };
        queued(0).await;
        engine.round(Utc::now()).await.unwrap();
        engine.round(Utc::now()).await.unwrap();
        assert_eq!(number(db, made).await, 1);
        // It ends, and is cleared and starts again before anyone looks.
        end(db, "r", "success").await;
        engine.round(Utc::now()).await.unwrap();
        queued(1).await;
        engine.round(Utc::now()).await.unwrap();
        engine.round(Utc::now()).await.unwrap();
        assert_eq!(number(db, made).await, 2);
    });
}

#[test]
fn a_dag_is_watched_until_no_trigger_waits_for_it() {
    on_each_database(async |db| {
        let on_task = |key: &str| json!({"version": 1, "on": {"event": {"namespace": "airflow", "key": key}}, "do": {"run": {}}});
        dag(db, "down", &[on_task("up.t"), on_task("other.t")], &[("x", vec![])]).await;
        dag(db, "up", &[], &[("t", vec![])]).await;
        dag(db, "other", &[], &[("t", vec![])]).await;
        let mut engine = engine(db);
        engine.round(Utc::now()).await.unwrap();
        engine.maintain(Utc::now()).await.unwrap();
        let watched = "SELECT dag_id AS t FROM slipstream_observed WHERE run_id = '' ORDER BY dag_id";
        assert_eq!(texts(db, watched).await, ["other", "up"]);

        let gone = "DELETE FROM slipstream_trigger WHERE CAST(spec AS text) LIKE '%up.t%'";
        db.exec(db.sql(gone)).await.unwrap();
        db.exec(db.sql("UPDATE slipstream_cursor SET position = position + 1 WHERE name = 'registry'"))
            .await
            .unwrap();
        engine.maintain(Utc::now()).await.unwrap();
        assert_eq!(texts(db, watched).await, ["other"]);
    });
}

#[test]
fn changes_of_the_dags_that_an_option_names_are_told_once_without_any_trigger() {
    on_each_database(async |db| {
        dag(db, "team_a", &[], &[("t", vec![])]).await;
        dag(db, "other", &[], &[("t", vec![])]).await;
        for (told, keys) in
            [("team_*", vec!["team_a", "team_a.t"]), ("*", vec!["other", "other.t", "team_a", "team_a.t"])]
        {
            let mut engine = engine(db).telling(vec![told.into()]);
            engine.round(Utc::now()).await.unwrap();
            let begin = number(db, "SELECT COALESCE(max(position), 0) AS n FROM slipstream_event").await;
            let run_id = format!("r-{}", keys.len());
            for dag_id in ["team_a", "other"] {
                running(db, dag_id, &run_id, &[("t", TaskState::Running)]).await;
            }
            for _ in 0..2 {
                engine.round(Utc::now()).await.unwrap();
            }
            let told = format!("SELECT key AS t FROM slipstream_event WHERE position > {begin} ORDER BY key");
            assert_eq!(texts(db, &told).await, keys);
            end(db, &run_id, "success").await;
            for _ in 0..2 {
                engine.round(Utc::now()).await.unwrap();
            }
            let ended =
                format!("{told} AND type = 'airflow.dag_run.success'").replace("ORDER BY key AND", "AND");
            assert_eq!(texts(db, &ended).await.len(), keys.len() / 2);
        }
    });
}

#[test]
fn a_failure_that_nobody_reported_starts_what_waits_for_it() {
    on_each_database(async |db| {
        let on_failure = json!({"version": 1, "on": {"task_state": {"task_id": "t", "states": ["failed"]}}, "do": {"start": {}}});
        dag(db, "d", &[], &[("t", vec![]), ("alarm", vec![on_failure])]).await;
        let mut engine = engine(db);
        engine.round(Utc::now()).await.unwrap();
        running(db, "d", "r", &[("t", TaskState::Running)]).await;
        engine.round(Utc::now()).await.unwrap();
        // As whoever finds a lost heartbeat or a start that was refused leaves the row.
        let failed = "UPDATE task_instance SET state = 'failed', start_date = ?, updated_at = ?";
        db.exec(db.sql(failed).bind(Utc::now()).bind(Utc::now())).await.unwrap();
        for _ in 0..2 {
            engine.round(Utc::now()).await.unwrap();
        }
        assert_eq!(texts(db, "SELECT task_id AS t FROM slipstream_command").await, ["alarm"]);
    });
}

#[test]
fn one_event_stops_what_never_ran_and_starts_another() {
    on_each_database(async |db| {
        let stop = json!({"version": 1, "on": on("go"), "do": {"stop": {"mark": "success"}}});
        dag(db, "d", &[], &[("never", vec![stop]), ("next", vec![start_on("go")])]).await;
        let mut engine = engine(db);
        engine.round(Utc::now()).await.unwrap();
        running(db, "d", "r", &[]).await;
        send(db, new_event("go", Value::Null)).await;
        engine.round(Utc::now()).await.unwrap();
        let commands = "SELECT task_id || ' ' || action AS t FROM slipstream_command ORDER BY task_id";
        assert_eq!(texts(db, commands).await, ["never stop", "next start"]);
    });
}

#[test]
fn a_paused_trigger_does_not_fire_and_can_be_deleted() {
    on_each_database(async |db| {
        dag(db, "d", &[], &[("t", vec![])]).await;
        let mut engine = engine(db);
        let (name, spec) = ("mine".to_owned(), run_on("drift"));
        let new = NewExternal { name, dag_id: "d".into(), task_id: None, spec };
        triggers::add(db, &new, Utc::now()).await.unwrap();
        assert!(triggers::add(db, &new, Utc::now()).await.is_err(), "the name is taken");
        engine.round(Utc::now()).await.unwrap();
        triggers::pause(db, "mine", Utc::now()).await.unwrap();
        send(db, new_event("drift", Value::Null)).await;
        engine.round(Utc::now()).await.unwrap();
        assert_eq!(runs(db).await, 0);
        triggers::resume(db, "mine", Utc::now()).await.unwrap();
        engine.round(Utc::now()).await.unwrap();
        assert_eq!(runs(db).await, 0, "what passed by is not made up for");
        send(db, new_event("drift", Value::Null)).await;
        engine.round(Utc::now()).await.unwrap();
        assert_eq!(runs(db).await, 1);
        let lines = triggers::explain(db, &About::Event(Position(1)), Utc::now()).await.unwrap();
        assert!(lines.iter().any(|line| line.contains("mine")), "{lines:?}");

        // The event that it missed is replayed on request, once.
        let stretch = (Position(1), Position(9));
        for (mode, expected) in [(Mode::None, 1), (Mode::Real, 2), (Mode::Real, 2)] {
            triggers::replay(&mut engine, "mine", stretch, mode, Utc::now()).await.unwrap();
            assert_eq!(runs(db).await, expected);
        }
        triggers::pause(db, "mine", Utc::now()).await.unwrap();
        triggers::delete(db, "mine").await.unwrap();
        send(db, new_event("drift", Value::Null)).await;
        engine.round(Utc::now()).await.unwrap();
        assert_eq!(runs(db).await, 2);
    });
}

/// The statements by which the engine takes so many events together, each about a thing of its own.
async fn taken(db: &Db, engine: &mut super::Engine, key: &str, events: i64) -> Vec<String> {
    for n in 0..events {
        send(db, new_event(key, json!({"n": n}))).await;
    }
    recorder::of(async { engine.catch_up(Utc::now()).await.unwrap() }).await
}

#[test]
fn many_events_at_once_take_as_many_statements_as_one_and_hardly_any_other_texts() {
    on_each_database(async |db| {
        let apart = json!({"by": {"field": "data.n", "of": {"count": {"of": on("counted"), "n": 1000}}}});
        let count = json!({"version": 1, "on": apart, "do": {"run": {}}});
        dag(db, "d", &[count, run_on("drift")], &[("t", vec![])]).await;
        let mut engine = engine(db);
        engine.round(Utc::now()).await.unwrap();
        let one = taken(db, &mut engine, "counted", 1).await;
        let mut texts: std::collections::BTreeSet<String> = one.iter().cloned().collect();
        let known = texts.len();
        for events in 2..=20 {
            let some = taken(db, &mut engine, "counted", events).await;
            assert_eq!(some.len(), one.len(), "{events} events");
            texts.extend(some);
        }
        assert!(texts.len() <= known + 5, "one text for each power of two: {texts:#?}");

        let one = taken(db, &mut engine, "drift", 1).await.len();
        assert_eq!(taken(db, &mut engine, "drift", 30).await.len(), one, "runs are made together");
    });
}

#[test]
fn a_crash_between_any_two_statements_loses_and_doubles_nothing() {
    on_each_database(async |db| {
        dag(db, "d", &[run_on("go")], &[("t", vec![start_on("go")]), ("u", vec![start_on("go")])]).await;
        let mut first_engine = engine(db);
        first_engine.round(Utc::now()).await.unwrap();
        running(db, "d", "r", &[]).await;
        for (statements, sent) in (0..200).zip(1_i64..) {
            send(db, new_event("go", Value::Null)).await;
            let mut killed = engine(db);
            failpoint::after(statements);
            let done = killed.round(Utc::now()).await;
            let was_cut = failpoint::off();
            assert_eq!(done.is_err(), was_cut);
            engine(db).round(Utc::now()).await.unwrap();
            assert_eq!(number(db, "SELECT count(*) AS n FROM dag_run WHERE run_id <> 'r'").await, sent);
            let commands = "SELECT count(*) AS n FROM slipstream_command WHERE run_id = 'r'";
            assert_eq!(number(db, commands).await, 2 * sent, "after {statements} statements");
            // Runs that triggers made must not pile up here.
            db.exec(db.sql("UPDATE dag_run SET state = 'success' WHERE run_id <> 'r'")).await.unwrap();
            if !was_cut {
                return;
            }
        }
        panic!("a round takes more than 200 statements");
    });
}

#[test]
fn a_clock_ticks_through_the_log() {
    on_each_database(async |db| {
        let tick = json!({"version": 1, "on": {"tick": {"interval": 60}}, "do": {"run": {}}});
        dag(db, "d", &[tick], &[("t", vec![])]).await;
        let mut engine = engine(db);
        let begin = Utc::now();
        for (seconds, expected) in [(0, 0), (61, 1), (62, 1), (125, 2)] {
            engine.round(begin + TimeDelta::seconds(seconds)).await.unwrap();
            assert_eq!(runs(db).await, expected, "after {seconds} s");
        }
        let ticks = "SELECT count(*) AS n FROM slipstream_event WHERE type = 'airflow.tick' AND namespace = 'airflow'";
        assert_eq!(number(db, ticks).await, 2);
    });
}

#[test]
fn absence_fires_once_and_is_an_event_of_the_log() {
    on_each_database(async |db| {
        let silence =
            json!({"version": 1, "on": {"none": {"of": on("beat"), "seconds": 600}}, "do": {"run": {}}});
        dag(db, "d", &[silence], &[("t", vec![])]).await;
        let mut engine = engine(db);
        let begin = Utc::now();
        engine.round(begin).await.unwrap();
        let later = begin + TimeDelta::seconds(500);
        send(db, NewEvent { time: later, ..new_event("beat", Value::Null) }).await;
        for (seconds, expected) in [(500, 0), (700, 0), (1101, 1), (1102, 1)] {
            engine.round(begin + TimeDelta::seconds(seconds)).await.unwrap();
            assert_eq!(runs(db).await, expected, "after {seconds} s");
        }
        let timers = "SELECT count(*) AS n FROM slipstream_event e JOIN slipstream_firing f ON f.position = e.position \
                      WHERE e.type = 'airflow.timer'";
        assert_eq!(number(db, timers).await, 1);
    });
}

#[test]
fn a_task_in_a_run_has_a_clock_of_its_own() {
    on_each_database(async |db| {
        let tick = json!({"version": 1, "on": {"tick": {"interval": 60}}, "do": {"start": {}}});
        dag(db, "d", &[], &[("t", vec![tick])]).await;
        let mut engine = engine(db);
        let begin = Utc::now();
        engine.round(begin).await.unwrap();
        running(db, "d", "one", &[]).await;
        engine.adopt_new_runs(begin).await.unwrap();
        for seconds in [61, 62, 125] {
            engine.round(begin + TimeDelta::seconds(seconds)).await.unwrap();
        }
        assert_eq!(texts(db, COMMANDS).await, ["one", "one"]);
        end(db, "one", "success").await;
        engine.round(begin + TimeDelta::seconds(300)).await.unwrap();
        assert_eq!(texts(db, COMMANDS).await.len(), 2);
    });
}

#[test]
fn a_run_that_an_event_made_has_clocks_of_its_own_and_sees_events_from_its_own_on() {
    on_each_database(async |db| {
        let tick = json!({"version": 1, "on": {"tick": {"interval": 60}}, "do": {"start": {}}});
        let silent = json!({"version": 1, "on": {"none": {"of": on("beat"), "seconds": 90}}, "do": {"stop": {"mark": "failed"}}});
        dag(db, "d", &[run_on("make")], &[("t", vec![tick]), ("u", vec![silent, start_on("make")])]).await;
        let mut engine = engine(db);
        let begin = Utc::now();
        engine.round(begin).await.unwrap();
        send(db, new_event("make", Value::Null)).await;
        engine.round(begin).await.unwrap();
        engine.adopt_new_runs(begin).await.unwrap();
        assert_eq!(runs(db).await, 1);
        let commands = "SELECT task_id || ' ' || action AS t FROM slipstream_command ORDER BY id";
        let mut expected = Vec::new();
        for (seconds, told) in
            [(50, None), (61, Some("t start")), (95, Some("u stop")), (125, Some("t start"))]
        {
            engine.round(begin + TimeDelta::seconds(seconds)).await.unwrap();
            expected.extend(told);
            assert_eq!(texts(db, commands).await, expected, "after {seconds} s");
        }
    });
}

#[test]
fn a_run_that_is_met_while_an_event_is_parked_has_its_clocks_all_the_same() {
    on_each_database(async |db| {
        let tick = json!({"version": 1, "on": {"tick": {"interval": 60}}, "do": {"start": {}}});
        dag(db, "d", &[], &[("t", vec![tick]), ("u", vec![start_on("go")])]).await;
        let mut engine = engine(db);
        let begin = Utc::now();
        engine.round(begin).await.unwrap();
        running(db, "d", "one", &[]).await;
        send(db, new_event("go", Value::Null)).await;
        engine.evaluate_some(1, Care::Apart, Some("the database refuses it"), begin).await.unwrap();
        engine.adopt_new_runs(begin).await.unwrap();
        assert_eq!(number(db, "SELECT count(*) AS n FROM slipstream_dead_letter").await, 1);
        engine.round(begin + TimeDelta::seconds(61)).await.unwrap();
        assert_eq!(texts(db, "SELECT task_id AS t FROM slipstream_command").await, ["t"]);
    });
}

#[test]
fn the_clock_of_a_periodic_task_ends_when_the_task_is_stopped() {
    on_each_database(async |db| {
        let tick = |name: &str| json!({"version": 1, "name": name, "on": {"tick": {"interval": 60}}, "do": {"start": {}}});
        dag(db, "d", &[], &[("p", vec![tick("periodic")]), ("t", vec![tick("other")])]).await;
        let mut engine = engine(db);
        let begin = Utc::now();
        engine.round(begin).await.unwrap();
        running(db, "d", "one", &[]).await;
        engine.adopt_new_runs(begin).await.unwrap();
        for task in ["p", "t"] {
            let stop = commands::NewCommand {
                firing_id: uuid::Uuid::now_v7(),
                dag_id: "d".into(),
                run_id: "one".into(),
                task_id: task.into(),
                action: commands::Action::Stop,
                options: json!({"stop": {"mark": "skipped"}}),
            };
            commands::insert(db, &[stop], begin).await.unwrap();
        }
        db.exec(db.sql("UPDATE slipstream_command SET status = 'done'")).await.unwrap();
        for seconds in [61, 122] {
            engine.round(begin + TimeDelta::seconds(seconds)).await.unwrap();
            // As when another trigger is added.
            engine.arm_all(begin + TimeDelta::seconds(seconds)).await.unwrap();
        }
        let ticked =
            "SELECT DISTINCT data->>'trigger' AS t FROM slipstream_event WHERE type = 'airflow.tick'";
        assert_eq!(texts(db, ticked).await, ["d.t:other"], "a stop of an ordinary task ends no clock");
        let starts = "SELECT task_id AS t FROM slipstream_command WHERE action = 'start'";
        assert_eq!(texts(db, starts).await, ["t", "t"]);
    });
}

#[test]
fn events_that_fire_together_are_kept_over_a_restart() {
    on_each_database(async |db| {
        let shards = json!({"version": 1, "on": {"by": {"field": "data.version", "of": {"count": {"of": on("shard"), "n": 3, "distinct": "data.shard"}}}}, "do": {"run": {}}});
        dag(db, "d", &[shards], &[("t", vec![])]).await;
        engine(db).round(Utc::now()).await.unwrap();
        for (version, shard) in [(1, 0), (2, 0), (1, 1), (1, 1), (2, 1), (1, 2)] {
            send(db, new_event("shard", json!({"version": version, "shard": shard}))).await;
            engine(db).round(Utc::now()).await.unwrap();
        }
        assert_eq!(runs(db).await, 1);
        let conf = first(db, "SELECT conf FROM dag_run").await.json("conf").unwrap();
        let events = conf["triggering_events"].as_array().unwrap();
        assert!(events.iter().all(|event| event["data"]["version"] == 1), "{conf}");
        assert_eq!(events.last().unwrap()["position"], 6);
        assert_eq!(texts(db, "SELECT correlation AS t FROM slipstream_firing").await, ["1"]);
    });
}

#[test]
fn what_the_database_refuses_holds_up_nothing_else() {
    on_each_database(async |db| {
        let by = json!({"version": 1, "name": "by", "on": {"by": {"field": "data.text", "of": on("text")}}, "do": {"run": {}}});
        dag(db, "d", &[by], &[("t", vec![])]).await;
        dag(db, "e", &[run_on("text")], &[("t", vec![])]).await;
        let mut engine = engine(db);
        engine.round(Utc::now()).await.unwrap();
        // PostgreSQL has no zero character: neither in the memory's key nor in a run's conf.
        for text in ["good", "bad\0", "better"] {
            send(db, new_event("text", json!({"text": text}))).await;
        }
        engine.round(Utc::now()).await.unwrap();
        let cursor = "SELECT position AS n FROM slipstream_cursor WHERE name = 'engine'";
        assert_eq!(number(db, cursor).await, 3);
        let good = "SELECT count(*) AS n FROM slipstream_firing WHERE position <> 2 AND status = 'done'";
        assert_eq!(number(db, good).await, 4);
        if db.dialect() == Dialect::Postgres {
            let parked = "SELECT count(*) AS n FROM slipstream_dead_letter WHERE position = 2";
            assert_eq!(number(db, parked).await, 2);
        }
    });
}
