//! Commands to tasks inside runs.

use super::*;

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
        let data = json!({"__version": 3, "dag": crate::events::engine::testing::serialized("d", &[], &[("t", vec![start_on("new")])])});
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
