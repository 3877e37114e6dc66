//! Events come in.

use super::*;

#[test]
fn an_event_comes_in_by_every_mode_of_cloudevents() {
    testing::on_each_database(async |db| {
        let server = Server::start(db, &[]).await;
        let (status, answer) =
            server.post("application/cloudevents+json; charset=utf-8", &event("structured")).await;
        assert_eq!(
            (status, answer),
            (StatusCode::OK, json!({"events": [{"position": 1, "duplicate": false}]}))
        );
        let batch = json!([event("b1"), event("b2"), event("structured")]);
        let (_, answer) = server.post("application/cloudevents-batch+json", &batch).await;
        let positions = json!({"events": [{"position": 2, "duplicate": false}, {"position": 3, "duplicate": false},
            {"position": 1, "duplicate": true}]});
        assert_eq!(answer, positions);
        let headers = [
            ("ce-specversion", "1.0"),
            ("ce-id", "binary"),
            ("ce-source", "/test"),
            ("ce-type", "t"),
            ("ce-subject", "k%C3%BC"),
            ("ce-namespace", "n"),
        ];
        let with = |kind| [&headers[..], &[("content-type", kind)]].concat();
        let (status, _) = server.call(Method::POST, "/events", &with("application/json"), "{\"a\": 1}").await;
        assert_eq!(status, StatusCode::OK);
        let found = server.get("/events/4").await;
        assert_eq!(
            (&found["subject"], &found["namespace"], &found["data"]),
            (&json!("kü"), &json!("n"), &json!({"a": 1}))
        );
        let mut text = with("text/plain");
        text[1].1 = "text";
        server.call(Method::POST, "/events", &text, "hello").await;
        assert_eq!(server.get("/events/5").await["data"], "hello");
        server.send(&json!({"type": "short", "data": 1})).await;
        let found = server.get("/events/6").await;
        assert_eq!(
            (&found["source"], &found["subject"], &found["data"]),
            (&json!("/http"), &json!("short"), &json!(1))
        );
        assert_eq!(server.get("/events/count").await["count"], 6);
    });
}

#[test]
fn a_wrong_request_is_told_what_is_wrong_and_stores_nothing() {
    testing::on_sqlite(async |db| {
        let server = Server::start(db, &[("event_max_bytes", "50"), ("event_max_batch_bytes", "1000")]).await;
        let large = json!({"type": "t", "data": "x".repeat(60)});
        let huge = json!({"type": "t", "data": "x".repeat(3000)});
        let cases = [
            ("application/json", json!({}), 400, "`type` is missing"),
            ("application/json", json!("x"), 400, "must be a JSON object"),
            ("application/cloudevents+json", json!({"type": "t"}), 400, "`specversion` is missing"),
            ("application/cloudevents-batch+json", event("1"), 400, "must be a JSON array"),
            ("application/json", json!([{"type": "t"}, {}]), 400, "event 1 of the batch: attribute `type`"),
            ("text/plain", json!({}), 415, "is no CloudEvent"),
            ("application/cloudevents+xml", json!({}), 415, "is no CloudEvent"),
            ("application/json", json!({"type": "t", "namespace": "airflow"}), 403, "is reserved"),
            (
                "application/json",
                json!({"type": "t", "source": "airflow"}),
                403,
                "source `airflow` is reserved",
            ),
            ("application/json", json!({"type": "t", "source": "/hooks/github"}), 403, "is reserved"),
            ("application/json", json!([{"type": "t", "source": "/sources/orders"}]), 403, "is reserved"),
            ("application/json", json!({"type": "t", "data": {"a": ["\0"]}}), 400, "U+0000"),
            ("application/json", json!({"type": "t", "more": "\0"}), 400, "U+0000"),
            ("application/json", json!({"type": "t", "asseturi": "x://nope"}), 404, "`x://nope`"),
            ("application/json", large, 413, "event_max_bytes allows 50"),
            ("application/json", huge, 413, "event_max_batch_bytes"),
        ];
        for (kind, body, status, why) in cases {
            let (found, answer) = server.post(kind, &body).await;
            let error = answer["error"].as_str().unwrap_or_default();
            assert!(found == status && error.contains(why), "{found} {answer} for {body}");
        }
        for path in [
            "/events?key=*a*b",
            "/events?namespace=a*b",
            "/events?wrong=1",
            "/events?limit=0",
            "/events?after=-1",
            "/events?since=now",
            "/events/x",
        ] {
            let (status, _) = server.call(Method::GET, path, &[], "").await;
            assert_eq!(status, StatusCode::BAD_REQUEST, "{path}");
        }
        assert_eq!(server.call(Method::GET, "/events/1", &[], "").await.0, StatusCode::NOT_FOUND);
        assert_eq!(events::head(db).await.unwrap().0, 0);
    });
}

