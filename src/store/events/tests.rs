//! The log on both databases.

use std::time::Duration;

use serde_json::json;
use slipstream_core::event::{Position, Scope};

use super::*;
use crate::store::testing::{self, at};
use crate::store::{Conn, Db, StoreError, own_tables};

fn event(id: &str) -> NewEvent {
    NewEvent { id: id.to_owned(), ..NewEvent::new("/test", "sample.ready", at(0)) }
}

fn keyed(id: &str, namespace: &str, key: &str, sender: Option<&str>) -> NewEvent {
    let sender = sender.map(str::to_owned);
    NewEvent { namespace: namespace.to_owned(), key: key.to_owned(), sender, ..event(id) }
}

async fn send(db: &Db, events: &[NewEvent]) -> Vec<Appended> {
    let tx = db.begin().await.unwrap();
    let done = append(&tx, events, at(1)).await.unwrap();
    tx.commit().await.unwrap();
    done
}

async fn positions(db: &Db, filter: &Filter) -> Vec<i64> {
    let events = read(db, Position(0), 1000, filter).await.unwrap();
    events.iter().map(|event| event.position.0).collect()
}

#[test]
fn what_is_appended_is_read_back_as_it_was() {
    testing::on_each_database(async |db| {
        own_tables::migrate(db).await.unwrap();
        let full = NewEvent {
            scope: Scope::Run { dag_id: "d".into(), run_id: "r".into() },
            sender: Some("me".to_owned()),
            data: json!({"z": 1, "a": [true, null, 1.5, "ü'\"\\\n"], "text": "7"}),
            extensions: json!({"traceparent": "00-1", "n": 3}).as_object().unwrap().clone(),
            ..event("1")
        };
        let scalars = [json!(7), json!(1.5), json!("7"), json!(true), json!(null), json!([])];
        let mut all = vec![full];
        all.extend(
            scalars.into_iter().enumerate().map(|(i, data)| NewEvent { data, ..event(&format!("s{i}")) }),
        );
        let done = send(db, &all).await;
        let expected: Vec<_> =
            all.into_iter().zip(done).map(|(event, done)| event.at(done.position)).collect();
        let found = read(db, Position(0), 100, &Filter::default()).await.unwrap();
        assert_eq!(found, expected);
        assert_eq!(found[0].data.to_string(), expected[0].data.to_string(), "the order of keys is kept");
        assert_eq!(get(db, Position(2)).await.unwrap().as_ref(), Some(&expected[1]));
        assert_eq!(get(db, Position(99)).await.unwrap(), None);
    });
}

#[test]
fn a_duplicate_is_told_where_the_original_is() {
    testing::on_each_database(async |db| {
        own_tables::migrate(db).await.unwrap();
        let first = send(db, &[event("a"), event("b"), event("a")]).await;
        let expected = [(1, Existed::New), (2, Existed::New), (1, Existed::Duplicate)];
        let of = |done: &[Appended]| done.iter().map(|one| (one.position.0, one.existed)).collect::<Vec<_>>();
        assert_eq!(of(&first), expected);
        let other = NewEvent { source: "/other".to_owned(), ..event("a") };
        let second = send(db, &[event("b"), event("c"), other, event("c")]).await;
        let expected =
            [(2, Existed::Duplicate), (3, Existed::New), (4, Existed::New), (3, Existed::Duplicate)];
        assert_eq!(of(&second), expected);
        assert_eq!(head(db).await.unwrap(), Position(4));
        assert_eq!(testing::count(db, "slipstream_event").await, 4);
    });
}

#[test]
fn an_append_that_is_rolled_back_leaves_no_gap() {
    testing::on_each_database(async |db| {
        own_tables::migrate(db).await.unwrap();
        let tx = db.begin().await.unwrap();
        append(&tx, &[event("lost")], at(1)).await.unwrap();
        tx.rollback().await.unwrap();
        assert_eq!(send(db, &[event("kept")]).await[0].position, Position(1));
    });
}

