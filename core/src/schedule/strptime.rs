//! Python's `datetime.strptime` in the C locale (`Lib/_strptime.py`): the format becomes a regular expression, the
//! groups of the match become a date.

use std::fmt::Write as _;

use chrono::{FixedOffset, NaiveDate, NaiveDateTime, TimeDelta, Weekday};
use regex::{Captures, Regex};

use super::pystr::repr;

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];
const WEEKDAYS: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];

/// A parsed date, with an offset from UTC if the text had one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Parsed {
    pub(crate) wall: NaiveDateTime,
    pub(crate) offset: Option<FixedOffset>,
}

/// Parses `text` after `format`. The error is Python's message.
pub(crate) fn strptime(text: &str, format: &str) -> Result<Parsed, String> {
    let pattern = pattern(format)?;
    let mismatch = || format!("time data {} does not match format {}", repr(text), repr(format));
    let found = pattern.captures(text).ok_or_else(mismatch)?;
    let end = found.get(0).map_or(0, |all| all.end());
    if end != text.len() {
        return Err(format!("unconverted data remains: {}", &text[end..]));
    }
    build(&found).ok_or_else(|| "day is out of range for month".to_owned())
}

/// The expression of one directive, as Python has it.
fn directive(letter: char) -> Option<String> {
    let names = |names: &[&str], length: usize| {
        let all: Vec<&str> = names.iter().map(|name| &name[..length.min(name.len())]).collect();
        all.join("|")
    };
    let body = match letter {
        'd' => "3[0-1]|[1-2][0-9]|0[1-9]|[1-9]| [1-9]".to_owned(),
        'f' => "[0-9]{1,6}".to_owned(),
        'H' => "2[0-3]|[0-1][0-9]|[0-9]".to_owned(),
        'I' => "1[0-2]|0[1-9]|[1-9]".to_owned(),
        'G' | 'Y' => "[0-9]{4}".to_owned(),
        'j' => "36[0-6]|3[0-5][0-9]|[1-2][0-9][0-9]|0[1-9][0-9]|00[1-9]|[1-9][0-9]|0[1-9]|[1-9]".to_owned(),
        'm' => "1[0-2]|0[1-9]|[1-9]".to_owned(),
        'M' => "[0-5][0-9]|[0-9]".to_owned(),
        'S' => "6[0-1]|[0-5][0-9]|[0-9]".to_owned(),
        'U' | 'W' => "5[0-3]|[0-4][0-9]|[0-9]".to_owned(),
        'u' => "[1-7]".to_owned(),
        'V' => "5[0-3]|0[1-9]|[1-4][0-9]|[0-9]".to_owned(),
        'w' => "[0-6]".to_owned(),
        'y' => "[0-9][0-9]".to_owned(),
        'z' => "[+-][0-9][0-9]:?[0-5][0-9](?::?[0-5][0-9](?:\\.[0-9]{1,6})?)?|(?-i:Z)".to_owned(),
        'Z' => "utc|gmt".to_owned(),
        'p' => "am|pm".to_owned(),
        'A' => names(&WEEKDAYS, 99),
        'a' => names(&WEEKDAYS, 3),
        'B' => names(&MONTHS, 99),
        'b' => names(&MONTHS, 3),
        _ => return None,
    };
    Some(format!("(?P<{letter}>{body})"))
}

fn pattern(format: &str) -> Result<Regex, String> {
    let mut out = String::from("^(?i:");
    let mut letters = format.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '%' => match letters.next() {
                Some('%') => out.push('%'),
                Some(letter) => out
                    .push_str(&directive(letter).ok_or_else(|| {
                        format!("'{letter}' is a bad directive in format {}", repr(format))
                    })?),
                None => return Err(format!("stray % in format {}", repr(format))),
            },
            letter if letter.is_whitespace() => {
                while letters.next_if(|next| next.is_whitespace()).is_some() {}
                out.push_str("\\s+");
            }
            letter => {
                // Writing to a string cannot fail.
                let _ = write!(out, "{}", regex::escape(letter.encode_utf8(&mut [0; 4])));
            }
        }
    }
    out.push(')');
    Regex::new(&out).map_err(|_| format!("redefinition of a directive in format {}", repr(format)))
}

