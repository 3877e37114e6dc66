//! Cron expressions, usual and odd.

use serde_json::{Value, json};
use slipstream_core::schedule::cron::{Cron, CronError};

use super::instant;
use super::support::Random;

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

pub(super) fn expression(random: &mut Random) -> String {
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

pub(super) fn our_cron(question: &Value) -> Value {
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
