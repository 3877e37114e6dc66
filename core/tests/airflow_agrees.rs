//! Our timetables and partition mappers against Airflow's own, on generated questions.
//!
//! A few thousand questions by default, more than a hundred thousand with `SLIPSTREAM_SLOW=1`; another seed with
//! `SLIPSTREAM_SEED`. All of them go to one Python process in one batch.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test: a wrong question may panic, and it reports"
)]

#[path = "agrees/cron.rs"]
mod cron;
#[path = "agrees/kinds.rs"]
mod kinds;
#[path = "agrees/mappers.rs"]
mod mappers;
mod support;
#[path = "agrees/timetables.rs"]
mod timetables;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use slipstream_core::schedule::Zone;
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
            json!({"at": moment(&mut random, changes), "expression": cron::expression(&mut random), "next": random.chance(50)})
        })
        .collect();
    let sequence: Vec<Value> =
        (0..600 * scale).map(|_| timetables::sequence_question(&mut random, &zones)).collect();
    let mapper: Vec<Value> =
        (0..600 * scale).map(|_| mappers::mapper_question(&mut random, &zones)).collect();
    let kind: Vec<Value> = (0..300 * scale).map(|_| kinds::kind_question(&mut random)).collect();
    let questions = json!({"cron": cron, "sequence": sequence, "mapper": mapper, "kind": kind});
    let Some(answers) = ask_airflow(&questions) else { return };
    let different = compare("cron", &cron, &answers["cron"], cron::our_cron)
        + compare("sequence", &sequence, &answers["sequence"], timetables::our_sequence)
        + compare("kind", &kind, &answers["kind"], kinds::our_kind)
        + compare("mapper", &mapper, &answers["mapper"], mappers::our_mapper);
    assert_eq!(different, 0, "seed {}", seed());
}
