//! Firings that wait for others, or are skipped.

use super::*;

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
