//! Our timetables and partition mappers against Airflow's own, on generated questions.
//!
//! A few thousand questions by default, more than a hundred thousand with `SLIPSTREAM_SLOW=1`; another seed with
//! `SLIPSTREAM_SEED`. All of them go to one Python process in one batch.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test: a wrong question may panic, and it reports"
)]

mod support;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use slipstream_core::asset::{MapError, Mapper};
use slipstream_core::schedule::cron::{Cron, CronError};
use slipstream_core::schedule::{Catchup, NextRun, Restriction, Timetable, Zone};
use slipstream_core::state::RunType;
use support::{Random, ask_airflow, seed, slow};

const ZONES: [&str; 10] = [
    "UTC",
    "Europe/Zurich",
    "America/New_York",
    "Australia/Lord_Howe",
    "America/Santiago",
    "Europe/Dublin",
    "Asia/Beirut",
    "America/Sao_Paulo",
    "Pacific/Apia",
    "Asia/Kolkata",
];
const HOUR: i64 = 3600;
const MICROS: i64 = 1_000_000;

fn instant(micros: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(micros).unwrap()
}

/// The seconds at which a zone's clocks change, from 2010 to 2030.
fn changes(zone: Zone) -> Vec<i64> {
    let offset = |second: i64| zone.offset_at(DateTime::from_timestamp(second, 0).unwrap());
    (1_262_304_000..1_893_456_000)
        .step_by(1800)
        .filter(|second| offset(*second) != offset(second - 1800))
        .collect()
}

/// A moment in microseconds: mostly near a change of the zone's clocks.
fn moment(random: &mut Random, changes: &[i64]) -> i64 {
    let around = if changes.is_empty() || random.chance(30) {
        random.within(1_262_304_000, 1_893_456_000)
    } else {
        let hours = if random.chance(50) { 3 } else { 60 };
        random.pick(changes) + random.within(-hours * HOUR, hours * HOUR)
    };
    let rounded = match random.within(0, 3) {
        0 => around.div_euclid(HOUR) * HOUR,
        1 => around.div_euclid(60) * 60,
        _ => around,
    };
    rounded * MICROS + if random.chance(20) { random.within(0, 999_999) } else { 0 }
}

fn value(random: &mut Random, (low, high): (i64, i64), names: &[&str]) -> String {
    match random.within(0, 60) {
        0 => "l".to_owned(),
        1 => random.within(low - 1, high + 2).to_string(),
        2..=20 if !names.is_empty() => (*random.pick(names)).to_owned(),
        _ => random.within(low, high).to_string(),
    }
}

fn entry(random: &mut Random, range: (i64, i64), names: &[&str]) -> String {
    match random.within(0, 9) {
        0 | 1 => format!("*/{}", random.within(1, range.1.max(2))),
        2 => format!("{}/{}", value(random, range, names), random.within(1, 12)),
        3 | 4 => format!("{}-{}", value(random, range, names), value(random, range, names)),
        5 => {
            format!("{}-{}/{}", value(random, range, names), value(random, range, names), random.within(1, 9))
        }
        _ => value(random, range, names),
    }
}

fn field(random: &mut Random, range: (i64, i64), names: &[&str], star: i64) -> String {
    if random.chance(star) {
        return (*random.pick(&["*", "*", "*", "*", "*", "*/1"])).to_owned();
    }
    let count = *random.pick(&[1, 1, 1, 2, 3]);
    let entries: Vec<String> = (0..count).map(|_| entry(random, range, names)).collect();
    entries.join(",")
}

const MONTHS: [&str; 4] = ["jan", "FEB", "jun", "Dec"];
const WEEKDAYS: [&str; 5] = ["sun", "MON", "wed", "fri", "Sat"];
const ODD: [&str; 24] = [
    "@hourly",
    "@daily",
    "@weekly",
    "@monthly",
    "@yearly",
    "@annually",
    "@midnight",
    "@DAILY",
    "@quarterly",
    "",
    "* * *",
    "h * * * *",
    "*/0 * * * *",
    "60 * * * *",
    "* * 0 * *",
    "* * 31 2 *",
    "0 0 29 2 *",
    "0 0 29 2 1",
    "? * * * *",
    "0 0 ? * 1",
    "0 0 1 * ?",
    "0 0 1-31 * 1",
    "0 0 l 2 *",
    "0 0 28,l * *",
];

