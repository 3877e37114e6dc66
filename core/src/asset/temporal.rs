//! Mappers from a date to the period it lies in (`airflow/partition_mappers/temporal.py`).

use std::sync::Arc;

use chrono::{Datelike, TimeDelta};
use regex::Regex;

use super::error::MapError;
use super::wall::{Wall, out_of_range};
use crate::schedule::{Parsed, Zone, repr, strptime};

/// A period of the calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Period {
    /// `StartOfHourMapper`.
    Hour,
    /// `StartOfDayMapper`.
    Day,
    /// `StartOfWeekMapper`: from Monday.
    Week,
    /// `StartOfMonthMapper`.
    Month,
    /// `StartOfQuarterMapper`.
    Quarter,
    /// `StartOfYearMapper`.
    Year,
}

/// A mapper to the start of a period.
#[derive(Clone, Debug)]
pub struct Temporal {
    pub(super) period: Period,
    pub(super) zone: Zone,
    pub(super) input_format: String,
    pub(super) output_format: String,
    /// How to read a key back, where `strptime` cannot: weeks and quarters.
    key_pattern: Option<Arc<Regex>>,
}

impl PartialEq for Temporal {
    fn eq(&self, other: &Self) -> bool {
        (self.period, self.zone, &self.input_format, &self.output_format)
            == (other.period, other.zone, &other.input_format, &other.output_format)
    }
}

impl Temporal {
    /// A mapper with these formats. The error says what is wrong with `output_format`.
    pub(super) fn new(
        period: Period,
        zone: Zone,
        input_format: &str,
        output_format: &str,
    ) -> Result<Self, String> {
        let output_format = if output_format.is_empty() { period.default_format() } else { output_format };
        let key_pattern = match period {
            Period::Week | Period::Quarter => Some(Arc::new(key_pattern(output_format, period)?)),
            _ => None,
        };
        Ok(Self {
            period,
            zone,
            input_format: input_format.to_owned(),
            output_format: output_format.to_owned(),
            key_pattern,
        })
    }

    pub(super) fn to_downstream(&self, key: &str) -> Result<String, MapError> {
        let at = parsed(strptime(key, &self.input_format))?.in_zone(self.zone);
        self.format(self.normalize(at)?)
    }

    /// The start of the period.
    fn normalize(&self, at: Wall) -> Result<Wall, MapError> {
        let month = at.at.month();
        match self.period {
            Period::Hour => at.hour_start(),
            Period::Day => at.day_start(month, at.at.day()),
            Period::Week => {
                let days = i64::from(at.at.weekday().num_days_from_monday());
                let monday = at.plus(TimeDelta::days(-days))?;
                monday.day_start(monday.at.month(), monday.at.day())
            }
            Period::Month => at.day_start(month, 1),
            Period::Quarter => at.day_start((month - 1) / 3 * 3 + 1, 1),
            Period::Year => at.day_start(1, 1),
        }
        .ok_or_else(out_of_range)
    }

    /// A date as a key of the larger period.
    pub(super) fn format(&self, at: Wall) -> Result<String, MapError> {
        let text = at.format(&self.output_format);
        if self.period != Period::Quarter {
            return Ok(text);
        }
        let quarter = (at.at.month() - 1) / 3 + 1;
        let text = text.replace("{quarter}", &quarter.to_string());
        if text.contains(['{', '}']) {
            return Err(MapError::Value(format!(
                "output_format {} has a placeholder other than {{quarter}}",
                repr(&self.output_format)
            )));
        }
        Ok(text)
    }