#[test]
fn an_event_that_cannot_be_indexed_is_refused_before_anything_is_written() {
    testing::on_each_database(async |db| {
        own_tables::migrate(db).await.unwrap();
        let wrong = [
            (NewEvent { key: String::new(), ..event("1") }, "`subject` is empty"),
            (NewEvent { source: "s".repeat(1501), ..event("1") }, "`source` has 1501 bytes"),
            (NewEvent { event_type: "a\0b".to_owned(), ..event("1") }, "`type` contains a control character"),
        ];
        for (event, why) in wrong {
            let tx = db.begin().await.unwrap();
            let error = append(&tx, &[event], at(1)).await.unwrap_err();
            assert!(matches!(&error, StoreError::Invalid(text) if text.contains(why)), "{error}");
        }
        let large = NewEvent { data: json!("x".repeat(100)), ..event("1") };
        assert!(large.check_with_size(102).is_ok());
        assert_eq!(large.check_with_size(101), Err(EventError::TooLarge { bytes: 102, limit: 101 }));
    });
}

#[test]
fn a_filter_is_applied_by_the_database() {
    testing::on_each_database(async |db| {
        own_tables::migrate(db).await.unwrap();
        let scoped = NewEvent {
            scope: Scope::Run { dag_id: "d".into(), run_id: "r".into() },
            time: at(60),
            ..keyed("4", "b", "batch_2", None)
        };
        let events = [
            keyed("1", "a", "batch.1", Some("x")),
            keyed("2", "a", "BATCH.1", Some("y")),
            keyed("3", "a.b", "batch%", Some("x")),
            scoped,
        ];
        send(db, &events).await;
        let with = |change: fn(&mut Filter)| {
            let mut filter = Filter::default();
            change(&mut filter);
            filter
        };
        let cases = [
            (with(|_| ()), vec![1, 2, 3, 4]),
            (with(|f| f.namespace = Match::exact("a")), vec![1, 2]),
            (with(|f| f.namespace = Match::list("a*")), vec![1, 2, 3]),
            (with(|f| f.namespace = Match::list("b, a.*")), vec![3, 4]),
            (with(|f| f.key = Match::list("batch.*")), vec![1]),
            (with(|f| f.key = Match::list("batch%*")), vec![3]),
            (with(|f| f.key = Match::list("batch.1,batch_2,none")), vec![1, 4]),
            (with(|f| f.key = Match::list("*")), vec![1, 2, 3, 4]),
            (with(|f| f.sender = Match::exact("x")), vec![1, 3]),
            (with(|f| f.allowed = Match::exact("b")), vec![4]),
            (with(|f| f.since = Some(at(1))), vec![4]),
            (with(|f| f.until = Some(Position(2))), vec![1, 2]),
            (with(|f| f.run_id = Some("r".to_owned())), vec![4]),
            (with(|f| f.event_type = Match::exact("other")), vec![]),
        ];
        for (filter, expected) in cases {
            assert_eq!(positions(db, &filter).await, expected, "{filter:?}");
            assert_eq!(count(db, Position(0), &filter).await.unwrap().total, expected.len() as i64);
            let newest = latest(db, &filter).await.unwrap().map(|event| event.position.0);
            assert_eq!(newest, expected.last().copied());
        }
        let counts = count(db, Position(0), &Filter::default()).await.unwrap();
        let mut by_sender = counts.by_sender;
        by_sender.sort();
        let name = |text: &str| Some(text.to_owned());
        assert_eq!(by_sender, [(None, 1), (name("x"), 2), (name("y"), 1)]);
    });
}