fn expression(random: &mut Random) -> String {
    if random.chance(5) {
        return (*random.pick(&ODD)).to_owned();
    }
    let minute = field(random, (0, 59), &[], 20);
    let hour = field(random, (0, 23), &[], 40);
    let day = match random.within(0, 19) {
        0 => "L".to_owned(),
        1 => format!("{}W", random.within(1, 31)),
        2 => "?".to_owned(),
        _ => field(random, (1, 31), &[], 55),
    };
    let month = field(random, (1, 12), &MONTHS, 70);
    let weekday = match random.within(0, 19) {
        0 => format!("{}#{}", value(random, (0, 7), &WEEKDAYS), random.within(0, 6)),
        1 => format!("L{}", random.within(0, 7)),
        2 => format!("mon-wed#{},fri#2", random.within(1, 5)),
        3 => "0-7".to_owned(),
        _ => field(random, (0, 7), &WEEKDAYS, 55),
    };
    let mut all = format!("{minute} {hour} {day} {month} {weekday}");
    if random.chance(15) {
        all += &format!(" {}", field(random, (0, 59), &[], 30));
        if random.chance(20) {
            all += &format!(" {}", field(random, (2010, 2032), &[], 20));
        }
    }
    all
}

fn our_cron(question: &Value) -> Value {
    let wall = instant(question["at"].as_i64().unwrap()).naive_utc();
    let cron = match Cron::parse(question["expression"].as_str().unwrap()) {
        Ok(cron) => cron,
        Err(_) => return json!("invalid"),
    };
    let found =
        if question["next"].as_bool().unwrap() { cron.next_after(wall) } else { cron.prev_before(wall) };
    match found {
        Ok(found) => json!([found.and_utc().timestamp_micros(), cron.covers_every_hour()]),
        Err(CronError::NoDate { .. }) => json!("no date"),
        Err(error) => json!(error.to_string()),
    }
}

fn relative(random: &mut Random) -> Value {
    let mut fields = serde_json::Map::new();
    for (name, low, high) in [
        ("years", 0, 1),
        ("months", 0, 14),
        ("days", 0, 40),
        ("hours", 0, 50),
        ("minutes", 0, 100),
        ("day", 1, 31),
    ] {
        if random.chance(25) {
            fields.insert(name.to_owned(), random.within(low, high).into());
        }
    }
    if random.chance(15) {
        fields.insert("weekday".to_owned(), json!([random.within(0, 6), random.pick(&[1, 2, -1])]));
    }
    if fields.is_empty() {
        fields.insert("months".to_owned(), 1.into());
    }
    Value::Object(fields)
}

fn delta(random: &mut Random) -> Value {
    match random.within(0, 4) {
        0 => relative(random),
        1 => json!(0.5 + 60.0 * random.pick(&[1.0, 7.0])),
        _ => json!(*random.pick(&[60.0, 900.0, 3600.0, 86400.0, 100_000.0, 604_800.0])),
    }
}

/// An expression that Airflow would have accepted, and that does not fire every few seconds.
fn valid_expression(random: &mut Random) -> String {
    let common = [
        "0 * * * *",
        "30 2 * * *",
        "*/15 * * * *",
        "0 */2 * * *",
        "0 2,3 * * *",
        "15 1-3 * * *",
        "@quarterly",
    ];
    if random.chance(50) {
        return (*random.pick(&common)).to_owned();
    }
    loop {
        let text = expression(random);
        if Cron::parse(&text).is_ok() {
            return text;
        }
    }
}

