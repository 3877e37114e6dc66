//! What was decided of task instances and of runs that are there.

use super::*;

#[test]
fn nothing_is_written_and_nothing_could_be() {
    on_each_database_and_reader(async |db, reader| {
        chain(db).await;
        timed(db, "daily", at(0)).await;
        let before = content(db).await;
        let mut watcher = watcher(reader);
        for seconds in 0..3 {
            look(&mut watcher, seconds).await;
        }
        assert!(content(db).await == before);
        for statement in [
            "UPDATE dag_run SET state = 'failed'",
            "DELETE FROM task_instance",
            "INSERT INTO job (job_type) VALUES ('SchedulerJob')",
            "CREATE TABLE slipstream_x (a int)",
        ] {
            assert!(reader.exec(reader.sql(statement)).await.is_err(), "{statement}");
            let tx = reader.begin().await.unwrap();
            assert!(tx.exec(tx.sql(statement)).await.is_err(), "{statement}");
        }
        assert!(content(db).await == before);
    });
}

#[test]
fn a_connection_that_could_write_is_refused() {
    on_each_database_and_reader(async |db, _| {
        let options = ShadowOptions { window: Duration::ZERO, length: None, pace: Duration::ZERO };
        assert!(Watcher::new(db.clone(), &Config::from_pairs(&[]).unwrap(), options).is_err());
    });
}

#[test]
fn a_look_waits_for_no_lock_and_takes_none() {
    on_each_database_and_reader(async |db, reader| {
        chain(db).await;
        let other = db.begin().await.unwrap();
        other.exec(other.sql("UPDATE dag_run SET state = 'running'")).await.unwrap();
        let mut watcher = watcher(reader);
        look(&mut watcher, 0).await;
        other.rollback().await.unwrap();
        assert_eq!(watcher.summary().open, 1, "`a` is foreseen");
    });
}

#[test]
fn a_scheduler_that_decides_as_we_do_agrees_to_the_end() {
    on_each_database_and_reader(async |db, reader| {
        chain(db).await;
        let mut watcher = watcher(reader);
        let mut found = look(&mut watcher, 0).await;
        set(db, "a", "queued", 1).await;
        found.extend(look(&mut watcher, 1).await);
        set(db, "a", "success", 1).await;
        found.extend(look(&mut watcher, 2).await);
        set(db, "b", "success", 1).await;
        found.extend(look(&mut watcher, 3).await);
        end_run(db, "success").await;
        found.extend(look(&mut watcher, 4).await);
        found.extend(wait(&mut watcher, 4).await);
        assert_eq!(found, []);
        let summary = watcher.summary();
        assert_eq!((summary.agreed, summary.open, summary.runs), (3, 0, 1));
    });
}

#[test]
fn what_happened_between_two_looks_agrees_if_it_follows_from_what_is_there_now() {
    on_each_database_and_reader(async |db, reader| {
        chain(db).await;
        set(db, "a", "running", 1).await;
        let mut watcher = watcher(reader);
        look(&mut watcher, 0).await;
        set(db, "a", "success", 1).await;
        set(db, "b", "success", 1).await;
        end_run(db, "success").await;
        assert_eq!(look(&mut watcher, 1).await, []);
        assert_eq!(wait(&mut watcher, 1).await, []);
        let summary = watcher.summary();
        assert_eq!((summary.agreed, summary.open), (2, 0));
    });
}

#[test]
fn a_whole_run_between_two_looks_agrees() {
    on_each_database_and_reader(async |db, reader| {
        let version = dag(db, &[("a", &["b"], json!({})), ("b", &[], json!({}))]).await;
        let mut watcher = watcher(reader);
        look(&mut watcher, 0).await;
        run(db, version, &[waiting("a"), waiting("b")]).await;
        set(db, "a", "failed", 1).await;
        set(db, "b", "upstream_failed", 0).await;
        end_run(db, "failed").await;
        assert_eq!(look(&mut watcher, 1).await, []);
        assert_eq!(wait(&mut watcher, 1).await, []);
        assert_eq!(watcher.summary().agreed, 4, "the start of the run, of `a`, the state of `b`, the end");
    });
}

#[test]
fn what_is_not_done_within_the_window_is_late_and_told_once() {
    on_each_database_and_reader(async |db, reader| {
        chain(db).await;
        let mut watcher = watcher(reader);
        assert_eq!(look(&mut watcher, 0).await, []);
        let found = wait(&mut watcher, 0).await;
        assert_eq!(kinds(&found), [(Kind::Late, Some("a"))]);
        assert_eq!(found[0].theirs, "nothing within 30 s; it is none");
        assert_eq!(look(&mut watcher, 100).await, []);
    });
}

