//! Leases and offsets of sources on real databases.

use std::collections::BTreeMap;

use chrono::{TimeDelta, Utc};
use uuid::Uuid;

use super::*;
use crate::store::events::{NewEvent, head};
use crate::store::testing::{at, count, on_each_database};
use crate::store::{Db, execution, own_tables};

fn lease() -> Lease {
    Lease {
        source: "s".to_owned(),
        owner: Uuid::new_v4(),
        holder: "host".to_owned(),
        length: TimeDelta::seconds(10),
    }
}

/// A source that is held, with the offset 5 in its only partition.
async fn held(db: &Db) -> Lease {
    own_tables::migrate(db).await.unwrap();
    register(db, "s", "kafka", at(0)).await.unwrap();
    let lease = lease();
    assert_eq!(claim(db, &lease, at(0)).await.unwrap(), Held::Ours);
    let places = BTreeMap::from([("t/0".to_owned(), (None, 5))]);
    assert_eq!(place(db, &lease, &places, at(0)).await.unwrap(), Held::Ours);
    lease
}

fn batch(from: i64, to: i64) -> Batch {
    let events = vec![NewEvent::new("source", "type", Utc::now())];
    Batch { events, steps: BTreeMap::from([("t/0".to_owned(), Step { from, to })]), unreadable: 0 }
}

#[test]
fn a_source_is_held_by_one_until_it_is_released_or_time_is_up() {
    on_each_database(async |db| {
        let (one, two) = (held(db).await, lease());
        let mut late = at(9);
        assert_eq!(claim(db, &two, late).await.unwrap(), Held::Others);
        assert_eq!(claim(db, &one, late).await.unwrap(), Held::Ours, "it goes on with its own");
        late = at(18);
        assert_eq!(renew(db, &one, late).await.unwrap(), Held::Ours);
        assert_eq!(claim(db, &two, at(27)).await.unwrap(), Held::Others);
        assert_eq!(claim(db, &two, at(29)).await.unwrap(), Held::Ours);
        assert_eq!(renew(db, &one, at(29)).await.unwrap(), Held::Others);
        release(db, &one).await.unwrap();
        assert_eq!(claim(db, &one, at(30)).await.unwrap(), Held::Others, "only the holder can give it back");
        release(db, &two).await.unwrap();
        assert_eq!(claim(db, &one, at(30)).await.unwrap(), Held::Ours);
    });
}

#[test]
fn events_and_offsets_are_stored_together_or_not_at_all() {
    on_each_database(async |db| {
        let options = execution::Options::default();
        let one = held(db).await;
        let stored = take(db, &one, &batch(5, 6), at(1), &options).await.unwrap();
        assert_eq!(stored, Taken::Stored(Some(head(db).await.unwrap())));
        for from in [4, 5, 7] {
            assert_eq!(take(db, &one, &batch(from, 8), at(1), &options).await.unwrap(), Taken::NotOurs);
        }
        let two = lease();
        assert_eq!(claim(db, &two, at(100)).await.unwrap(), Held::Ours);
        assert_eq!(take(db, &one, &batch(6, 7), at(100), &options).await.unwrap(), Taken::NotOurs);
        assert_eq!(count(db, "slipstream_event").await, 1);
        assert_eq!(offsets(db, "s").await.unwrap(), BTreeMap::from([("t/0".to_owned(), 6)]));
        assert!(matches!(take(db, &two, &batch(6, 7), at(100), &options).await.unwrap(), Taken::Stored(_)));
        let rows = list(db).await.unwrap();
        assert_eq!((rows[0].taken, rows[0].partitions[0].next_offset), (2, 7));
    });
}

#[test]
fn a_new_partition_is_placed_once() {
    on_each_database(async |db| {
        let one = held(db).await;
        for (stored, expected) in [(None, Held::Others), (Some(4), Held::Others), (Some(5), Held::Ours)] {
            let places = BTreeMap::from([("t/0".to_owned(), (stored, 9)), ("t/10".to_owned(), (None, 0))]);
            assert_eq!(place(db, &one, &places, at(1)).await.unwrap(), expected, "{stored:?}");
        }
        let names: Vec<_> = list(db).await.unwrap().remove(0).partitions;
        assert_eq!(names.iter().map(|partition| partition.next_offset).collect::<Vec<_>>(), [9, 0]);
    });
}

#[test]
fn a_source_that_is_forgotten_begins_anew_and_its_reader_stores_nothing_more() {
    on_each_database(async |db| {
        let one = held(db).await;
        assert!(forget(db, "s").await.unwrap());
        assert!(!forget(db, "s").await.unwrap());
        let options = execution::Options::default();
        assert_eq!(take(db, &one, &batch(5, 6), at(1), &options).await.unwrap(), Taken::NotOurs);
        assert!(offsets(db, "s").await.unwrap().is_empty());
    });
}
