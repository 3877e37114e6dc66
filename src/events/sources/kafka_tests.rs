//! Kafka, on librdkafka's mock cluster: a real client and a real protocol, in this process.

#![allow(clippy::unwrap_used)] // a test that cannot go on has failed

use std::time::Duration;

use chrono::Utc;
use rdkafka::config::ClientConfig;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer};
use serde_json::{Value, json};

use super::config::SourceConfig;
use super::tests::{config, context, data, running, until};
use crate::events::engine::testing::{dag, engine, number, on};
use crate::store::db::failpoint;
use crate::store::events::{Filter, read};
use crate::store::testing::on_each_database;
use crate::store::{Conn, own_tables};
use slipstream_core::event::Position;

const LIMIT: Duration = Duration::from_secs(20);

/// A cluster with a topic, and who sends to it.
struct Cluster {
    mock: MockCluster<'static, DefaultProducerContext>,
    producer: BaseProducer,
}

impl Cluster {
    fn start(partitions: i32) -> Self {
        let mock = MockCluster::new(1).unwrap();
        mock.create_topic("orders", partitions, 1).unwrap();
        let mut client = ClientConfig::new();
        client.set("bootstrap.servers", mock.bootstrap_servers()).set("linger.ms", "0");
        Self { producer: client.create().unwrap(), mock }
    }

    fn send(&self, partition: i32, key: Option<&str>, body: &[u8], headers: &[(&str, &str)]) {
        let headers = headers
            .iter()
            .fold(OwnedHeaders::new(), |all, (key, value)| all.insert(Header { key, value: Some(*value) }));
        let record: BaseRecord<'_, str, [u8]> = BaseRecord {
            key,
            ..BaseRecord::to("orders").partition(partition).payload(body).headers(headers)
        };
        self.producer.send(record).map_err(|(error, _)| error).unwrap();
    }

    /// Waits until the cluster has everything that was sent.
    fn flush(&self) {
        self.producer.flush(LIMIT).unwrap();
    }

    fn source(&self, more: Value) -> SourceConfig {
        let mut fields = json!({"kind": "kafka", "brokers": self.mock.bootstrap_servers(), "topics": ["orders"],
                                "start": "earliest", "options": {"reconnect.backoff.max.ms": 100}});
        fields.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        config(fields)
    }
}

