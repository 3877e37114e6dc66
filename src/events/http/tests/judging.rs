//! Triggers and parked events, as a person handles them.

use super::*;

#[test]
fn a_trigger_that_is_left_out_says_why() {
    testing::on_sqlite(async |db| {
        let server = Server::start(db, &[]).await;
        testing::dag(db, "d").await;
        let spec = json!({"version": 1, "on": {"event": {"key": "k"}}, "do": {"run": {}}});
        let new = json!({"name": "mine", "dag_id": "d", "spec": spec}).to_string();
        let json = [("content-type", "application/json")];
        let (_, answer) = server.call(Method::POST, "/triggers", &json, &new).await;
        assert_eq!(answer["left_out"], Value::Null);
        let bad = spec.to_string().replace("\"key\":\"k\"", "\"where\":\"data.a >\"");
        assert!(
            server
                .call(Method::POST, "/triggers", &json, &new.replace("\"k\"", "\"*k*\""))
                .await
                .1
                .to_string()
                .contains("before the end")
        );
        db.exec(db.sql("UPDATE slipstream_trigger SET spec = ?").bind(bad)).await.unwrap();
        let answer = server.get("/triggers").await;
        assert!(answer["triggers"][0]["left_out"].as_str().unwrap().contains("no CEL"), "{answer}");
    });
}

#[test]
fn triggers_are_added_paused_explained_and_deleted() {
    testing::on_each_database(async |db| {
        let server = Server::start(db, &[]).await;
        testing::dag(db, "d").await;
        let spec = json!({"version": 1, "on": {"event": {"key": "k"}}, "do": {"run": {}}});
        let new = json!({"name": "mine", "dag_id": "d", "spec": spec}).to_string();
        let json = [("content-type", "application/json")];
        let (status, answer) = server.call(Method::POST, "/triggers", &json, &new).await;
        assert_eq!((status, &answer["status"]), (StatusCode::CREATED, &json!("active")), "{answer}");
        let (status, answer) = server.call(Method::POST, "/triggers", &json, &new).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{answer}");
        let wrong = new.replace("\"do\"", "\"doo\"");
        let (status, answer) = server.call(Method::POST, "/triggers", &json, &wrong).await;
        assert!(status == StatusCode::BAD_REQUEST && answer.to_string().contains("doo"), "{answer}");
        let (_, answer) = server.call(Method::POST, "/triggers/mine/pause", &[], "").await;
        assert_eq!(answer["status"], "paused");
        server.send(&json!({"type": "t", "subject": "k"})).await;
        let told = server.get("/triggers/explain?event=1").await;
        assert!(told.to_string().contains("mine: it is paused"), "{told}");
        let tries = r#"{"positions": [1]}"#;
        let (_, answer) = server.call(Method::POST, "/triggers/mine/test", &json, tries).await;
        assert_eq!(answer["events"][0]["verdict"], "fired", "{answer}");
        let (_, answer) = server.call(Method::POST, "/triggers/mine/resume", &[], "").await;
        assert_eq!(answer["from_position"], 1);
        let (status, _) = server.call(Method::DELETE, "/triggers/mine", &[], "").await;
        assert_eq!(status, StatusCode::NO_CONTENT);
        let (status, _) = server.call(Method::GET, "/triggers/mine", &[], "").await;
        assert_eq!(status, StatusCode::NOT_FOUND);
        assert_eq!(server.get("/triggers").await, json!({"triggers": []}));
    });
}

#[test]
fn parked_events_are_listed_tried_again_and_skipped() {
    testing::on_each_database(async |db| {
        let server = Server::start(db, &[]).await;
        testing::dag(db, "d").await;
        let spec = json!({"version": 1, "on": {"event": {"key": "k"}}, "do": {"run": {}}});
        let new = json!({"name": "mine", "dag_id": "d", "spec": spec}).to_string();
        let json = [("content-type", "application/json")];
        server.call(Method::POST, "/triggers", &json, &new).await;
        let timetable = json!({"__type": "airflow.timetables.simple.NullTimetable", "__var": {}});
        let dag = json!({"dag_id": "d", "tasks": [], "timetable": timetable, "timezone": "UTC"});
        testing::serialized_dag(db, "d", dag).await;
        let trigger = registry::named(db, "mine").await.unwrap().id;
        for (position, subject) in [(1, "k"), (2, "other")] {
            server.send(&json!({"type": "t", "subject": subject})).await;
            dead_letters::park(db, trigger, "", Position(position), "no such field", at(0)).await.unwrap();
        }
        // The engine of this scheduler has come so far.
        let cursor = "INSERT INTO slipstream_cursor (name, position) VALUES ('engine', 2) \
             ON CONFLICT (name) DO UPDATE SET position = 2";
        db.exec(db.sql(cursor)).await.unwrap();
        let parked = server.get("/triggers/mine/letters").await;
        assert_eq!(parked["letters"][0]["error"], "no such field", "{parked}");

        let one = r#"{"position": 1}"#;
        let (status, answer) = server.call(Method::POST, "/triggers/mine/retry", &json, one).await;
        assert_eq!((status, answer), (StatusCode::OK, json!({"tried": 1})));
        let firings = db.sql("SELECT count(*) AS n FROM slipstream_firing WHERE position = 1");
        assert_eq!(db.one(firings).await.unwrap().unwrap().int("n").unwrap(), 1);
        let (_, answer) = server.call(Method::POST, "/triggers/mine/skip", &json, "{}").await;
        assert_eq!(answer, json!({"skipped": 1}));
        assert_eq!(server.get("/triggers/mine/letters").await, json!({"letters": []}));
        let (status, answer) = server.call(Method::POST, "/triggers/nobody/retry", &json, "{}").await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{answer}");
    });
}