#[test]
fn every_error_is_json_with_a_sentence() {
    testing::on_sqlite(async |db| {
        let server = Server::start(db, &[]).await;
        let json = [("content-type", "application/json")];
        let kinds =
            [("content-type", "text/plain"), ("ce-subject", "\u{e9}"), ("ce-type", "t"), ("ce-id", "1")];
        type Case<'a> = (Method, &'a str, &'a [(&'a str, &'a str)], &'a str, u16, &'a str);
        let cases: [Case<'_>; 9] = [
            (Method::POST, "/events/subscriptions", &json, "nonsense", 400, "JSON"),
            (Method::POST, "/events/subscriptions", &[], "{}", 415, "application/json"),
            (Method::POST, "/events/subscriptions", &json, "{}", 400, "name"),
            (
                Method::POST,
                "/events/subscriptions",
                &json,
                r#"{"name": "n", "filter": {"key": ["*a*"]}}"#,
                400,
                "`*a*`",
            ),
            (Method::POST, "/events/subscriptions/n/ack", &json, "{}", 400, "position"),
            (Method::GET, "/nothing", &[], "", 404, "/nothing"),
            (Method::GET, "/events/a/b/c", &[], "", 404, "/events/a/b/c"),
            (Method::PUT, "/events", &[], "", 405, "does not answer PUT"),
            (Method::POST, "/events", &kinds, "x", 400, "percent-encode"),
        ];
        for (method, path, headers, body, status, why) in cases {
            let (found, answer) = server.call(method, path, headers, body).await;
            let error = answer["error"].as_str().unwrap_or_default();
            assert!(found == status && error.contains(why), "{path}: {found} {answer}");
        }
    });
}

#[test]
fn eight_senders_at_once_store_all_of_their_events() {
    testing::on_each_database(async |db| {
        let server = Server::start(db, &[]).await;
        let sender = async |sender: usize| {
            for i in 0..50 {
                server.send(&json!({"type": "t", "id": format!("{sender}-{i}"), "source": "/test"})).await;
            }
        };
        tokio::join!(sender(0), sender(1), sender(2), sender(3), sender(4), sender(5), sender(6), sender(7));
        assert_eq!(testing::count(db, "slipstream_event").await, 400);
        assert_eq!(events::head(db).await.unwrap().0, 400);
    });
}

#[test]
fn a_webhook_is_taken_by_its_signature_and_once() {
    testing::on_sqlite(async |db| {
        let hooks = json!({"github": {"secret": "It's a Secret to Everybody", "id_header": "x-github-delivery",
            "type_header": "x-github-event", "namespace": "code"}});
        // No token is good for anything here, and none is needed.
        let options = [("webhooks", &*hooks.to_string()), ("events_without_token", "nobody")];
        let server = Server::start(db, &options).await;
        let body = "{}";
        let sign = |secret: &str| {
            use hmac::{Hmac, KeyInit, Mac};
            let mut mac = Hmac::<sha2::Sha256>::new_from_slice(secret.as_bytes()).unwrap();
            mac.update(body.as_bytes());
            format!("sha256={}", hex::encode(mac.finalize().into_bytes()))
        };
        let deliver = async |name: &str, signature: &str| {
            let headers = [
                ("x-hub-signature-256", signature),
                ("x-github-delivery", "72d3162e"),
                ("x-github-event", "push"),
            ];
            server.call(Method::POST, &format!("/events/hooks/{name}"), &headers, body).await
        };
        assert_eq!(
            deliver("github", &sign("other")).await.0,
            StatusCode::UNAUTHORIZED,
            "signed with another secret"
        );
        let right = sign("It's a Secret to Everybody");
        assert_eq!(deliver("other", &right).await.0, StatusCode::NOT_FOUND);
        let (status, answer) = deliver("github", &right).await;
        assert_eq!(
            (status, answer),
            (StatusCode::OK, json!({"events": [{"position": 1, "duplicate": false}]}))
        );
        let (_, again) = deliver("github", &right).await;
        assert_eq!(again, json!({"events": [{"position": 1, "duplicate": true}]}));
        let event = events::get(db, slipstream_core::event::Position(1)).await.unwrap().unwrap();
        assert_eq!((event.event_type.as_str(), event.namespace.as_str()), ("github.push", "code"));
    });
}
