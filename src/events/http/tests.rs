//! The log over HTTP, as a client sees it: a real server and a real connection.

use std::net::SocketAddr;
use std::time::Duration;

use axum::extract::ConnectInfo;
use axum::http::{Method, Request, StatusCode, header};
use serde_json::{Value, json};
use slipstream_core::event::Position;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::config::Config;
use crate::events::engine::{Asker, Engine};
use crate::events::service::Service;
use crate::events::wake::LogWake;
use crate::runtime::{EventWake, Shutdown};
use crate::store::create_run::RunOptions;
use crate::store::events::tokens::{self, Right};
use crate::store::events::{self, Filter, Match, NewEvent};
use crate::store::runs::run_id::{DoubleDot, RunIdRules};
use crate::store::testing::{self, at};
use crate::store::triggers::{dead_letters, registry};
use crate::store::{Conn, Db, own_tables};

/// A server of the log on a database.
struct Server {
    address: SocketAddr,
    service: Service,
    asker: crate::runtime::Asker,
    serving: JoinHandle<()>,
}

impl Server {
    async fn start(db: &Db, options: &[(&str, &str)]) -> Self {
        own_tables::migrate(db).await.unwrap();
        let options: Vec<_> = options.iter().map(|(name, value)| ("slipstream", *name, *value)).collect();
        let config = Config::from_pairs(&options).unwrap();
        let (asker, shutdown) = Shutdown::by_hand();
        let service = Service::start(&config, db, &LogWake::new(), &shutdown).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router =
            super::router(service.clone(), engine(db)).into_make_service_with_connect_info::<SocketAddr>();
        let serving = tokio::spawn(async move {
            let _ = axum::serve(listener, router).await;
        });
        Self { address, service, asker, serving }
    }

    /// Ends it: nobody is answered any more.
    async fn stop(self) {
        self.asker.ask();
        self.serving.abort();
        let _ = self.serving.await;
    }

    /// One request on a connection of its own.
    async fn call(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> (StatusCode, Value) {
        let mut text = format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n");
        for (name, value) in headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str(&format!("content-length: {}\r\n\r\n{body}", body.len()));
        let mut connection = TcpStream::connect(self.address).await.unwrap();
        // A request that is too large is answered before all of it is read.
        let _ = connection.write_all(text.as_bytes()).await;
        let mut answer = String::new();
        connection.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status: u16 = head.split(' ').nth(1).unwrap().parse().unwrap();
        let value = serde_json::from_str(body).unwrap_or_else(|_| body.into());
        (StatusCode::from_u16(status).unwrap(), value)
    }

    async fn get(&self, path: &str) -> Value {
        let (status, body) = self.call(Method::GET, path, &[], "").await;
        assert_eq!(status, StatusCode::OK, "{path}: {body}");
        body
    }

    async fn post(&self, kind: &str, body: &Value) -> (StatusCode, Value) {
        self.call(Method::POST, "/events", &[("content-type", kind)], &body.to_string()).await
    }

    async fn send(&self, body: &Value) -> Value {
        let (status, answer) = self.post("application/json", body).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        answer
    }
}

/// What judges again, when a person asks for it.
fn engine(db: &Db) -> Engine {
    let run_ids = RunIdRules::new(RunIdRules::DEFAULT_PATTERN, DoubleDot::Refused).unwrap();
    let options = RunOptions { run_ids, unixname: "tests".to_owned() };
    Engine::new(db.clone(), options, LogWake::new(), EventWake::default(), Asker::nobody())
}

fn event(id: &str) -> Value {
    json!({"specversion": "1.0", "id": id, "source": "/test", "type": "t"})
}

fn ids(page: &Value) -> Vec<&str> {
    page["events"].as_array().unwrap().iter().map(|event| event["id"].as_str().unwrap()).collect()
}

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
fn a_token_of_some_namespaces_updates_no_assets() {
    testing::on_sqlite(async |db| {
        own_tables::migrate(db).await.unwrap();
        let mut tokens = Vec::new();
        for namespaces in ["sandbox", "*"] {
            let (to, now) = (Match::list(namespaces), chrono::Utc::now());
            tokens.push(tokens::add(db, namespaces, &to, &[Right::Send], None, now).await.unwrap());
        }
        let server = Server::start(db, &[]).await;
        let update = json!({"type": "t", "namespace": "sandbox", "asseturi": "s3://orders"}).to_string();
        for (token, status, why) in
            [(&tokens[0], 403, "may not update assets"), (&tokens[1], 404, "`s3://orders`")]
        {
            let bearer = format!("Bearer {token}");
            let headers = [("content-type", "application/json"), ("authorization", &*bearer)];
            let (found, answer) = server.call(Method::POST, "/events", &headers, &update).await;
            assert!(found == status && answer.to_string().contains(why), "{found} {answer}");
        }
    });
}

#[test]
fn a_stream_ends_when_its_token_is_removed() {
    testing::on_sqlite(async |db| {
        own_tables::migrate(db).await.unwrap();
        let (all, now) = (Match::list("*"), chrono::Utc::now());
        let token = tokens::add(db, "reader", &all, &[Right::Read], None, now).await.unwrap();
        let server = Server::start(db, &[]).await;
        let bearer = format!("authorization: Bearer {token}\r\n");
        let mut stream = Stream::open_with(&server, "/events/stream?after=0", &bearer).await;
        server.send(&event("1")).await;
        assert_eq!(stream.next().await, (1, "1".to_owned()));
        tokens::remove(db, "reader").await.unwrap();
        // Known within a second.
        for id in 2.. {
            server.send(&event(&id.to_string())).await;
            if stream.next_if_any().await.is_none() {
                break;
            }
        }
    });
}

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

/// A reader of Server-Sent Events.
struct Stream {
    lines: tokio::io::Lines<BufReader<TcpStream>>,
}

impl Stream {
    async fn open(server: &Server, path: &str, last: Option<&str>) -> Self {
        let last = last.map(|last| format!("last-event-id: {last}\r\n")).unwrap_or_default();
        Self::open_with(server, path, &last).await
    }