    /// A key of the larger period as the date it starts at (`decode_downstream`).
    pub(super) fn decode(&self, key: &str) -> Result<Wall, MapError> {
        let Some(pattern) = &self.key_pattern else { return parsed(strptime(key, &self.output_format)) };
        let quarterly = self.period == Period::Quarter;
        let found = pattern.captures(key);
        let number = |name: &str| found.as_ref()?.name(name)?.as_str().parse::<u32>().ok();
        let parts = if quarterly {
            number("Y").zip(number("quarter")).map(|(year, quarter)| (year, (quarter - 1) * 3 + 1, 1))
        } else {
            number("Y").zip(number("m")).zip(number("d")).map(|((year, month), day)| (year, month, day))
        };
        let Some((year, month, day)) = parts else {
            let (class, needs) = if quarterly {
                ("StartOfQuarterMapper", "the %Y directive and the {quarter} placeholder")
            } else {
                ("StartOfWeekMapper", "the %Y, %m and %d directives")
            };
            return Err(MapError::Value(format!(
                "{class}.decode_downstream could not parse {} with output_format {}; output_format must include {needs}.",
                repr(key),
                repr(&self.output_format),
            )));
        };
        let year = i32::try_from(year).ok().filter(|year| *year > 0);
        year.and_then(|year| Wall::first_of(year, month, day))
            .ok_or_else(|| MapError::Value("day is out of range for month".to_owned()))
    }

    /// The start of the period that a key of it means, with a zone.
    pub(super) fn partition_date(&self, key: &str) -> Result<chrono::DateTime<chrono::Utc>, MapError> {
        Ok(self.normalize(self.decode(key)?)?.instant(self.zone))
    }

    /// A date as a key that comes from upstream.
    pub(super) fn encode_upstream(&self, at: Wall) -> String {
        let naive = if at.zone.is_some() { Wall::naive(at.in_zone(self.zone).at) } else { at };
        naive.in_zone(self.zone).format(&self.input_format)
    }
}

fn parsed(result: Result<Parsed, String>) -> Result<Wall, MapError> {
    let parsed = result.map_err(MapError::Value)?;
    Ok(Wall { zone: parsed.offset.map(Zone::Fixed), ..Wall::naive(parsed.wall) })
}

impl Period {
    fn default_format(self) -> &'static str {
        match self {
            Self::Hour => "%Y-%m-%dT%H",
            Self::Day => "%Y-%m-%d",
            Self::Week => "%Y-%m-%d (W%V)",
            Self::Month => "%Y-%m",
            Self::Quarter => "%Y-Q{quarter}",
            Self::Year => "%Y",
        }
    }
}

/// The expression that reads a key of `format` back (`_compile_output_format_regex`).
fn key_pattern(format: &str, period: Period) -> Result<Regex, String> {
    let mut pattern = String::from("^");
    let mut seen = Vec::new();
    let mut after_placeholder = false;
    let mut rest = format;
    while let Some(letter) = rest.chars().next() {
        let directive = rest.strip_prefix('%').and_then(|rest| rest.chars().next());
        let placeholder = rest.strip_prefix('{').and_then(|rest| rest.split_once('}')).map(|(name, _)| name);
        if let Some(directive) = directive.filter(|c| "YmdHMSVUW".contains(*c)) {
            once(&mut seen, directive.into(), format)?;
            let digits = if directive == 'Y' { 4 } else { 2 };
            pattern.push_str(&format!("(?P<{directive}>[0-9]{{{digits}}})"));
            rest = &rest[2..];
            after_placeholder = false;
        } else if let Some(name) = placeholder {
            if name.is_empty()
                || name.starts_with(|c: char| c.is_ascii_digit())
                || !name.chars().all(|c| c.is_alphanumeric() || c == '_')
            {
                return Err(format!("output_format {} has invalid placeholder {{{name}}}", repr(format)));
            }
            once(&mut seen, name.to_owned(), format)?;
            let quarter = period == Period::Quarter && name == "quarter";
            if !quarter && after_placeholder {
                return Err(format!("output_format {} has adjacent placeholders", repr(format)));
            }
            pattern.push_str(&format!("(?P<{name}>{})", if quarter { "[1-4]" } else { "\\w+" }));
            rest = &rest[name.len() + 2..];
            after_placeholder = !quarter;
        } else {
            pattern.push_str(&regex::escape(&letter.to_string()));
            rest = &rest[letter.len_utf8()..];
            after_placeholder = false;
        }
    }
    Regex::new(&format!("{pattern}$")).map_err(|error| error.to_string())
}

fn once(seen: &mut Vec<String>, name: String, format: &str) -> Result<(), String> {
    if seen.contains(&name) {
        return Err(format!("output_format {} uses `{name}` more than once", repr(format)));
    }
    seen.push(name);
    Ok(())
}