fn build(found: &Captures<'_>) -> Option<Parsed> {
    let text = |name: &str| found.name(name).map(|group| group.as_str());
    let number = |name: &str| text(name).and_then(|digits| digits.trim().parse::<u32>().ok());
    let name_of = |name: &str, all: &[&str]| {
        let given = text(name)?.to_lowercase();
        all.iter().position(|full| full.starts_with(&given)).and_then(|index| u32::try_from(index).ok())
    };
    let two_digit_year = number("y").map(|year| if year <= 68 { 2000 + year } else { 1900 + year });
    let weekday = name_of("A", &WEEKDAYS)
        .or_else(|| name_of("a", &WEEKDAYS))
        .or_else(|| number("w").map(|day| (day + 6) % 7))
        .or_else(|| number("u").map(|day| day - 1));
    let year = number("Y").or(two_digit_year);
    let month =
        number("m").or_else(|| name_of("B", &MONTHS).or_else(|| name_of("b", &MONTHS)).map(|m| m + 1));
    let date = match (number("G"), number("V"), number("j"), weekday) {
        (Some(iso_year), Some(week), _, Some(weekday)) => {
            NaiveDate::from_isoywd_opt(i32::try_from(iso_year).ok()?, week, nth_weekday(weekday)?)?
        }
        (None, None, Some(day_of_year), _) => {
            NaiveDate::from_yo_opt(i32::try_from(year.unwrap_or(1900)).ok()?, day_of_year)?
        }
        (None, None, None, Some(weekday)) if year.is_some() && (number("U").or(number("W"))).is_some() => {
            by_week(i32::try_from(year?).ok()?, number("U"), number("W"), weekday)?
        }
        (None, None, None, _) => NaiveDate::from_ymd_opt(
            i32::try_from(year.unwrap_or(1900)).ok()?,
            month.unwrap_or(1),
            number("d").unwrap_or(1),
        )?,
        _ => return None,
    };
    let afternoon = text("p").is_some_and(|half| half.eq_ignore_ascii_case("pm"));
    let hour =
        number("I").map(|hour| hour % 12 + if afternoon { 12 } else { 0 }).or(number("H")).unwrap_or(0);
    let micros = text("f").and_then(|f| format!("{f:0<6}").parse().ok()).unwrap_or(0);
    let wall = date.and_hms_micro_opt(hour, number("M").unwrap_or(0), number("S").unwrap_or(0), micros)?;
    let offset = match text("z") {
        Some(zone) => Some(parse_offset(zone)?),
        None => None,
    };
    Some(Parsed { wall, offset })
}

/// From Monday = 0.
fn nth_weekday(weekday: u32) -> Option<Weekday> {
    u8::try_from(weekday).ok().and_then(|day| Weekday::try_from(day).ok())
}

/// A date from the year, the number of its week (`%U` from Sunday, `%W` from Monday) and the weekday (Monday = 0).
fn by_week(year: i32, from_sunday: Option<u32>, from_monday: Option<u32>, weekday: u32) -> Option<NaiveDate> {
    let first = NaiveDate::from_ymd_opt(year, 1, 1)?;
    let first_weekday = i64::from(chrono::Datelike::weekday(&first).num_days_from_monday());
    let (week, first_weekday, weekday) = match from_sunday {
        Some(week) => (i64::from(week), (first_weekday + 1) % 7, i64::from((weekday + 1) % 7)),
        None => (i64::from(from_monday?), first_weekday, i64::from(weekday)),
    };
    let week_zero = (7 - first_weekday) % 7;
    let day = if week == 0 { weekday - first_weekday } else { week_zero + 7 * (week - 1) + weekday };
    first.checked_add_signed(TimeDelta::days(day))
}

fn parse_offset(text: &str) -> Option<FixedOffset> {
    if text == "Z" {
        return FixedOffset::east_opt(0);
    }
    let digits: String = text[1..].split('.').next()?.chars().filter(char::is_ascii_digit).collect();
    let part = |from: usize| digits.get(from..from + 2).map_or(Some(0), |two| two.parse::<i32>().ok());
    let seconds = part(0)? * 3600 + part(2)? * 60 + part(4)?;
    FixedOffset::east_opt(if text.starts_with('-') { -seconds } else { seconds })
}
