//! Updates of assets as events: each once, and only those that came after somebody waited for them.

use chrono::Utc;
use serde_json::{Value, json};

use super::testing::{dag, engine, number};
use crate::store::testing::{self, at, on_each_database};
use crate::store::{Conn, Db, Param};

/// A trigger on the updates of an asset.
fn on_asset(uri: &str) -> Value {
    json!({"version": 1, "on": {"asset": {"uri": uri}}, "do": {"run": {}}})
}

async fn asset(db: &Db, id: i64, uri: &'static str) {
    let asset = vec![
        ("id", id.into()),
        ("name", uri.into()),
        ("uri", uri.into()),
        ("group", "asset".into()),
        ("extra", json!({}).into()),
        ("created_at", at(0).into()),
        ("updated_at", at(0).into()),
    ];
    testing::insert(db, "asset", asset).await;
}

/// Updates an asset, as whoever does it leaves the row.
async fn update(db: &Db, asset: i64) {
    insert(db, asset, vec![]).await;
}

async fn insert(db: &Db, asset: i64, mut row: Vec<(&str, Param)>) {
    row.extend([
        ("asset_id", asset.into()),
        ("extra", json!({}).into()),
        ("source_map_index", (-1_i64).into()),
        ("timestamp", Utc::now().into()),
    ]);
    testing::insert(db, "asset_event", row).await;
}

async fn rounds(db: &Db) {
    let mut engine = engine(db);
    for _ in 0..2 {
        engine.round(Utc::now()).await.unwrap();
    }
}

async fn runs_of(db: &Db, dag_id: &str) -> i64 {
    number(db, &format!("SELECT count(*) AS n FROM dag_run WHERE dag_id = '{dag_id}'")).await
}

#[test]
fn updates_from_before_the_first_trigger_are_not_its_business() {
    on_each_database(async |db| {
        asset(db, 1, "s3://a").await;
        for _ in 0..3 {
            update(db, 1).await;
        }
        dag(db, "d", &[on_asset("s3://a")], &[("t", vec![])]).await;
        rounds(db).await;
        rounds(db).await;
        assert_eq!(runs_of(db, "d").await, 0);
        update(db, 1).await;
        rounds(db).await;
        assert_eq!(runs_of(db, "d").await, 1);
    });
}

#[test]
fn a_trigger_beside_others_gets_no_updates_from_before_it_also_after_a_restart() {
    on_each_database(async |db| {
        asset(db, 1, "s3://a").await;
        asset(db, 2, "s3://b").await;
        dag(db, "a", &[on_asset("s3://a")], &[("t", vec![])]).await;
        rounds(db).await;
        for _ in 0..3 {
            update(db, 2).await;
        }
        rounds(db).await;
        dag(db, "b", &[on_asset("s3://b")], &[("t", vec![])]).await;
        rounds(db).await;
        rounds(db).await;
        assert_eq!(runs_of(db, "b").await, 0);
        update(db, 2).await;
        rounds(db).await;
        assert_eq!(runs_of(db, "b").await, 1);
    });
}

#[test]
fn updates_while_no_scheduler_ran_are_told_to_those_who_waited_and_not_to_a_new_trigger() {
    on_each_database(async |db| {
        asset(db, 1, "s3://a").await;
        asset(db, 2, "s3://b").await;
        dag(db, "a", &[on_asset("s3://a")], &[("t", vec![])]).await;
        rounds(db).await;
        update(db, 1).await;
        update(db, 2).await;
        dag(db, "b", &[on_asset("s3://b")], &[("t", vec![])]).await;
        rounds(db).await;
        rounds(db).await;
        assert_eq!((runs_of(db, "a").await, runs_of(db, "b").await), (1, 0));
    });
}

#[test]
fn an_update_is_told_once_even_when_its_event_has_left_the_log() {
    on_each_database(async |db| {
        asset(db, 1, "s3://a").await;
        dag(db, "d", &[on_asset("s3://a")], &[("t", vec![])]).await;
        rounds(db).await;
        update(db, 1).await;
        update(db, 1).await;
        rounds(db).await;
        assert_eq!(runs_of(db, "d").await, 2);
        db.exec(db.sql("DELETE FROM slipstream_event")).await.unwrap();
        rounds(db).await;
        assert_eq!(runs_of(db, "d").await, 2);
    });
}

#[test]
fn updates_while_nobody_waited_are_not_told_to_who_waits_later() {
    on_each_database(async |db| {
        asset(db, 1, "s3://a").await;
        dag(db, "d", &[on_asset("s3://a")], &[("t", vec![])]).await;
        rounds(db).await;
        db.exec(db.sql("UPDATE dag SET is_stale = ?").bind(true)).await.unwrap();
        rounds(db).await;
        update(db, 1).await;
        dag(db, "later", &[on_asset("s3://a")], &[("t", vec![])]).await;
        rounds(db).await;
        rounds(db).await;
        assert_eq!(runs_of(db, "later").await, 0);
    });
}

#[test]
fn an_update_that_becomes_visible_after_a_later_one_is_told_too() {
    on_each_database(async |db| {
        asset(db, 1, "s3://a").await;
        dag(db, "d", &[on_asset("s3://a")], &[("t", vec![])]).await;
        rounds(db).await;
        for (id, runs) in [(1000, 1), (990, 2), (995, 3)] {
            insert(db, 1, vec![("id", i64::into(id))]).await;
            rounds(db).await;
            rounds(db).await;
            assert_eq!(runs_of(db, "d").await, runs);
        }
    });
}