    async fn open_with(server: &Server, path: &str, headers: &str) -> Self {
        let mut connection = TcpStream::connect(server.address).await.unwrap();
        let text = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{headers}\r\n");
        connection.write_all(text.as_bytes()).await.unwrap();
        let mut lines = BufReader::new(connection).lines();
        // The head is sent when the place in the log is known.
        while !lines.next_line().await.unwrap().unwrap().is_empty() {}
        Self { lines }
    }

    /// Position and id of the next event.
    async fn next(&mut self) -> (i64, String) {
        self.next_if_any().await.unwrap()
    }

    /// The same; nothing when the server ends the stream.
    async fn next_if_any(&mut self) -> Option<(i64, String)> {
        let work = async {
            let mut position = 0;
            loop {
                let line = self.lines.next_line().await.unwrap()?;
                if let Some(id) = line.strip_prefix("id: ") {
                    position = id.parse().unwrap();
                }
                if let Some(data) = line.strip_prefix("data: ") {
                    let event: Value = serde_json::from_str(data).unwrap();
                    assert_eq!(event["position"], position);
                    return Some((position, event["id"].as_str().unwrap().to_owned()));
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(60), work).await.unwrap()
    }
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

#[test]
fn without_a_token_only_this_machine_is_answered() {
    testing::on_sqlite(async |db| {
        let server = Server::start(db, &[]).await;
        let ask = async |peer: &str, headers: &[(&str, &str)]| {
            let mut request = Request::builder().uri("/events");
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            let mut request = request.body(axum::body::Body::empty()).unwrap();
            let peer: SocketAddr = peer.parse().unwrap();
            request.extensions_mut().insert(ConnectInfo(peer));
            let mut router = super::router(server.service.clone(), engine(&server.service.db));
            let answer = tower_service::Service::call(&mut router, request).await.unwrap();
            let challenged = answer.headers().contains_key(header::WWW_AUTHENTICATE);
            assert_eq!(challenged, answer.status() == StatusCode::UNAUTHORIZED);
            answer.status().as_u16()
        };
        assert_eq!(ask("127.0.0.1:9", &[]).await, 200);
        assert_eq!(ask("10.1.2.3:9", &[]).await, 401);
        assert_eq!(ask("127.0.0.1:9", &[("x-forwarded-for", "10.1.2.3")]).await, 401);
        assert_eq!(ask("127.0.0.1:9", &[("origin", "https://evil.example")]).await, 401);
        assert_eq!(ask("127.0.0.1:9", &[("host", "evil.example")]).await, 401);
        assert_eq!(ask("127.0.0.1:9", &[("authorization", "Bearer slipstream_wrong")]).await, 401);
        let all = Match::list("*");
        let token = tokens::add(db, "all", &all, &[Right::Read], None, chrono::Utc::now()).await.unwrap();
        // The server may have asked for the tokens just before.
        let fresh = Server::start(db, &[("events_without_token", "nobody")]).await;
        let bearer = format!("Bearer {token}");
        let call = async |headers: &[(&str, &str)]| fresh.call(Method::GET, "/events", headers, "").await.0;
        assert_eq!(call(&[("authorization", &bearer)]).await, StatusCode::OK);
        assert_eq!(call(&[]).await, StatusCode::UNAUTHORIZED);
    });
}

#[test]
fn a_token_is_good_for_its_namespaces_and_rights_only() {
    testing::on_each_database(async |db| {
        own_tables::migrate(db).await.unwrap();
        let ml = Match::list("ml.*");
        let now = chrono::Utc::now();
        let sends = tokens::add(db, "sends", &ml, &[Right::Send], None, now).await.unwrap();
        let reads = tokens::add(db, "reads", &ml, &[Right::Read], None, now).await.unwrap();
        let server = Server::start(db, &[]).await;
        let kind = ("content-type", "application/json");
        let call = async |token: &str, method, path: &str, body: Value| {
            let bearer = format!("Bearer {token}");
            let headers = [kind, ("authorization", &*bearer)];
            let (status, answer) = server.call(method, path, &headers, &body.to_string()).await;
            (status.as_u16(), answer)
        };
        let to = |namespace: &str| json!({"type": "t", "namespace": namespace});
        assert_eq!(call(&sends, Method::POST, "/events", to("ml.train")).await.0, 200);
        let (status, answer) = call(&sends, Method::POST, "/events", to("web")).await;
        assert_eq!(status, 403);
        assert_eq!(answer["error"], "the token `sends` gives no right to send in namespace `web`");
        let mixed = json!([to("ml.train"), to("web")]);
        assert_eq!(call(&sends, Method::POST, "/events", mixed).await.0, 403);
        assert_eq!(call(&sends, Method::POST, "/events", to("airflow")).await.0, 403);
        assert_eq!(call(&sends, Method::GET, "/events", json!(null)).await.0, 403);
        assert_eq!(call(&reads, Method::POST, "/events", to("ml.train")).await.0, 403);
        server.send(&to("web")).await;
        let (_, page) = call(&reads, Method::GET, "/events", json!(null)).await;
        assert_eq!(page["events"].as_array().unwrap().len(), 1, "what may not be read is not there");
        assert_eq!(call(&reads, Method::GET, "/events?namespace=web", json!(null)).await.0, 403);
        assert_eq!(call(&reads, Method::GET, "/events/2", json!(null)).await.0, 403);
        assert_eq!(call(&reads, Method::GET, "/events/count", json!(null)).await.1["count"], 1);
        let subscribe = json!({"name": "all", "after": 0});
        let (_, made) = call(&reads, Method::POST, "/events/subscriptions", subscribe).await;
        assert_eq!(made["filter"]["namespace"], json!(["ml.*"]));
        events::subscriptions::create(db, "others", &Filter::default(), Default::default(), now)
            .await
            .unwrap();
        let others = "/events/subscriptions/others/events";
        assert_eq!(call(&reads, Method::GET, others, json!(null)).await.0, 403);
        db.exec(db.sql("DELETE FROM slipstream_token")).await.unwrap();
        assert_eq!(
            Server::start(db, &[])
                .await
                .call(Method::GET, "/events", &[("authorization", "Bearer x")], "")
                .await
                .0,
            401
        );
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
