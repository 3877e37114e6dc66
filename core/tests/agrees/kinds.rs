//! What a timetable says of itself: its properties, its run ids.

use serde_json::{Value, json};
use slipstream_core::asset::Mapper;
use slipstream_core::schedule::Timetable;
use slipstream_core::state::RunType;

use super::mappers::mapper;
use super::support::Random;
use super::timetables::timetable;
use super::{instant, moment};

fn asset(random: &mut Random) -> Value {
    match random.within(0, 3) {
        0 => json!({"__type": "asset_ref", "name": random.pick(&["one", "two"])}),
        1 => json!({"__type": "asset_ref", "uri": random.pick(&["s3://one", "s3://two"])}),
        _ => {
            let name = random.pick(&["one", "two", "three"]);
            json!({"__type": "asset", "name": name, "uri": format!("s3://{name}"), "group": "asset", "extra": {}})
        }
    }
}

fn condition(random: &mut Random) -> Value {
    match random.within(0, 3) {
        0 => asset(random),
        1 => json!({"__type": "asset_any", "objects": [asset(random), condition(random)]}),
        2 => {
            json!({"__type": "asset_all", "objects": [asset(random), {"__type": "asset_alias", "name": "x", "group": ""}]})
        }
        _ => json!({"__type": "asset_all", "objects": [condition(random), asset(random)]}),
    }
}

fn decodable_mapper(random: &mut Random) -> Value {
    loop {
        let made = mapper(random, 1);
        if Mapper::from_serialized(&made).is_ok() {
            return made;
        }
    }
}

fn asset_timetable(random: &mut Random) -> Value {
    let condition = condition(random);
    let (path, data) = match random.within(0, 2) {
        0 => ("simple.AssetTriggeredTimetable", json!({"asset_condition": condition})),
        1 => {
            let inner = timetable(random, &json!("Europe/Zurich"));
            ("assets.AssetOrTimeSchedule", json!({"asset_condition": condition, "timetable": inner}))
        }
        _ => {
            let config = [
                json!([asset(random), decodable_mapper(random)]),
                json!([asset(random), decodable_mapper(random)]),
            ];
            (
                "simple.PartitionedAssetTimetable",
                json!({"asset_condition": condition, "partition_mapper_config": config,
                    "default_partition_mapper": decodable_mapper(random)}),
            )
        }
    };
    json!({"__type": format!("airflow.timetables.{path}"), "__var": data})
}

pub(super) fn kind_question(random: &mut Random) -> Value {
    let timetable =
        if random.chance(60) { asset_timetable(random) } else { timetable(random, &json!("Asia/Tokyo")) };
    let key = random.pick(&[json!(null), json!("2026-01-01"), json!("")]).clone();
    json!({"timetable": timetable, "at": moment(random, &[]), "partition_key": key})
}

pub(super) fn our_kind(question: &Value) -> Value {
    let timetable = Timetable::from_serialized(&question["timetable"]).unwrap();
    let properties = timetable.properties().unwrap();
    let at = instant(question["at"].as_i64().unwrap());
    let run_id = |run_type| {
        timetable.generate_run_id(run_type, at, question["partition_key"].as_str(), "aB3dE5gH").unwrap()
    };
    json!([
        properties.is_periodic,
        properties.can_be_scheduled,
        properties.is_partitioned,
        properties.is_partitioned_at_runtime,
        properties.active_runs_limit,
        timetable.rollup_fingerprint().unwrap(),
        [run_id(RunType::Scheduled), run_id(RunType::AssetTriggered), run_id(RunType::Manual)],
    ])
}
