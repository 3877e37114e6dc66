//! Reading sources: what holds whatever the broker is, with one in memory.

use std::time::Duration;

use serde_json::{Value, json};

use super::config::{Kind, SourceConfig, Sources};
use super::fake::Broker;
use super::run::{Context, Pace, Running, Source, start};
use crate::config::Config;
use crate::events::limits::Limits;
use crate::events::wake::LogWake;
use crate::runtime::Shutdown;
use crate::store::db::failpoint;
use crate::store::events::sources::{self as rows, SourceRow};
use crate::store::testing::on_each_database;
use crate::store::{Conn, Db, execution, own_tables};

const LIMIT: Duration = Duration::from_secs(20);

/// What readers need, at a pace for tests.
pub(super) fn context(db: &Db) -> Context {
    let ms = Duration::from_millis;
    Context {
        db: db.clone(),
        wake: LogWake::new(),
        limits: Limits::of(&Config::from_pairs(&[("slipstream", "event_max_bytes", "1000")]).unwrap()),
        options: execution::Options::default(),
        hostname: "here".to_owned(),
        pace: Pace { lease: ms(3000), renew: ms(50), look: ms(50), pause: ms(20), most_pause: ms(200) },
    }
}

/// A source of these fields.
pub(super) fn config(fields: Value) -> SourceConfig {
    let sources: Sources = json!({"s": fields}).to_string().parse().unwrap();
    sources.iter().next().unwrap().clone()
}

fn fake(broker: &Broker, more: Value) -> SourceConfig {
    let mut fields = json!({"kind": "nats", "servers": "nats://nowhere", "stream": "S", "start": "earliest"});
    fields.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    SourceConfig { kind: Kind::Fake(broker.clone()), ..config(fields) }
}

/// Reads sources in the background.
pub(super) fn running(configs: &[SourceConfig], context: &Context) -> Running {
    start(&configs.iter().cloned().collect::<Sources>(), context)
}