fn timetable(random: &mut Random, zone: &Value) -> Value {
    let interval = if random.chance(60) { json!(0.0) } else { delta(random) };
    let run_immediately = random.pick(&[json!(true), json!(false), json!(null), json!(600.0)]).clone();
    let cron = valid_expression(random);
    let (path, data) = match random.within(0, 10) {
        0 | 1 => ("interval.CronDataIntervalTimetable", json!({"expression": cron, "timezone": zone})),
        2 => ("interval.DeltaDataIntervalTimetable", json!({"delta": delta(random)})),
        3..=5 => (
            "trigger.CronTriggerTimetable",
            json!({"expression": cron, "timezone": zone, "interval": interval, "run_immediately": run_immediately}),
        ),
        6 => {
            let crons = [cron, valid_expression(random)];
            (
                "trigger.MultipleCronTriggerTimetable",
                json!({"expressions": crons, "timezone": zone, "interval": interval, "run_immediately": run_immediately}),
            )
        }
        7 => ("trigger.DeltaTriggerTimetable", json!({"delta": delta(random), "interval": interval})),
        8 => {
            let format = random.pick(&["%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H%z", "%G-W%V-%u %j %y %b %Z %%"]);
            (
                "trigger.CronPartitionTimetable",
                json!({"expression": cron, "timezone": zone, "run_immediately": run_immediately,
                    "run_offset": random.within(-2, 2), "key_format": format}),
            )
        }
        9 => {
            let name = random.pick(&[
                "OnceTimetable",
                "ContinuousTimetable",
                "NullTimetable",
                "PartitionedAtRuntime",
            ]);
            return json!({"__type": format!("airflow.timetables.simple.{name}"), "__var": {}});
        }
        _ => {
            let mut dates: Vec<i64> = (0..6).map(|_| random.within(1_750_000_000, 1_850_000_000)).collect();
            dates.sort_unstable();
            let dates: Vec<String> = dates
                .iter()
                .map(|second| DateTime::from_timestamp(*second, 0).unwrap().to_rfc3339())
                .collect();
            (
                "events.EventsTimetable",
                json!({"event_dates": dates, "restrict_to_events": random.chance(50), "description": "", "_summary": ""}),
            )
        }
    };
    json!({"__type": format!("airflow.timetables.{path}"), "__var": data})
}

fn asset_or_time(random: &mut Random, zone: &Value) -> Value {
    let asset = json!({"__type": "asset", "name": "a", "uri": "s3://a", "group": "asset", "extra": {}});
    let fields = json!({"asset_condition": asset, "timetable": timetable(random, zone)});
    json!({"__type": "airflow.timetables.assets.AssetOrTimeSchedule", "__var": fields})
}

fn run_of(run: &NextRun) -> Value {
    let micros = |at: Option<DateTime<Utc>>| at.map(|at| at.timestamp_micros());
    json!([
        run.run_after.timestamp_micros(),
        micros(run.data_interval.map(|interval| interval.start)),
        micros(run.data_interval.map(|interval| interval.end)),
        run.partition_key,
        micros(run.partition_date),
    ])
}

fn our_sequence(question: &Value) -> Value {
    let timetable = Timetable::from_serialized(&question["timetable"]).unwrap();
    let restriction = Restriction {
        earliest: question["earliest"].as_i64().map(instant),
        latest: question["latest"].as_i64().map(instant),
        catchup: Catchup::from(question["catchup"].as_bool().unwrap()),
    };
    let (mut now, advance) = (question["now"].as_i64().unwrap(), question["advance"].as_i64().unwrap());
    let manual = match timetable.infer_manual_data_interval(instant(now)) {
        Ok(interval) => json!([interval.start.timestamp_micros(), interval.end.timestamp_micros()]),
        Err(_) => json!("error"),
    };
    let (mut runs, mut last) = (Vec::new(), None);
    for _ in 0..question["steps"].as_u64().unwrap() {
        match timetable.next_run(last.as_ref(), &restriction, instant(now)) {
            Ok(Some(run)) => {
                runs.push(run_of(&run));
                last = Some(run.as_last());
            }
            Ok(None) => {
                runs.push(Value::Null);
                break;
            }
            Err(_) => {
                runs.push(json!("error"));
                break;
            }
        }
        now += advance;
    }
    json!([runs, manual])
}

