//! Starts, stops and restarts, and what holds a task or its run back.

use super::*;

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