#[test]
fn readers_never_see_a_gap_whatever_writers_do() {
    testing::on_each_database(async |db| {
        own_tables::migrate(db).await.unwrap();
        const WRITERS: usize = 4;
        const EACH: usize = 25;
        let done = std::cell::Cell::new(0);
        let writer = async |writer: usize| {
            for i in 0..EACH {
                let events: Vec<_> = (0..1 + i % 3).map(|k| event(&format!("{writer}-{i}-{k}"))).collect();
                crate::store::retry("append", || async {
                    let tx = db.begin().await?;
                    append(&tx, &events, at(1)).await?;
                    // Others append between this and the commit, if they can.
                    tokio::task::yield_now().await;
                    if i % 7 == 6 { tx.rollback().await } else { tx.commit().await }
                })
                .await
                .unwrap();
            }
            done.set(done.get() + 1);
        };
        let reader = async {
            let mut seen = 0;
            loop {
                let last = done.get() == WRITERS;
                for event in read(db, Position(seen), 7, &Filter::default()).await.unwrap() {
                    assert_eq!(event.position.0, seen + 1, "a gap");
                    seen += 1;
                }
                if last && head(db).await.unwrap() == Position(seen) {
                    return seen;
                }
                tokio::task::yield_now().await;
            }
        };
        let (.., seen) = tokio::join!(writer(0), writer(1), writer(2), writer(3), reader);
        assert_eq!(seen, testing::count(db, "slipstream_event").await);
        let all: usize = (0..EACH).filter(|i| i % 7 != 6).map(|i| 1 + i % 3).sum();
        assert_eq!(seen, i64::try_from(WRITERS * all).unwrap());
    });
}

#[test]
fn a_subscription_keeps_its_place_and_never_goes_back() {
    testing::on_each_database(async |db| {
        own_tables::migrate(db).await.unwrap();
        send(db, &[keyed("1", "a", "k", None), keyed("2", "b", "k", None), keyed("3", "a", "k", None)]).await;
        let filter = Filter { namespace: Match::exact("a"), ..Filter::default() };
        subscriptions::create(db, "s", &filter, Position(0), at(0)).await.unwrap();
        let twice = subscriptions::create(db, "s", &filter, Position(0), at(0)).await;
        assert!(matches!(twice, Err(StoreError::Refused(_))));
        let poll = async || {
            let subscription = subscriptions::get(db, "s").await.unwrap().unwrap();
            assert_eq!(subscription.filter, filter);
            let events = subscriptions::poll(db, &subscription, 10, at(1)).await.unwrap();
            events.iter().map(|event| event.position.0).collect::<Vec<_>>()
        };
        assert_eq!(poll().await, [1, 3]);
        assert_eq!(poll().await, [1, 3], "not acknowledged: again");
        let ack =
            async |position| subscriptions::acknowledge(db, "s", Position(position), at(2)).await.unwrap();
        assert_eq!(ack(1).await, Some(Position(1)));
        assert_eq!(poll().await, [3]);
        assert_eq!(ack(3).await, Some(Position(3)));
        assert_eq!(ack(1).await, Some(Position(3)), "never back");
        send(db, &[keyed("4", "b", "k", None)]).await;
        assert!(poll().await.is_empty());
        assert_eq!(subscriptions::get(db, "s").await.unwrap().unwrap().position, Position(4), "moved on");
        assert_eq!(subscriptions::delete(db, "s").await.unwrap(), Some(()));
        assert_eq!(subscriptions::delete(db, "s").await.unwrap(), None);
        assert_eq!(ack(1).await, None);
    });
}

#[test]
fn old_events_are_removed_unless_someone_needs_them() {
    testing::on_each_database(async |db| {
        own_tables::migrate(db).await.unwrap();
        let ids: Vec<_> = (0..6).map(|i| event(&i.to_string())).collect();
        send(db, &ids).await;
        let age = Duration::from_secs(100);
        let run = async |now| retention::run_once(db, age, at(now)).await.unwrap();
        assert_eq!(run(50).await, 0, "too young");
        subscriptions::create(db, "s", &Filter::default(), Position(2), at(0)).await.unwrap();
        assert_eq!(run(200).await, 2);
        assert_eq!(positions(db, &Filter::default()).await, [3, 4, 5, 6]);
        assert_eq!(first_position(db).await.unwrap(), Some(Position(3)));
        subscriptions::acknowledge(db, "s", Position(6), at(0)).await.unwrap();
        db.exec(
            db.sql("INSERT INTO slipstream_cursor (name, position) VALUES ('engine', 4), ('registry', 1)"),
        )
        .await
        .unwrap();
        assert_eq!(run(200).await, 2, "the engine has not seen what follows; counters hold up nothing");
        db.exec(db.sql("UPDATE slipstream_cursor SET position = 6 WHERE name = 'engine'")).await.unwrap();
        let state = json!({"spec": "x", "state": {"p": 6, "m": {"0": {"h": [{"p": [5], "t": [0, 0]}]}}}});
        let sql = db
            .sql("INSERT INTO slipstream_trigger_state (trigger_id, progress, position) VALUES (1, ?, 6)")
            .bind(state);
        db.exec(sql).await.unwrap();
        assert_eq!(run(200).await, 1);
        assert_eq!(positions(db, &Filter::default()).await, [5], "a trigger remembers it");
        db.exec(db.sql("DELETE FROM slipstream_trigger_state")).await.unwrap();
        assert_eq!(run(200).await, 1);
        assert_eq!(send(db, &[event("new")]).await[0].position, Position(7), "no position twice");
    });
}

