//! Python's `strftime` in the C locale.

use std::fmt::Write as _;

use chrono::NaiveDateTime;

use super::zone::{Fold, Zone};

/// Directives that chrono and the C library print alike.
const SHARED: &str = "YCymbBhdeaAwuUWGgVjDxFHkIlPpMSTRrXcnt%";

/// Formats a reading of a zone's clock. Unknown directives stay as they are, as with the C library.
pub(crate) fn strftime(wall: NaiveDateTime, zone: Zone, fold: Fold, format: &str) -> String {
    let mut out = String::with_capacity(format.len() + 16);
    let mut rest = format;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let flag = rest.chars().next().filter(|c| matches!(c, '-' | '_' | '0'));
        let after_flag = if flag.is_some() { &rest[1..] } else { rest };
        let Some(directive) = after_flag.chars().next() else {
            out.push('%');
            continue;
        };
        let text = format!("%{}{directive}", flag.map(String::from).unwrap_or_default());
        // Writing to a string cannot fail, and these directives are valid.
        let _ = match directive {
            'f' => write!(out, "{:06}", wall.and_utc().timestamp_subsec_micros()),
            'z' => write!(out, "{}", offset(zone.offset_of_wall(wall, fold))),
            'Z' => write!(out, "{}", zone.abbreviation(wall, fold)),
            c if SHARED.contains(c) => write!(out, "{}", wall.format(&text)),
            _ => write!(out, "{text}"),
        };
        rest = &after_flag[directive.len_utf8()..];
    }
    out.push_str(rest);
    out
}

/// `+0530`, with seconds only if there are any.
fn offset(seconds: i32) -> String {
    let sign = if seconds < 0 { '-' } else { '+' };
    let all = seconds.abs();
    let (hours, minutes, seconds) = (all / 3600, all / 60 % 60, all % 60);
    if seconds == 0 {
        format!("{sign}{hours:02}{minutes:02}")
    } else {
        format!("{sign}{hours:02}{minutes:02}{seconds:02}")
    }
}
