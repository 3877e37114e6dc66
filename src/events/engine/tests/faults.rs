//! What fails, is cut off, or comes in masses.

use super::*;

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

/// The statements by which the engine takes so many events together, each about a thing of its own.
async fn taken(db: &Db, engine: &mut Engine, key: &str, events: i64) -> Vec<String> {
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