#[test]
fn what_a_firing_a_command_or_a_person_still_needs_is_kept_and_holds_up_nothing_else() {
    testing::on_each_database(async |db| {
        own_tables::migrate(db).await.unwrap();
        let ids: Vec<_> = (0..9).map(|i| event(&i.to_string())).collect();
        send(db, &ids).await;
        let firing = async |position: i64, events: serde_json::Value, status: &str| {
            let id = uuid::Uuid::now_v7();
            let values = vec![
                ("id", id.into()),
                ("trigger_id", 1.into()),
                ("dag_id", "d".into()),
                ("position", position.into()),
                ("events", events.into()),
                ("action", "start".into()),
                ("status", status.into()),
                ("fired_at", at(0).into()),
            ];
            testing::insert(db, "slipstream_firing", values).await;
            id
        };
        firing(4, json!([2, 4]), "pending").await;
        let opens = firing(6, json!([6]), "done").await;
        let joins = firing(7, json!([7]), "done").await;
        firing(8, json!([8]), "done").await;
        let values = vec![
            ("firing_id", opens.into()),
            ("dag_id", "d".into()),
            ("run_id", "r".into()),
            ("task_id", "t".into()),
            ("map_index", (-1).into()),
            ("action", "start".into()),
            ("options", json!({"also": [joins.to_string()]}).into()),
            ("status", "open".into()),
            ("created_at", at(0).into()),
        ];
        testing::insert(db, "slipstream_command", values).await;
        let values = vec![
            ("trigger_id", 1.into()),
            ("position", 1.into()),
            ("error", "e".into()),
            ("attempts", 1.into()),
            ("status", "parked".into()),
            ("created_at", at(0).into()),
        ];
        testing::insert(db, "slipstream_dead_letter", values).await;
        for position in 1..=9 {
            let values = vec![
                ("position", position.into()),
                ("trigger_id", 1.into()),
                ("verdict", "matched".into()),
                ("reason", "".into()),
            ];
            testing::insert(db, "slipstream_decision", values).await;
        }
        let run = async || retention::run_once(db, Duration::from_secs(100), at(200)).await.unwrap();
        assert_eq!(run().await, 4);
        assert_eq!(positions(db, &Filter::default()).await, [1, 2, 4, 6, 7]);
        let decided =
            db.all(db.sql("SELECT position FROM slipstream_decision ORDER BY position")).await.unwrap();
        let decided: Vec<i64> = decided.iter().map(|row| row.int("position").unwrap()).collect();
        assert_eq!(decided, [1, 2, 4, 6, 7], "decisions go with their events");

        db.exec(db.sql("UPDATE slipstream_command SET status = 'done'")).await.unwrap();
        assert_eq!(run().await, 2);
        db.exec(db.sql("UPDATE slipstream_firing SET status = 'done'")).await.unwrap();
        assert_eq!(run().await, 2);
        db.exec(db.sql("UPDATE slipstream_dead_letter SET status = 'skipped'")).await.unwrap();
        assert_eq!(run().await, 1);
    });
}

