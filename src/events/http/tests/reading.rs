//! Events go out: pages, streams, subscriptions.

use super::*;

#[test]
fn pages_follow_each_other_and_a_long_poll_ends_with_the_next_event() {
    testing::on_each_database(async |db| {
        let server = Server::start(db, &[]).await;
        server.send(&json!([event("1"), event("2"), event("3")])).await;
        let first = server.get("/events?limit=2").await;
        assert_eq!((ids(&first), &first["next"]), (vec!["1", "2"], &json!(2)));
        let second = server.get("/events?after=2&limit=2").await;
        assert_eq!((ids(&second), &second["next"]), (vec!["3"], &json!(3)));
        assert_eq!(server.get("/events?after=3").await, json!({"events": [], "next": 3}));
        let until = server.get("/events?after=0&until=2").await;
        assert_eq!((ids(&until), &until["next"]), (vec!["1", "2"], &json!(2)));
        let poll = server.get("/events?after=3&key=wanted&wait=30");
        let send = async {
            server.send(&json!({"type": "t", "subject": "other"})).await;
            server.send(&json!({"type": "t", "subject": "wanted", "id": "w"})).await;
        };
        let (page, ()) = tokio::join!(poll, send);
        assert_eq!((ids(&page), &page["next"]), (vec!["w"], &json!(5)));
        // Another process appends: nothing here is told.
        let poll = server.get("/events?after=5&wait=30");
        let other = async {
            let tx = db.begin().await.unwrap();
            events::append(&tx, &[events::NewEvent::new("/cli", "x", at(0))], at(0)).await.unwrap();
            tx.commit().await.unwrap();
        };
        let (page, ()) = tokio::join!(poll, other);
        assert_eq!(page["events"][0]["position"], 6);
    });
}

#[test]
fn a_stream_that_is_resumed_misses_nothing() {
    testing::on_each_database(async |db| {
        let server = Server::start(db, &[]).await;
        server.send(&json!([event("1"), event("2"), event("3")])).await;
        let mut stream = Stream::open(&server, "/events/stream?after=0", None).await;
        assert_eq!(stream.next().await, (1, "1".to_owned()));
        assert_eq!(stream.next().await, (2, "2".to_owned()));
        drop(stream);
        let mut stream = Stream::open(&server, "/events/stream", Some("2")).await;
        assert_eq!(stream.next().await, (3, "3".to_owned()));
        server.send(&event("4")).await;
        assert_eq!(stream.next().await, (4, "4".to_owned()));
        let mut fresh = Stream::open(&server, "/events/stream?key=k", None).await;
        server.send(&json!([event("5"), {"type": "t", "subject": "k", "id": "6"}])).await;
        assert_eq!(fresh.next().await, (6, "6".to_owned()), "from now on, and only what is wanted");
        let (status, _) = server.call(Method::GET, "/events/stream", &[("last-event-id", "x")], "").await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
    });
}

#[test]
fn a_reader_that_comes_back_after_a_restart_of_the_server_misses_and_repeats_nothing() {
    testing::on_each_database(async |db| {
        let server = Server::start(db, &[]).await;
        server.send(&json!([event("1"), event("2")])).await;
        let mut stream = Stream::open(&server, "/events/stream?after=0", None).await;
        assert_eq!(stream.next().await, (1, "1".to_owned()));
        server.stop().await;
        let now = chrono::Utc::now();
        crate::events::engine::testing::send(
            db,
            NewEvent { id: "3".to_owned(), ..NewEvent::new("meanwhile", "t", now) },
        )
        .await;
        let server = Server::start(db, &[]).await;
        let mut stream = Stream::open(&server, "/events/stream", Some("1")).await;
        assert_eq!(stream.next().await, (2, "2".to_owned()));
        assert_eq!(stream.next().await, (3, "3".to_owned()));
        server.send(&event("4")).await;
        assert_eq!(stream.next().await, (4, "4".to_owned()));
    });
}

#[test]
fn a_stream_whose_database_connections_are_cut_goes_on_when_it_is_resumed_and_misses_and_repeats_nothing() {
    const EVENTS: i64 = 30;
    testing::block_on(async {
        let Some(postgres) = testing::Postgres::create().await else { return };
        let (db, servers_db) = (postgres.connect().await, postgres.connect_to_be_cut().await);
        let server = Server::start(&servers_db, &[]).await;
        let write = async {
            for n in 1..=EVENTS {
                testing::cut(&db).await;
                // What is not confirmed is sent again.
                while server.post("application/json", &event(&n.to_string())).await.0 != StatusCode::OK {}
            }
        };
        let read = async {
            let mut seen: Vec<i64> = Vec::new();
            while seen.len() < EVENTS as usize {
                let last = seen.last().copied().unwrap_or(0).to_string();
                let (status, _) = server.call(Method::GET, "/events?limit=1", &[], "").await;
                if status != StatusCode::OK {
                    continue;
                }
                let mut stream = Stream::open(&server, "/events/stream", Some(&last)).await;
                while seen.len() < EVENTS as usize
                    && let Some((position, id)) = stream.next_if_any().await
                {
                    assert_eq!(position.to_string(), id, "in the order in which they were confirmed");
                    seen.push(position);
                }
            }
            seen
        };
        let ((), seen) = tokio::join!(write, read);
        assert_eq!(seen, (1..=EVENTS).collect::<Vec<_>>());
        drop(server);
        db.close().await;
        servers_db.close().await;
        postgres.drop().await;
    });
}

#[test]
fn a_subscription_is_read_until_it_is_acknowledged() {
    testing::on_each_database(async |db| {
        let server = Server::start(db, &[]).await;
        let call = async |method, path: &str, body: Value| {
            let kind = [("content-type", "application/json")];
            server.call(method, &format!("/events/subscriptions{path}"), &kind, &body.to_string()).await
        };
        server.send(&json!([event("1"), {"type": "t", "namespace": "n", "id": "2"}])).await;
        let new = json!({"name": "s", "filter": {"namespace": ["n"], "type": ["t*"]}, "after": 0});
        let (status, made) = call(Method::POST, "", new.clone()).await;
        assert_eq!((status.as_u16(), &made["position"]), (201, &json!(0)), "{made}");
        assert_eq!(call(Method::POST, "", new).await.0, StatusCode::CONFLICT);
        let wrong = json!({"name": "x", "filter": {"colour": ["n"]}});
        assert_eq!(call(Method::POST, "", wrong).await.0, StatusCode::BAD_REQUEST);
        let page = server.get("/events/subscriptions/s/events").await;
        assert_eq!(ids(&page), ["2"]);
        assert_eq!(ids(&server.get("/events/subscriptions/s/events").await), ["2"], "again");
        let (_, acked) = call(Method::POST, "/s/ack", json!({"position": 2})).await;
        assert_eq!(acked, json!({"position": 2}));
        assert_eq!(call(Method::POST, "/s/ack", json!({"position": 99})).await.0, StatusCode::BAD_REQUEST);
        let poll = server.get("/events/subscriptions/s/events?wait=30");
        let two = json!([event("3"), {"type": "t2", "namespace": "n", "id": "4"}]);
        let send = server.send(&two);
        let (page, _) = tokio::join!(poll, send);
        assert_eq!(ids(&page), ["4"]);
        let all = server.get("/events/subscriptions").await;
        assert_eq!(all["subscriptions"].as_array().unwrap().len(), 1);
        assert_eq!(call(Method::DELETE, "/s", json!(null)).await.0, StatusCode::NO_CONTENT);
        assert_eq!(call(Method::GET, "/s/events", json!(null)).await.0, StatusCode::NOT_FOUND);
    });
}