/// Waits until the only source looks as it should.
pub(super) async fn until(db: &Db, what: impl Fn(&SourceRow) -> bool) -> SourceRow {
    let waiting = async {
        loop {
            if let Some(row) = rows::list(db).await.unwrap().into_iter().find(|row| what(row)) {
                return row;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    match tokio::time::timeout(LIMIT, waiting).await {
        Ok(row) => row,
        Err(_) => panic!("still: {:?}", rows::list(db).await.unwrap()),
    }
}

fn next_offset(row: &SourceRow) -> i64 {
    row.partitions.iter().map(|partition| partition.next_offset).sum()
}

/// The data of all events, in their order.
pub(super) async fn data(db: &Db) -> Vec<Value> {
    let sql = db.sql("SELECT data FROM slipstream_event ORDER BY position");
    db.all(sql).await.unwrap().iter().map(|row| row.json("data").unwrap()).collect()
}

#[test]
fn a_cut_connection_after_any_statement_loses_and_doubles_nothing() {
    on_each_database(async |db| {
        own_tables::migrate(db).await.unwrap();
        let broker = Broker::with(&["t/0", "t/1"]);
        let context = context(db);
        for (statements, sent) in (0..100).zip(1_i64..) {
            broker.send("t/0", json!(sent).to_string().as_bytes());
            broker.send("t/1", json!(-sent).to_string().as_bytes());
            let mut killed = Source::new(fake(&broker, json!({})), context.clone());
            let before = context.wake.head();
            let (asker, shutdown) = Shutdown::by_hand();
            let stored = async {
                context.wake.beyond(before).await;
                asker.ask();
            };
            failpoint::after(statements);
            let done = tokio::select! {
                done = killed.hold(&shutdown) => done,
                () = async { stored.await; std::future::pending().await } => unreachable!(),
            };
            let was_cut = failpoint::off();
            assert_eq!(done.is_err(), was_cut, "after {statements} statements: {done:?}");
            // What a killed process leaves behind is taken over when its lease is over.
            drop(killed);
            let sql =
                db.sql("UPDATE slipstream_source SET lease_until = ?").bind(chrono::DateTime::UNIX_EPOCH);
            db.exec(sql).await.unwrap();
            let mut next = Source::new(fake(&broker, json!({})), context.clone());
            let (asker, shutdown) = Shutdown::by_hand();
            let all = async {
                let row = until(db, |row| next_offset(row) == 2 * sent).await;
                asker.ask();
                assert_eq!(row.taken, 2 * sent, "after {statements} statements");
            };
            let (done, ()) = tokio::join!(next.hold(&shutdown), all);
            done.unwrap();
            let mut numbers: Vec<_> = data(db).await.iter().map(|value| value.as_i64().unwrap()).collect();
            let in_order: Vec<_> = numbers.iter().copied().filter(|number| *number > 0).collect();
            assert_eq!(in_order, (1..=sent).collect::<Vec<_>>());
            numbers.sort_unstable();
            let expected: Vec<_> = (-sent..=sent).filter(|number| *number != 0).collect();
            assert_eq!(numbers, expected, "after {statements} statements");
            db.exec(db.sql("UPDATE slipstream_source SET owner = NULL")).await.unwrap();
            if !was_cut {
                return;
            }
        }
        panic!("a batch takes more than 100 statements");
    });
}

#[test]
fn two_schedulers_that_both_think_that_a_source_is_theirs_store_every_message_once() {
    on_each_database(async |db| {
        own_tables::migrate(db).await.unwrap();
        let broker = Broker::with(&["t/0"]);
        let mut context = context(db);
        // Leases that are over too soon: they take the source from each other in the middle of their work.
        (context.pace.lease, context.pace.renew) = (Duration::from_millis(5), Duration::from_millis(60));
        let (one, two) = (fake(&broker, json!({})), fake(&broker, json!({})));
        let (one, two) = (running(&[one], &context), running(&[two], &context));
        for number in 0..200 {
            broker.send("t/0", json!(number).to_string().as_bytes());
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        until(db, |row| next_offset(row) == 200).await;
        one.stop(LIMIT).await;
        two.stop(LIMIT).await;
        assert_eq!(data(db).await, (0..200).map(Value::from).collect::<Vec<_>>());
    });
}

#[test]
fn a_source_is_left_to_the_next_scheduler_at_a_clean_stop_and_read_on_from_where_it_was() {
    on_each_database(async |db| {
        own_tables::migrate(db).await.unwrap();
        let broker = Broker::with(&["t/0"]);
        let mut context = context(db);
        context.pace.lease = Duration::from_secs(3600);
        for number in 0..3 {
            broker.send("t/0", json!(number).to_string().as_bytes());
            let reading = running(&[fake(&broker, json!({}))], &context);
            until(db, |row| next_offset(row) == number + 1 && row.holder.as_deref() == Some("here")).await;
            reading.stop(LIMIT).await;
            until(db, |row| row.holder.is_none()).await;
        }
        assert_eq!(data(db).await, [0, 1, 2]);
    });
}

#[test]
fn a_source_begins_at_what_is_new_and_a_new_partition_at_its_first_message() {
    on_each_database(async |db| {
        own_tables::migrate(db).await.unwrap();
        let broker = Broker::with(&["t/0"]);
        broker.send("t/0", b"\"old\"");
        let reading = running(&[fake(&broker, json!({"start": "latest"}))], &context(db));
        until(db, |row| next_offset(row) == 1).await;
        broker.send("t/0", b"\"new\"");
        broker.add("t/1");
        broker.send("t/1", b"\"other\"");
        let row = until(db, |row| row.taken == 2 && row.partitions.iter().all(|p| p.lag == Some(0))).await;
        let offsets: Vec<_> = row.partitions.iter().map(|p| (p.name.as_str(), p.next_offset)).collect();
        assert_eq!(offsets, [("t/0", 2), ("t/1", 1)]);
        assert_eq!(data(db).await.len(), 2);
        reading.stop(LIMIT).await;
    });
}

#[test]
fn messages_that_are_gone_are_passed_over_or_left_to_a_person() {
    on_each_database(async |db| {
        own_tables::migrate(db).await.unwrap();
        let broker = Broker::with(&["t/0"]);
        broker.send("t/0", b"1");
        let reading = running(&[fake(&broker, json!({}))], &context(db));
        until(db, |row| next_offset(row) == 1).await;
        reading.stop(LIMIT).await;
        for number in 2..=5 {
            broker.send("t/0", json!(number).to_string().as_bytes());
        }
        broker.remove("t/0", 3);
        let reading = running(&[fake(&broker, json!({"on_lost": "stop"}))], &context(db));
        let row = until(db, |row| row.error.is_some()).await;
        assert!(row.error.unwrap().contains("slipstream events sources --forget s"));
        reading.stop(LIMIT).await;
        assert_eq!(data(db).await, [1]);
        let reading = running(&[fake(&broker, json!({}))], &context(db));
        until(db, |row| next_offset(row) == 5 && row.error.is_none()).await;
        assert_eq!(data(db).await, [1, 4, 5]);
        reading.stop(LIMIT).await;
    });
}

#[test]
fn a_broker_that_is_down_is_waited_for_and_says_so() {
    on_each_database(async |db| {
        own_tables::migrate(db).await.unwrap();
        let broker = Broker::with(&["t/0"]);
        broker.set_down(true);
        let reading = running(&[fake(&broker, json!({}))], &context(db));
        let row = until(db, |row| row.error.is_some()).await;
        assert_eq!(row.error.as_deref(), Some("the broker is down"));
        for number in 0..2 {
            broker.set_down(false);
            broker.send("t/0", b"1");
            until(db, |row| row.error.is_none() && next_offset(row) == number + 1).await;
            broker.set_down(true);
            until(db, |row| row.error.is_some()).await;
        }
        reading.stop(LIMIT).await;
    });
}

#[test]
fn messages_that_cannot_be_understood_become_events_that_say_so_and_stop_nothing() {
    on_each_database(async |db| {
        own_tables::migrate(db).await.unwrap();
        let broker = Broker::with(&["t/0"]);
        let structured = [("content-type", "application/cloudevents+json; charset=utf-8")];
        broker.send("t/0", b"not json");
        broker.send("t/0", json!("x".repeat(2000)).to_string().as_bytes());
        broker.send_with("t/0", b"{}", &structured);
        broker.send_with("t/0", b"{}", &[("ce_specversion", "1.0"), ("ce_id", "1"), ("ce_type", "t")]);
        let reserved =
            json!({"specversion": "1.0", "id": "1", "source": "s", "type": "t", "namespace": "airflow"});
        broker.send_with("t/0", reserved.to_string().as_bytes(), &structured);
        broker.send_with("t/0", b"[]", &[("content-type", "application/cloudevents-batch+json")]);
        broker.send("t/0", b"{\"good\": \"\xff\"}");
        let own = json!({"specversion": "1.0", "id": "asset_event/1", "source": "airflow", "type": "t"});
        broker.send_with("t/0", own.to_string().as_bytes(), &structured);
        broker.send("t/0", b"{\"zero\": \"\\u0000\"}");
        broker.send("t/0", b"\0");
        broker.send("t/0", b"{\"good\": true}");
        let reading = running(&[fake(&broker, json!({"format": "json"}))], &context(db));
        let row = until(db, |row| next_offset(row) == 11).await;
        assert_eq!((row.taken, row.unreadable), (11, 10));
        let data = data(db).await;
        for (event, why) in data.iter().zip([
            "the body is not JSON: ",
            "the event has 2029 bytes of data",
            "attribute `specversion` is missing",
            "attribute `source` is missing",
            "namespace `airflow` is reserved",
            "content type `application/cloudevents-batch+json` is not known",
            "the body is not JSON: ",
            "source `airflow` is reserved",
            "U+0000",
            "the body is not JSON: ",
        ]) {
            assert!(event["reason"].as_str().unwrap().contains(why), "{event} {why}");
        }
        assert_eq!(data[0]["begin"], "not json");
        assert_eq!(data[10], json!({"good": true}));
        let sql = db.sql("SELECT COUNT(*) AS n FROM slipstream_event WHERE key = 'source.unreadable'");
        assert_eq!(db.one(sql).await.unwrap().unwrap().int("n").unwrap(), 10);
        reading.stop(LIMIT).await;
    });
}

#[test]
fn what_the_database_refuses_is_told_and_the_other_messages_are_stored() {
    on_each_database(async |db| {
        own_tables::migrate(db).await.unwrap();
        let broker = Broker::with(&["t/0"]);
        let bad = match db.dialect() {
            crate::store::Dialect::Postgres => {
                "CREATE FUNCTION refuse() RETURNS trigger AS $$ BEGIN RAISE EXCEPTION 'poison'; END $$ LANGUAGE plpgsql; \
                 CREATE TRIGGER poison BEFORE INSERT ON slipstream_event FOR EACH ROW WHEN (NEW.type = 'poison') \
                 EXECUTE FUNCTION refuse()"
            }
            crate::store::Dialect::Sqlite => {
                "CREATE TRIGGER poison BEFORE INSERT ON slipstream_event WHEN NEW.type = 'poison' \
                 BEGIN SELECT RAISE(ABORT, 'poison'); END"
            }
        };
        for statement in bad.split("plpgsql; ") {
            let whole = if statement.contains("$$ LANGUAGE") {
                format!("{statement}plpgsql")
            } else {
                statement.to_owned()
            };
            db.exec(db.sql(&whole)).await.unwrap();
        }
        let poison = json!({"specversion": "1.0", "id": "1", "source": "s", "type": "poison"}).to_string();
        broker.send("t/0", b"1");
        broker.send_with("t/0", poison.as_bytes(), &[("content-type", "application/cloudevents+json")]);
        broker.send("t/0", b"3");
        let reading = running(&[fake(&broker, json!({}))], &context(db));
        let row = until(db, |row| next_offset(row) == 3).await;
        assert_eq!((row.taken, row.unreadable), (3, 1));
        let data = data(db).await;
        assert_eq!((&data[0], &data[2]), (&json!(1), &json!(3)));
        assert!(data[1]["reason"].as_str().unwrap().contains("poison"), "{}", data[1]);
        reading.stop(LIMIT).await;
    });
}
