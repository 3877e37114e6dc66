//! Conditions over assets, and partitions of them.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use slipstream_core::asset::{
    AssetCondition, AssetKey, AssetLookup, MapError, PartitionDate, PartitionedAssets, Satisfaction,
    WaitPolicy,
};

fn key(name: &str) -> AssetKey {
    AssetKey { name: name.to_owned(), uri: format!("s3://{name}") }
}

fn asset(name: &str) -> Value {
    json!({"__type": "asset", "name": name, "uri": format!("s3://{name}"), "group": "asset", "extra": {}})
}

fn mapper(path: &str, fields: Value) -> Value {
    json!({"__type": format!("airflow.partition_mappers.{path}"), "__var": fields})
}

fn keys(all: &[&str]) -> BTreeSet<String> {
    all.iter().map(|one| (*one).to_owned()).collect()
}

/// One active asset of each name, and an alias `both` for two of them.
struct Known;

impl AssetLookup for Known {
    fn by_name(&self, name: &str) -> Option<AssetKey> {
        (name != "gone").then(|| key(name))
    }

    fn by_uri(&self, uri: &str) -> Option<AssetKey> {
        uri.strip_prefix("s3://").map(key)
    }

    fn by_alias(&self, alias: &str) -> Vec<AssetKey> {
        if alias == "both" { vec![key("a"), key("b")] } else { Vec::new() }
    }
}

fn holds(condition: &Value, updated: &[&str]) -> bool {
    let condition = AssetCondition::from_serialized(condition).unwrap();
    condition.holds(&|asset| updated.contains(&asset.name.as_str()), &Known)
}

#[test]
fn conditions_are_all_and_any_of_their_parts() {
    let nested = json!({"__type": "asset_all", "objects": [
        asset("a"), {"__type": "asset_any", "objects": [asset("b"), asset("c")]}]});
    assert!(holds(&nested, &["a", "c"]));
    assert!(!holds(&nested, &["b", "c"]));
    assert!(holds(&json!({"__type": "asset_all", "objects": []}), &[]));
    assert!(!holds(&json!({"__type": "asset_any", "objects": []}), &[]));
}

#[test]
fn references_and_aliases_are_looked_up() {
    assert!(holds(&json!({"__type": "asset_ref", "name": "a"}), &["a"]));
    assert!(!holds(&json!({"__type": "asset_ref", "name": "gone"}), &["gone"]));
    assert!(holds(&json!({"__type": "asset_ref", "uri": "s3://b"}), &["b"]));
    assert!(holds(&json!({"__type": "asset_alias", "name": "both", "group": ""}), &["b"]));
    assert!(!holds(&json!({"__type": "asset_alias", "name": "none", "group": ""}), &["a"]));
}

#[test]
fn fields_may_stand_in_a_var() {
    let inner = json!({"name": "a", "uri": "s3://a", "group": "asset", "extra": {}});
    assert!(holds(&json!({"__type": "asset", "__var": inner}), &["a"]));
}

fn weekly(window: Value, policy: Value) -> PartitionedAssets {
    let upstream = mapper(
        "temporal.StartOfWeekMapper",
        json!({"timezone": "UTC", "input_format": "%Y-%m-%d", "output_format": "%Y-%m-%d (W%V)"}),
    );
    let rollup = mapper(
        "base.RollupMapper",
        json!({"upstream_mapper": upstream, "window": window, "wait_policy": policy}),
    );
    let data = json!({
        "asset_condition": {"__type": "asset_any", "objects": [asset("days"), asset("other")]},
        "partition_mapper_config": [[{"__type": "asset_ref", "name": "days"}, rollup]],
        "default_partition_mapper": mapper("identity.IdentityMapper", json!({})),
    });
    PartitionedAssets::from_serialized(&data).unwrap()
}

fn seven_days() -> PartitionedAssets {
    weekly(
        mapper("window.WeekWindow", json!({"direction": "forward"})),
        mapper("wait_policy.WaitForAll", json!({})),
    )
}

#[test]
fn a_week_waits_for_its_days() {
    let assets = seven_days();
    let week = "2024-03-11 (W11)";
    assert_eq!(assets.mapper("days", "").to_downstream("2024-03-13").unwrap().into_keys(), [week]);
    let mut arrived: BTreeSet<String> = (11..17).map(|day| format!("2024-03-{day}")).collect();
    assert_eq!(assets.status(&key("days"), week, &arrived), Ok(Satisfaction::Waiting));
    arrived.insert("2024-03-17".to_owned());
    assert_eq!(assets.status(&key("days"), week, &arrived), Ok(Satisfaction::Satisfied));
    // Without a rollup one event is enough.
    assert_eq!(assets.status(&key("other"), week, &keys(&["x"])), Ok(Satisfaction::Satisfied));
}

