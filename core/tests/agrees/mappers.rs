//! Partition mappers, and the keys that they make of keys.

use serde_json::{Value, json};
use slipstream_core::asset::{MapError, Mapper};

use super::support::Random;
use super::{ZONES, instant, moment};

fn typed(path: &str, fields: Value) -> Value {
    json!({"__type": format!("airflow.partition_mappers.{path}"), "__var": fields})
}

fn temporal(random: &mut Random) -> Value {
    let period = *random.pick(&["Hour", "Day", "Week", "Month", "Quarter", "Year"]);
    let default = match period {
        "Hour" => "%Y-%m-%dT%H",
        "Day" => "%Y-%m-%d",
        "Week" => "%Y-%m-%d (W%V)",
        "Month" => "%Y-%m",
        "Quarter" => "%Y-Q{quarter}",
        _ => "%Y",
    };
    let output = if random.chance(80) {
        default
    } else {
        *random.pick(&["%d.%m.%Y", "%Y%m%dT%H%z", "%G-%V-%u", "x%j/%Y"])
    };
    let input = if random.chance(70) {
        "%Y-%m-%dT%H:%M:%S"
    } else {
        *random.pick(&["%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%d"])
    };
    let zone = if random.chance(10) { json!(19_800) } else { json!(random.pick(&ZONES)) };
    typed(
        &format!("temporal.StartOf{period}Mapper"),
        json!({"timezone": zone, "input_format": input, "output_format": output}),
    )
}

fn window(random: &mut Random) -> Value {
    if random.chance(15) {
        return typed("window.SegmentWindow", json!({"segments": ["us", "eu", "apac"]}));
    }
    let span = random.pick(&["Hour", "Day", "Week", "Month", "Quarter", "Year"]);
    let direction = random.pick(&["forward", "backward"]);
    typed(&format!("window.{span}Window"), json!({"direction": direction}))
}

pub(super) fn mapper(random: &mut Random, depth: u32) -> Value {
    let pick = if depth == 0 { random.within(0, 5) } else { random.within(0, 11) };
    match pick {
        0 => typed("identity.IdentityMapper", json!({})),
        1 => typed("fixed_key.FixedKeyMapper", json!({"downstream_key": "all", "max_downstream_keys": 3})),
        2 => typed("allowed_key.AllowedKeyMapper", json!({"allowed_keys": ["us", "eu"]})),
        3..=6 => temporal(random),
        7 => {
            let mappers = [mapper(random, depth - 1), mapper(random, depth - 1)];
            typed("chain.ChainMapper", json!({"mappers": mappers}))
        }
        8 => {
            let mappers = [mapper(random, depth - 1), mapper(random, depth - 1)];
            typed("product.ProductMapper", json!({"mappers": mappers, "delimiter": "|"}))
        }
        9 => typed(
            "temporal.FanOutMapper",
            json!({"upstream_mapper": mapper(random, depth - 1), "window": window(random),
                "downstream_mapper": temporal(random)}),
        ),
        _ => {
            let policy = if random.chance(50) {
                typed("wait_policy.WaitForAll", json!({}))
            } else {
                typed("wait_policy.MinimumCount", json!({"n": 2}))
            };
            let upstream = if random.chance(80) { temporal(random) } else { mapper(random, depth - 1) };
            typed(
                "base.RollupMapper",
                json!({"upstream_mapper": upstream, "window": window(random), "wait_policy": policy}),
            )
        }
    }
}

pub(super) fn mapper_question(random: &mut Random, zones: &[(Value, Vec<i64>)]) -> Value {
    let mut key = || {
        let changes = &random.pick(zones).1;
        let at = instant(moment(random, changes));
        match random.within(0, 9) {
            0 => "us".to_owned(),
            1 => at.format("%Y-%m-%d").to_string(),
            2 => at.format("%Y-%m-%dT%H:%M:%S+0200").to_string(),
            3 => at.format("%Y-%m").to_string(),
            _ => at.format("%Y-%m-%dT%H:%M:%S").to_string(),
        }
    };
    let (one, other) = (key(), key());
    let mapper = mapper(random, 2);
    let text = mapper.to_string();
    let key = if text.contains("Product") && random.chance(70) { format!("{one}|{other}") } else { one };
    // Give most mappers a key that they can read.
    let readable = |key: &str| key.len() == 19 && key.contains('T');
    let key = if text.contains("S%z") && readable(&key) { format!("{key}+0200") } else { key };
    let key = if text.contains("\"input_format\":\"%Y-%m-%d\"") && readable(&key) {
        key[..10].to_owned()
    } else {
        key
    };
    // Python walks a set of segments in no particular order.
    let unordered = mapper.to_string().contains("SegmentWindow");
    json!({"mapper": mapper, "key": key, "unordered": unordered})
}

pub(super) fn our_mapper(question: &Value) -> Value {
    let error = |error: MapError| format!("error {}", error.exception().unwrap_or("Custom"));
    let Ok(mapper) = Mapper::from_serialized(&question["mapper"]) else { return json!("invalid") };
    let key = question["key"].as_str().unwrap();
    let keys = mapper.to_downstream(key).map(|keys| keys.into_keys());
    let first = keys.as_ref().ok().and_then(|keys| keys.first().cloned()).unwrap_or_else(|| key.to_owned());
    let mut date = match mapper.partition_date(&first) {
        Ok(date) => json!(date.map(|date| date.timestamp_micros())),
        Err(failure) => json!(error(failure)),
    };
    let upstream = mapper.rollup().map(|rollup| match rollup.to_upstream(&first) {
        Ok(keys) => json!(keys),
        Err(failure) => json!(error(failure)),
    });
    let mut keys = keys.map_or_else(|failure| json!(error(failure)), |keys| json!(keys));
    if question["unordered"].as_bool().unwrap() && keys.is_array() {
        let mut sorted: Vec<String> = serde_json::from_value(keys).unwrap();
        sorted.sort();
        keys = json!(sorted);
        date = Value::Null;
    }
    json!([keys, date, upstream, mapper.to_serialized().unwrap()])
}