fn sequence_question(random: &mut Random, zones: &[(Value, Vec<i64>)]) -> Value {
    let (zone, changes) = random.pick(zones);
    let now = moment(random, changes);
    let start = now - random.within(0, 30 * 24 * HOUR) * MICROS;
    let earliest = random
        .chance(75)
        .then(|| if random.chance(50) { start } else { start / (HOUR * MICROS) * HOUR * MICROS });
    let latest = random.chance(20).then(|| now + random.within(-HOUR, 40 * HOUR) * MICROS);
    json!({
        "timetable": if random.chance(10) { asset_or_time(random, zone) } else { timetable(random, zone) },
        "earliest": earliest,
        "latest": latest,
        "catchup": random.chance(50),
        "now": now,
        "advance": random.pick(&[0, 60, HOUR, 5 * HOUR, 24 * HOUR]) * MICROS,
        "steps": 8,
    })
}

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

fn mapper(random: &mut Random, depth: u32) -> Value {
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

fn mapper_question(random: &mut Random, zones: &[(Value, Vec<i64>)]) -> Value {
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

fn our_mapper(question: &Value) -> Value {
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

fn kind_question(random: &mut Random) -> Value {
    let timetable =
        if random.chance(60) { asset_timetable(random) } else { timetable(random, &json!("Asia/Tokyo")) };
    let key = random.pick(&[json!(null), json!("2026-01-01"), json!("")]).clone();
    json!({"timetable": timetable, "at": moment(random, &[]), "partition_key": key})
}

fn our_kind(question: &Value) -> Value {
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

/// Every difference, at most a few printed.
fn compare(what: &str, questions: &[Value], theirs: &Value, ours: impl Fn(&Value) -> Value) -> usize {
    let theirs = theirs.as_array().unwrap();
    assert_eq!(questions.len(), theirs.len());
    let mut different = 0;
    for (question, theirs) in questions.iter().zip(theirs) {
        let ours = ours(question);
        if ours != *theirs {
            different += 1;
            if different <= 8 {
                println!("{what} {question}\n  Airflow {theirs}\n  we      {ours}");
            }
        }
    }
    let refused =
        theirs.iter().filter(|answer| answer.to_string().contains("error") || answer.is_string()).count();
    println!(
        "{what}: {} questions ({refused} of them with no answer but an error), {different} different answers",
        questions.len()
    );
    different
}

#[test]
fn airflow_gives_the_same_answers() {
    let scale = if slow() { 35 } else { 1 };
    let mut random = Random(seed());
    let mut zones: Vec<(Value, Vec<i64>)> =
        ZONES.iter().map(|name| (json!(name), changes(Zone::from_name(name).unwrap()))).collect();
    zones.push((json!(19_800), Vec::new()));
    let cron: Vec<Value> = (0..3000 * scale)
        .map(|_| {
            let changes = &random.pick(&zones).1;
            json!({"at": moment(&mut random, changes), "expression": expression(&mut random), "next": random.chance(50)})
        })
        .collect();
    let sequence: Vec<Value> = (0..600 * scale).map(|_| sequence_question(&mut random, &zones)).collect();
    let mapper: Vec<Value> = (0..600 * scale).map(|_| mapper_question(&mut random, &zones)).collect();
    let kind: Vec<Value> = (0..300 * scale).map(|_| kind_question(&mut random)).collect();
    let questions = json!({"cron": cron, "sequence": sequence, "mapper": mapper, "kind": kind});
    let Some(answers) = ask_airflow(&questions) else { return };
    let different = compare("cron", &cron, &answers["cron"], our_cron)
        + compare("sequence", &sequence, &answers["sequence"], our_sequence)
        + compare("kind", &kind, &answers["kind"], our_kind)
        + compare("mapper", &mapper, &answers["mapper"], our_mapper);
    assert_eq!(different, 0, "seed {}", seed());
}
