//! NATS JetStream, on a real server.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::jetstream::{self, stream};
use chrono::Utc;
use serde_json::{Value, json};
use slipstream_core::event::Position;

use super::config::SourceConfig;
use super::tests::{config, context, data, running, until};
use crate::events::engine::testing::{dag, engine, number, on};
use crate::store::events::{Filter, read};
use crate::store::testing::on_each_database;
use crate::store::{Db, own_tables};

const LIMIT: Duration = Duration::from_secs(20);

/// A server of a test's own.
struct Server {
    process: Child,
    port: u16,
    directory: tempfile::TempDir,
    program: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl Server {
    fn start() -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/nats_server.sh");
        let found = Command::new(script).stderr(Stdio::inherit()).output().unwrap();
        assert!(found.status.success(), "there is no nats-server");
        let program = String::from_utf8(found.stdout).unwrap().trim().to_owned();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let directory = tempfile::tempdir().unwrap();
        let process = Self::run(&program, port, &directory);
        Self { process, port, directory, program }
    }

    fn run(program: &str, port: u16, directory: &tempfile::TempDir) -> Child {
        Command::new(program)
            .args(["--addr", "127.0.0.1", "--port", &port.to_string(), "--user", "me", "--pass", "hidden"])
            .args(["--jetstream", "--store_dir", &directory.path().to_string_lossy()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    }

    /// Kills it; what it stored stays.
    fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    fn start_again(&mut self) {
        self.process = Self::run(&self.program, self.port, &self.directory);
    }

    fn address(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    async fn context(&self) -> jetstream::Context {
        let connecting = async {
            loop {
                let options =
                    async_nats::ConnectOptions::with_user_and_password("me".to_owned(), "hidden".to_owned());
                match options.connect(self.address()).await {
                    Ok(client) => return client,
                    Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
                }
            }
        };
        jetstream::new(tokio::time::timeout(LIMIT, connecting).await.unwrap())
    }

    /// A stream on `s.>`.
    async fn stream(&self, retention: stream::RetentionPolicy) -> jetstream::Context {
        let context = self.context().await;
        let config = stream::Config {
            name: "S".to_owned(),
            subjects: vec!["s.>".to_owned()],
            retention,
            ..stream::Config::default()
        };
        context.create_stream(config).await.unwrap();
        context
    }

    fn source(&self, more: Value) -> SourceConfig {
        let mut fields = json!({"kind": "nats", "servers": self.address(), "stream": "S", "user": "me",
                                "password": "hidden", "start": "earliest"});
        fields.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        config(fields)
    }
}

async fn publish(context: &jetstream::Context, subject: &str, body: &str) {
    let publishing =
        async { context.publish(subject.to_owned(), body.to_owned().into()).await.unwrap().await.unwrap() };
    tokio::time::timeout(LIMIT, publishing).await.unwrap();
}

async fn migrated(db: &Db) {
    own_tables::migrate(db).await.unwrap();
}

#[test]
fn a_nats_message_starts_a_dag_run() {
    on_each_database(async |db| {
        dag(db, "d", &[json!({"version": 1, "on": on("s.hall.7"), "do": {"run": {}}})], &[("t", vec![])])
            .await;
        let mut engine = engine(db);
        engine.round(Utc::now()).await.unwrap();
        let server = Server::start();
        let context_ = server.stream(stream::RetentionPolicy::Limits).await;
        let reading = running(&[server.source(json!({"type": "reading"}))], &context(db));
        publish(&context_, "s.hall.7", r#"{"celsius": 31}"#).await;
        until(db, |row| row.taken == 1).await;
        engine.round(Utc::now()).await.unwrap();
        assert_eq!(number(db, "SELECT count(*) AS n FROM dag_run").await, 1);
        reading.stop(LIMIT).await;
    });
}

#[test]
fn nats_messages_of_every_form_become_events_and_only_of_the_subjects_asked_for() {
    on_each_database(async |db| {
        migrated(db).await;
        let server = Server::start();
        let nats = server.stream(stream::RetentionPolicy::Limits).await;
        publish(&nats, "s.a.1", "1").await;
        publish(&nats, "s.b", "\"not asked for\"").await;
        let headers = |pairs: &[(&str, &str)]| {
            pairs.iter().fold(HeaderMap::new(), |mut map, (name, value)| {
                map.insert(*name, *value);
                map
            })
        };
        let binary =
            [("ce-specversion", "1.0"), ("ce-id", "7"), ("ce-source", "/hall"), ("ce-type", "t%20t")];
        let structured = json!({"specversion": "1.0", "id": "8", "source": "/hall", "type": "t", "subject": "k", "data": 3});
        for (headers, body) in [
            (headers(&binary), "2".to_owned()),
            (headers(&[("content-type", "application/cloudevents+json")]), structured.to_string()),
        ] {
            nats.publish_with_headers("s.a.2", headers, body.into()).await.unwrap().await.unwrap();
        }
        publish(&nats, "s.b", "\"not asked for\"").await;
        let reading =
            running(&[server.source(json!({"subjects": ["s.a.*"], "type": "reading"}))], &context(db));
        // Offsets go on over what is not asked for.
        let row = until(db, |row| row.taken == 3 && row.partitions[0].next_offset == 6).await;
        assert_eq!(row.partitions[0].lag, Some(0));
        reading.stop(LIMIT).await;
        let events = read(db, Position(0), 10, &Filter::default()).await.unwrap();
        let seen: Vec<_> =
            events.iter().map(|event| (&*event.event_type, &*event.key, event.data.clone())).collect();
        assert_eq!(seen, [("reading", "s.a.1", json!(1)), ("t t", "s.a.2", json!(2)), ("t", "k", json!(3))]);
        assert_eq!(
            (&events[0].extensions["natssubject"], &events[0].extensions["natssequence"]),
            (&json!("s.a.1"), &json!(1))
        );

        // Several patterns are looked at here, not by the server.
        publish(&nats, "s.c", "4").await;
        publish(&nats, "s.d", "5").await;
        let reading = running(&[server.source(json!({"subjects": ["s.a.*", "s.d"]}))], &context(db));
        until(db, |row| row.partitions[0].next_offset == 8).await;
        assert_eq!(data(db).await, [1, 2, 3, 5]);
        reading.stop(LIMIT).await;
    });
}

#[test]
fn a_server_that_is_killed_and_two_schedulers_at_once_lose_and_double_nothing() {
    on_each_database(async |db| {
        migrated(db).await;
        let mut server = Server::start();
        let nats = server.stream(stream::RetentionPolicy::Limits).await;
        let mut context = context(db);
        // Leases that are over too soon: they take the source from each other in the middle of their work.
        (context.pace.lease, context.pace.renew) = (Duration::from_millis(100), Duration::from_millis(400));
        let (one, two) =
            (running(&[server.source(json!({}))], &context), running(&[server.source(json!({}))], &context));
        for number in 0..100 {
            publish(&nats, "s.x", &number.to_string()).await;
        }
        server.kill();
        until(db, |row| row.error.is_some()).await;
        server.start_again();
        let nats = server.context().await;
        for number in 100..200 {
            publish(&nats, "s.x", &number.to_string()).await;
        }
        until(db, |row| row.partitions.iter().any(|partition| partition.next_offset == 201)).await;
        one.stop(LIMIT).await;
        two.stop(LIMIT).await;
        assert_eq!(data(db).await, (0..200).map(Value::from).collect::<Vec<_>>());
    });
}

#[test]
fn a_stream_that_is_made_anew_is_read_from_its_beginning() {
    on_each_database(async |db| {
        migrated(db).await;
        let server = Server::start();
        let nats = server.stream(stream::RetentionPolicy::Limits).await;
        let reading = running(&[server.source(json!({}))], &context(db));
        for body in ["1", "2", "3"] {
            publish(&nats, "s.x", body).await;
        }
        until(db, |row| row.taken == 3).await;
        nats.delete_stream("S").await.unwrap();
        until(db, |row| row.error.is_some()).await;
        server.stream(stream::RetentionPolicy::Limits).await;
        publish(&nats, "s.x", "4").await;
        until(db, |row| row.taken == 4 && row.error.is_none()).await;
        assert_eq!(data(db).await, [1, 2, 3, 4]);
        reading.stop(LIMIT).await;
    });
}

#[test]
fn a_stream_that_cannot_be_read_again_and_a_wrong_password_are_refused_without_showing_it() {
    on_each_database(async |db| {
        migrated(db).await;
        let server = Server::start();
        server.stream(stream::RetentionPolicy::WorkQueue).await;
        for (more, why) in [
            (json!({}), "its retention is not `limits`"),
            (json!({"stream": "T"}), "stream `T`"),
            (json!({"password": "wrong-hidden"}), "authorization"),
        ] {
            let reading = running(&[server.source(more)], &context(db));
            let seen = |row: &crate::store::events::sources::SourceRow| {
                row.error.as_ref().is_some_and(|error| error.contains(why))
            };
            let row = until(db, seen).await;
            assert!(!row.error.unwrap().contains("hidden"));
            reading.stop(LIMIT).await;
        }
    });
}
