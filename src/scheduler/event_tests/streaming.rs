//! Tasks that run for as long as their run, and those that run at each tick.

use super::*;

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
