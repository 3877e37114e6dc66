//! Timetables, and the runs that follow each other.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use slipstream_core::schedule::cron::Cron;
use slipstream_core::schedule::{Catchup, NextRun, Restriction, Timetable};

use super::cron::expression;
use super::support::Random;
use super::{HOUR, MICROS, instant, moment};

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

pub(super) fn timetable(random: &mut Random, zone: &Value) -> Value {
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

pub(super) fn our_sequence(question: &Value) -> Value {
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

pub(super) fn sequence_question(random: &mut Random, zones: &[(Value, Vec<i64>)]) -> Value {
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