#[test]
fn a_kafka_message_starts_a_dag_run() {
    on_each_database(async |db| {
        dag(db, "d", &[json!({"version": 1, "on": on("A-17"), "do": {"run": {}}})], &[("t", vec![])]).await;
        let mut engine = engine(db);
        engine.round(Utc::now()).await.unwrap();
        let cluster = Cluster::start(2);
        let source = cluster.source(json!({"key": "/order/id", "type": "order.placed", "group": "g"}));
        let reading = running(&[source], &context(db));
        cluster.send(1, Some("k"), br#"{"order": {"id": "A-17"}, "total": 30}"#, &[]);
        until(db, |row| row.taken == 1).await;
        engine.round(Utc::now()).await.unwrap();
        assert_eq!(number(db, "SELECT count(*) AS n FROM dag_run").await, 1);
        let conf = db.one(db.sql("SELECT conf FROM dag_run")).await.unwrap().unwrap().json("conf").unwrap();
        let event = &conf["triggering_events"][0];
        assert_eq!((&event["type"], &event["data"]["total"]), (&json!("order.placed"), &json!(30)));
        let place = &event["extensions"];
        assert_eq!((&place["kafkatopic"], &place["kafkapartition"]), (&json!("orders"), &json!(1)));
        reading.stop(LIMIT).await;
    });
}

#[test]
fn messages_of_every_form_become_events() {
    on_each_database(async |db| {
        own_tables::migrate(db).await.unwrap();
        let cluster = Cluster::start(1);
        cluster.send(0, Some("key"), br#"{"a": 1}"#, &[("x-event", "placed")]);
        cluster.send(0, None, b"plain text", &[]);
        cluster.send(0, Some("\u{1}"), b"\xff\xfe", &[]);
        let binary = [
            ("ce_specversion", "1.0"),
            ("ce_id", "7"),
            ("ce_source", "/shop"),
            ("ce_type", "t%20"),
            ("ce_subject", "s"),
            ("content-type", "application/json"),
        ];
        cluster.send(0, Some("key"), br#"{"b": 2}"#, &binary);
        let structured =
            json!({"specversion": "1.0", "id": "8", "source": "/shop", "type": "t", "data": {"c": 3}});
        let kind = [("content-type", "application/cloudevents+json")];
        cluster.send(0, Some("key"), structured.to_string().as_bytes(), &kind);
        cluster.send(0, Some("gone"), b"", &[]);
        cluster.flush();
        let source = cluster.source(json!({"namespace": "shop", "type": "order", "type_header": "x-event"}));
        let reading = running(&[source], &context(db));
        until(db, |row| row.taken == 6).await;
        let events = read(db, Position(0), 10, &Filter::default()).await.unwrap();
        let seen: Vec<_> = events
            .iter()
            .map(|event| (&*event.event_type, &*event.key, &*event.source, event.data.clone()))
            .collect();
        assert_eq!(
            seen,
            [
                ("order.placed", "key", "/sources/s", json!({"a": 1})),
                ("order", "order", "/sources/s", json!("plain text")),
                ("order", "AQ==", "/sources/s", json!("//4=")),
                ("t%20", "s", "/shop", json!({"b": 2})),
                ("t", "key", "/shop", json!({"c": 3})),
                ("order", "gone", "/sources/s", Value::Null),
            ]
        );
        assert!(events.iter().all(|event| event.namespace == "shop"));
        assert_eq!(events[2].extensions["dataencoding"], "base64");
        assert!(events[0].id.starts_with("orders/0/0@"), "{}", events[0].id);
        reading.stop(LIMIT).await;
    });
}

#[test]
fn two_schedulers_on_one_topic_with_cut_connections_and_a_broker_that_goes_away_store_every_message_once() {
    on_each_database(async |db| {
        own_tables::migrate(db).await.unwrap();
        let cluster = Cluster::start(3);
        let mut context = context(db);
        // Leases that are over too soon: they take the source from each other in the middle of their work.
        (context.pace.lease, context.pace.renew) = (Duration::from_millis(100), Duration::from_millis(400));
        let source = || cluster.source(json!({}));
        let (one, two) = (running(&[source()], &context), running(&[source()], &context));
        for number in 0..300 {
            cluster.send(number % 3, None, number.to_string().as_bytes(), &[]);
            match number {
                100 => cluster.mock.broker_down(1).unwrap(),
                130 => cluster.mock.broker_up(1).unwrap(),
                // Readers lose the database somewhere in their work.
                number if number % 20 == 7 => failpoint::after(u32::try_from(number % 11).unwrap()),
                number if number % 20 == 12 => {
                    failpoint::off();
                }
                _ => (),
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        failpoint::off();
        cluster.flush();
        until(db, |row| row.partitions.iter().map(|p| p.next_offset).sum::<i64>() == 300).await;
        one.stop(LIMIT).await;
        two.stop(LIMIT).await;
        let numbers: Vec<_> = data(db).await.iter().map(|value| value.as_i64().unwrap()).collect();
        for partition in 0..3 {
            let of: Vec<_> = numbers.iter().copied().filter(|number| number % 3 == partition).collect();
            assert_eq!(of, (0..100).map(|number| number * 3 + partition).collect::<Vec<_>>());
        }
    });
}

#[test]
fn a_topic_that_is_not_there_and_brokers_that_do_not_listen_are_named() {
    on_each_database(async |db| {
        own_tables::migrate(db).await.unwrap();
        let fields = json!({"kind": "kafka", "brokers": "127.0.0.1:1", "topics": ["orders"]});
        let reading = running(&[config(fields)], &context(db));
        let row = until(db, |row| row.error.is_some()).await;
        assert!(row.error.as_deref().unwrap().contains("127.0.0.1:1"), "{row:?}");
        reading.stop(LIMIT).await;
    });
}