#[test]
fn each_step_of_a_chain_of_empty_tasks_has_the_whole_window() {
    on_each_database_and_reader(async |db, reader| {
        let empty = json!({"_is_empty": true});
        let version = dag(db, &[("a", &["b"], empty.clone()), ("b", &[], empty)]).await;
        run(db, version, &[waiting("a"), waiting("b")]).await;
        let mut watcher = watcher(reader);
        look(&mut watcher, 0).await;
        set(db, "a", "success", 1).await;
        let mut found = look(&mut watcher, 20).await;
        found.extend(look(&mut watcher, 40).await);
        assert_eq!(found, []);
        let late = look(&mut watcher, 51).await;
        assert_eq!(kinds(&late), [(Kind::Late, Some("b"))]);
    });
}

#[test]
fn another_state_than_ours_is_a_difference() {
    on_each_database_and_reader(async |db, reader| {
        chain(db).await;
        let mut watcher = watcher(reader);
        look(&mut watcher, 0).await;
        set(db, "a", "skipped", 0).await;
        assert_eq!(look(&mut watcher, 1).await, [], "facts may still come");
        let found = wait(&mut watcher, 1).await;
        let of_a: Vec<_> = found.iter().filter(|one| one.task_id.as_deref() == Some("a")).collect();
        assert_eq!(of_a.len(), 1);
        assert_eq!(of_a[0].kind, Kind::Otherwise);
        assert_eq!((of_a[0].ours.as_str(), of_a[0].theirs.as_str()), ("schedule it", "set it skipped"));
    });
}

#[test]
fn a_task_that_is_started_too_early_is_a_difference() {
    on_each_database_and_reader(async |db, reader| {
        chain(db).await;
        set(db, "a", "running", 1).await;
        let mut watcher = watcher(reader);
        look(&mut watcher, 0).await;
        set(db, "b", "scheduled", 1).await;
        assert_eq!(look(&mut watcher, 1).await, []);
        assert_eq!(kinds(&wait(&mut watcher, 1).await), [(Kind::Unforeseen, Some("b"))]);
    });
}

#[test]
fn a_skip_that_another_task_asked_for_is_not_the_schedulers() {
    on_each_database_and_reader(async |db, reader| {
        let branch = json!({"_can_skip_downstream": true});
        let version =
            dag(db, &[("a", &["b", "c"], branch), ("b", &[], json!({})), ("c", &[], json!({}))]).await;
        run(db, version, &[waiting("a"), waiting("b"), waiting("c")]).await;
        set(db, "a", "running", 1).await;
        let mut watcher = watcher(reader);
        look(&mut watcher, 0).await;
        let verdict = vec![
            ("dag_run_id", first(db, "SELECT id FROM dag_run").await.int("id").unwrap().into()),
            ("dag_id", "d".into()),
            ("task_id", "a".into()),
            ("run_id", "r".into()),
            ("map_index", MapIndex::UNMAPPED.into()),
            ("key", "skipmixin_key".into()),
            ("value", json!({"followed": ["b"]}).into()),
            ("timestamp", at(0).into()),
        ];
        insert(db, "xcom", verdict).await;
        set(db, "c", "skipped", 0).await;
        assert_eq!(look(&mut watcher, 1).await, []);
        assert_eq!(wait(&mut watcher, 1).await, []);
        assert_eq!(watcher.summary().not_compared, 1);
    });
}

#[test]
fn another_end_of_the_run_is_a_difference() {
    on_each_database_and_reader(async |db, reader| {
        chain(db).await;
        set(db, "a", "success", 1).await;
        set(db, "b", "failed", 1).await;
        let mut watcher = watcher(reader);
        look(&mut watcher, 0).await;
        end_run(db, "success").await;
        look(&mut watcher, 1).await;
        let found = wait(&mut watcher, 1).await;
        assert_eq!(kinds(&found), [(Kind::Otherwise, None)]);
        assert_eq!(
            (found[0].ours.as_str(), found[0].theirs.as_str(), found[0].why.as_str()),
            ("end the run as failed", "ended the run as success", "task_failure")
        );
    });
}

#[test]
fn what_a_person_changed_is_not_held_against_the_scheduler() {
    on_each_database_and_reader(async |db, reader| {
        chain(db).await;
        let mut watcher = watcher(reader);
        look(&mut watcher, 0).await;
        set(db, "a", "success", 0).await;
        let line: Vec<(&str, Param)> = vec![
            ("dttm", at(0).into()),
            ("event", "patch_task_instance".into()),
            ("dag_id", "d".into()),
            ("run_id", "r".into()),
        ];
        insert(db, "log", line).await;
        look(&mut watcher, 1).await;
        set(db, "b", "running", 1).await;
        look(&mut watcher, 7).await;
        assert_eq!(wait(&mut watcher, 7).await, []);
        let summary = watcher.summary();
        assert_eq!((summary.differences(), summary.withdrawn), (0, 1));
    });
}