#[test]
fn an_event_can_be_an_update_of_an_asset_too() {
    testing::on_each_database(async |db| {
        own_tables::migrate(db).await.unwrap();
        testing::dag(db, "consumer").await;
        let text = |column, value: &'static str| (column, value.into());
        let asset = vec![
            ("id", 7_i64.into()),
            text("name", "orders"),
            text("uri", "s3://orders"),
            text("group", "asset"),
            ("extra", json!({}).into()),
            ("created_at", at(0).into()),
            ("updated_at", at(0).into()),
        ];
        testing::insert(db, "asset", asset).await;
        testing::insert(db, "asset_active", vec![text("name", "orders"), text("uri", "s3://orders")]).await;
        let reference = vec![
            ("asset_id", 7_i64.into()),
            text("dag_id", "consumer"),
            ("created_at", at(0).into()),
            ("updated_at", at(0).into()),
        ];
        testing::insert(db, "dag_schedule_asset_reference", reference).await;
        let update = |id: &str, uri: &str| NewEvent {
            extensions: json!({"asseturi": uri}).as_object().unwrap().clone(),
            data: json!({"rows": 3}),
            ..event(id)
        };
        let all = [update("1", "s3://orders"), update("1", "s3://orders"), update("2", "s3://unknown")];
        let tx = db.begin().await.unwrap();
        let passed = assets::Unknown::PassedOver;
        assets::append_and_update(&tx, &all, passed, at(1), &Default::default()).await.unwrap();
        tx.commit().await.unwrap();
        let tx = db.begin().await.unwrap();
        let all = [update("3", "s3://orders"), update("4", "s3://unknown")];
        let refused = assets::Unknown::Refused;
        let error =
            assets::append_and_update(&tx, &all, refused, at(1), &Default::default()).await.unwrap_err();
        assert!(error.to_string().contains("`s3://unknown`"), "{error}");
        tx.rollback().await.unwrap();
        assert_eq!(testing::count(db, "slipstream_event").await, 2);
        assert_eq!(testing::count(db, "asset_event").await, 1, "a duplicate is no second update");
        let row = testing::first(db, "SELECT * FROM asset_event").await;
        assert_eq!(row.json("extra").unwrap(), json!({"rows": 3, "from_event": 1}));
        assert_eq!(row.text_opt("source_dag_id").unwrap(), None);
        let queued = testing::first(db, "SELECT * FROM asset_dag_run_queue").await;
        assert_eq!(
            (queued.int("asset_id").unwrap(), queued.text("target_dag_id").unwrap().as_str()),
            (7, "consumer")
        );
    });
}

#[test]
fn a_token_that_would_be_of_no_use_is_not_made() {
    use tokens::Right::{Read, Send};
    for (namespaces, rights, why) in [
        ("a*b", vec![Read], "`a*b` has a `*` before its end"),
        ("ml,*a*", vec![Read], "`*a*` has a `*`"),
        ("airflow", vec![Send, Read], "no token can send into namespace `airflow`"),
    ] {
        let error = tokens::check(&Match::list(namespaces), &rights).unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    }
    for (namespaces, rights) in
        [("airflow", vec![Read]), ("airflow,ml.*", vec![Send]), ("*", vec![Send, Read])]
    {
        tokens::check(&Match::list(namespaces), &rights).unwrap();
    }
}

#[test]
fn a_token_is_known_by_its_text_until_it_expires() {
    testing::on_each_database(async |db| {
        own_tables::migrate(db).await.unwrap();
        let rights = [tokens::Right::Send];
        let all = Match::list("ml.*,default");
        let text = tokens::add(db, "ci", &all, &rights, Some(at(100)), at(0)).await.unwrap();
        let twice = tokens::add(db, "ci", &all, &rights, None, at(0)).await;
        assert!(matches!(twice, Err(StoreError::Refused(_))));
        let known = tokens::list(db).await.unwrap();
        let token = tokens::find(&known, &text, at(99)).unwrap();
        assert!(
            token.allows(tokens::Right::Send, "ml.train") && token.allows(tokens::Right::Send, "default")
        );
        assert!(!token.allows(tokens::Right::Read, "ml.train") && !token.allows(tokens::Right::Send, "ml"));
        assert!(tokens::find(&known, &text, at(100)).is_none());
        assert!(tokens::find(&known, "slipstream_x", at(0)).is_none());
        assert_eq!(tokens::remove(db, "ci").await.unwrap(), Some(()));
        assert_eq!(tokens::remove(db, "ci").await.unwrap(), None);
    });
}
