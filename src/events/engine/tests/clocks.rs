//! Ticks, silence and clocks inside runs.

use super::*;

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
