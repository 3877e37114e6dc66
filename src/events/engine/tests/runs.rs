//! Runs that events make and end.

use super::*;

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

#[test]
fn what_does_not_exist_is_named() {
    on_each_database(async |db| {
        dag(db, "d", &[], &[("t", vec![])]).await;
        engine(db).round(Utc::now()).await.unwrap();
        running(db, "d", "r", &[("t", TaskState::Running)]).await;
        let start = |task: &str| NewExternal {
            name: task.to_owned(),
            dag_id: "d".into(),
            task_id: Some(task.into()),
            spec: start_on("k"),
        };
        triggers::add(db, &start("t"), Utc::now()).await.unwrap();
        let refused = triggers::add(db, &start("nope"), Utc::now()).await.unwrap_err();
        assert_eq!(refused.to_string(), "the Dag 'd' has no task 'nope'");
        let explain = async |about| triggers::explain(db, &about, Utc::now()).await;
        explain(About::Run("d".into(), "r".into())).await.unwrap();
        explain(About::Run("d".into(), "nope".into())).await.unwrap_err();
        explain(About::Task("d".into(), "t".into(), None)).await.unwrap();
        explain(About::Task("d".into(), "nope".into(), None)).await.unwrap_err();
    });
}