#[test]
fn what_we_would_do_to_a_run_is_withdrawn_when_its_dag_is_paused() {
    on_each_database_and_reader(async |db, reader| {
        chain(db).await;
        let mut watcher = watcher(reader);
        look(&mut watcher, 0).await;
        db.exec(db.sql("UPDATE dag SET is_paused = true")).await.unwrap();
        look(&mut watcher, 1).await;
        assert_eq!(wait(&mut watcher, 1).await, []);
        assert_eq!(watcher.summary().withdrawn, 1);
    });
}

#[test]
fn a_mapped_task_agrees_with_as_many_copies_as_we_would_make() {
    on_each_database_and_reader(async |db, reader| {
        let expand = json!({"type": "dict-of-lists", "value": {"__type": "dict", "__var": {"x": {"__type": "xcomref", "__var": {"task_id": "a", "key": "return_value"}}}}});
        let mapped = json!({"_is_mapped": true, "_needs_expansion": true, "partial_kwargs": {}, "expand_input": expand, "_expand_input_attr": "expand_input"});
        let version = dag(db, &[("a", &["m"], json!({})), ("m", &[], mapped)]).await;
        run(db, version, &[waiting("a"), waiting("m")]).await;
        set(db, "a", "running", 1).await;
        let mut watcher = watcher(reader);
        look(&mut watcher, 0).await;
        let length = vec![
            ("dag_id", "d".into()),
            ("task_id", "a".into()),
            ("run_id", "r".into()),
            ("map_index", MapIndex::UNMAPPED.into()),
            ("length", 2.into()),
        ];
        insert(db, "task_map", length).await;
        set(db, "a", "success", 1).await;
        db.exec(db.sql(
            "UPDATE task_instance SET map_index = 0, try_number = 1, state = 'scheduled' WHERE task_id = 'm'",
        ))
        .await
        .unwrap();
        NewTi::new("d", "r", "m").copy(1).state(TaskState::Scheduled).insert(db).await;
        assert_eq!(look(&mut watcher, 1).await, []);
        NewTi::new("d", "r", "m").copy(2).insert(db).await;
        set(db, "m", "queued", 1).await;
        look(&mut watcher, 2).await;
        let found = wait(&mut watcher, 2).await;
        let surplus = found.iter().find(|one| one.kind == Kind::Unforeseen).unwrap();
        assert_eq!((surplus.task_id.as_deref(), surplus.map_index), (Some("m"), Some(2)));
    });
}

#[test]
fn a_new_version_that_came_and_was_followed_between_two_looks_agrees() {
    on_each_database_and_reader(async |db, reader| {
        let version = dag(db, &[("a", &[], json!({}))]).await;
        run(db, version, &[waiting("a")]).await;
        set(db, "a", "running", 1).await;
        let mut watcher = watcher(reader);
        look(&mut watcher, 0).await;
        let task = |id: &str| json!({"__type": "operator", "__var": {"task_id": id, "task_type": "T"}});
        let timetable = json!({"__type": "airflow.timetables.simple.NullTimetable", "__var": {}});
        let newer = json!({"dag_id": "d", "tasks": [task("a"), task("c")], "timetable": timetable, "timezone": "UTC"});
        let newer = testing::serialized_dag(db, "d", newer).await;
        NewTi::new("d", "r", "c").insert(db).await;
        db.exec(db.sql("UPDATE task_instance SET dag_version_id = ?").bind(newer)).await.unwrap();
        set(db, "c", "queued", 1).await;
        assert_eq!(look(&mut watcher, 1).await, []);
        assert_eq!(wait(&mut watcher, 1).await, []);
        assert_eq!(watcher.summary().agreed, 1);
    });
}

#[test]
fn a_run_that_starts_beyond_the_limit_of_its_dag_is_a_difference() {
    on_each_database_and_reader(async |db, reader| {
        testing::dag(db, "d").await;
        db.exec(db.sql("UPDATE dag SET max_active_runs = 1")).await.unwrap();
        NewRun::new("d", "r").insert(db).await;
        let queued = NewRun { state: RunState::Queued, logical_date: at(60), ..NewRun::new("d", "next") };
        queued.insert(db).await;
        let mut watcher = watcher(reader);
        assert_eq!(look(&mut watcher, 0).await, []);
        db.exec(db.sql("UPDATE dag_run SET state = 'running' WHERE run_id = 'next'")).await.unwrap();
        let found = look(&mut watcher, 1).await;
        assert_eq!(kinds(&found), [(Kind::Unforeseen, None)]);
        assert_eq!(found[0].run_id.as_deref(), Some("next"));
    });
}
