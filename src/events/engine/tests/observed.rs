//! Airflow's own changes, as events.

use super::*;

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
