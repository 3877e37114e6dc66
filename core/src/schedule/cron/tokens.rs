//! The tables of the cron language: ranges, names and aliases.

/// The fields in the order of an expression.
pub(super) const DAY: usize = 2;
pub(super) const MONTH: usize = 3;
pub(super) const WEEKDAY: usize = 4;

/// The smallest and largest value of each field.
pub(super) const RANGES: [(i64, i64); 7] =
    [(0, 59), (0, 23), (1, 31), (1, 12), (0, 6), (0, 59), (1970, 2099)];

/// How many entries make a field equal to a star.
pub(super) const ALL: [usize; 7] = [60, 24, 31, 12, 7, 60, 130];

const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// The five fields of an `@` name (lower case).
pub(super) fn alias(name: &str) -> Option<&'static str> {
    Some(match name {
        "@midnight" | "@daily" => "0 0 * * *",
        "@hourly" => "0 * * * *",
        "@weekly" => "0 0 * * 0",
        "@monthly" => "0 0 1 * *",
        "@yearly" | "@annually" => "0 0 1 1 *",
        _ => return None,
    })
}

/// The number of a month's or weekday's name, in the field where it is one.
pub(super) fn name_value(field: usize, name: &str) -> Option<i64> {
    let position = |names: &[&str]| names.iter().position(|n| *n == name).and_then(|i| i64::try_from(i).ok());
    match field {
        MONTH => position(&MONTHS).map(|index| index + 1),
        WEEKDAY => position(&WEEKDAYS),
        _ => None,
    }
}

pub(super) fn is_weekday_name(text: &str) -> bool {
    WEEKDAYS.contains(&text)
}

pub(super) fn is_month_name(text: &str) -> bool {
    MONTHS.contains(&text)
}

/// Sunday may be written 7.
pub(super) fn unalias(field: usize, value: i64) -> i64 {
    if field == WEEKDAY && value == 7 { 0 } else { value }
}

/// A run of digits as a number; one too long for any field becomes larger than all of them.
pub(super) fn digits(text: &str) -> Option<i64> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    Some(text.parse().unwrap_or(1_000_000).min(1_000_000))
}