#[test]
fn a_mapper_is_found_by_name_and_only_without_one_by_uri() {
    let data = json!({
        "asset_condition": asset("a"),
        "partition_mapper_config": [
            [{"__type": "asset_ref", "uri": "s3://a"}, mapper("fixed_key.FixedKeyMapper", json!({"downstream_key": "k"}))]],
        "default_partition_mapper": mapper("identity.IdentityMapper", json!({})),
    });
    let assets = PartitionedAssets::from_serialized(&data).unwrap();
    assert_eq!(assets.mapper("a", "s3://a").to_downstream("x").unwrap().into_keys(), ["x"]);
    assert_eq!(assets.mapper("", "s3://a").to_downstream("x").unwrap().into_keys(), ["k"]);
}

#[test]
fn the_date_of_a_partition_is_what_the_mappers_agree_on() {
    let assets = seven_days();
    let carried: DateTime<Utc> = "2020-01-01T00:00:00Z".parse().unwrap();
    let week: DateTime<Utc> = "2024-03-11T00:00:00Z".parse().unwrap();
    let of = |assets: &PartitionedAssets, names: &[&str], partition: &str| {
        let contributing: Vec<AssetKey> = names.iter().map(|name| key(name)).collect();
        assets.partition_date(&contributing, partition, Some(carried))
    };
    assert_eq!(of(&assets, &["days", "other"], "2024-03-11 (W11)").date(), Some(week));
    assert_eq!(of(&assets, &["other"], "anything").date(), Some(carried));
    assert!(matches!(of(&assets, &["days"], "anything"), PartitionDate::Failed(MapError::Value(_))));
}

#[test]
fn a_changed_window_changes_the_fingerprint() {
    let backward = weekly(
        mapper("window.WeekWindow", json!({"direction": "backward"})),
        mapper("wait_policy.WaitForAll", json!({})),
    );
    let forward = seven_days().fingerprint().unwrap();
    assert_ne!(forward, backward.fingerprint().unwrap());
    let names: Vec<&String> = forward.as_object().unwrap().keys().collect();
    assert_eq!(names, ["days|s3://days", "other|s3://other"]);
}

#[test]
fn a_count_that_no_window_reaches_says_so() {
    let expected = keys(&["a", "b"]);
    let reason =
        "wait policy MinimumCount(n=3) can never be satisfied given the window's cardinality 2".to_owned();
    assert_eq!(WaitPolicy::MinimumCount(3).judge(&expected, &expected), Satisfaction::Unreachable { reason });
    assert_eq!(WaitPolicy::MinimumCount(-1).judge(&keys(&["a"]), &expected), Satisfaction::Satisfied);
    assert_eq!(WaitPolicy::MinimumCount(-1).judge(&keys(&["x"]), &expected), Satisfaction::Waiting);
    assert_eq!(WaitPolicy::MinimumCount(-9).judge(&keys(&[]), &expected), Satisfaction::Satisfied);
}

#[test]
fn a_plugins_mapper_is_asked_elsewhere() {
    let data = json!({
        "asset_condition": asset("a"),
        "partition_mapper_config": [],
        "default_partition_mapper": {"__type": "my.plugin.Mapper", "__var": {}},
    });
    let assets = PartitionedAssets::from_serialized(&data).unwrap();
    let custom = MapError::Custom { path: "my.plugin.Mapper".to_owned() };
    assert_eq!(assets.mapper("a", "").to_downstream("x"), Err(custom.clone()));
    assert_eq!(assets.status(&key("a"), "x", &keys(&[])), Err(custom.clone()));
    assert_eq!(assets.fingerprint(), Err(custom));
}

#[test]
fn a_rollup_whose_parts_do_not_fit_is_refused() {
    let rollup = mapper(
        "base.RollupMapper",
        json!({"upstream_mapper": mapper("identity.IdentityMapper", json!({})),
            "window": mapper("window.DayWindow", json!({"direction": "forward"})),
            "wait_policy": mapper("wait_policy.WaitForAll", json!({}))}),
    );
    let data = json!({"asset_condition": asset("a"), "partition_mapper_config": [], "default_partition_mapper": rollup});
    assert!(PartitionedAssets::from_serialized(&data).unwrap_err().to_string().contains("window"));
}
