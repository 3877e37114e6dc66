//! Parsing: from the text of an expression to the values of its fields.

use std::collections::{BTreeMap, BTreeSet};

use super::field::Field;
use super::tokens::{
    ALL, DAY, RANGES, WEEKDAY, alias, digits, is_month_name, is_weekday_name, name_value, unalias,
};
use super::{Cron, CronError, Nth};

/// One entry of a field while its list is worked off.
#[derive(Clone)]
enum Entry {
    Text(String),
    Value(i64, Option<Nth>),
}

struct Expander<'a> {
    expression: &'a str,
    nth_weekdays: BTreeMap<u32, BTreeSet<Nth>>,
    nearest_weekday: Option<u32>,
}

pub(super) fn expand(expression: &str) -> Result<Cron, CronError> {
    let lower = expression.to_lowercase();
    let text = alias(&lower).unwrap_or(&lower);
    let columns: Vec<&str> = text.split(is_blank).filter(|column| !column.is_empty()).collect();
    let mut expander = Expander { expression, nth_weekdays: BTreeMap::new(), nearest_weekday: None };
    if !(5..=7).contains(&columns.len()) {
        return Err(expander.invalid("it has to have 5, 6 or 7 columns"));
    }
    let mut fields = Vec::with_capacity(columns.len());
    for index in 0..columns.len() {
        fields.push(expander.field(index, &columns)?);
    }
    expander.check_weekdays(&fields)?;
    let mut fields = fields.into_iter();
    let mut take = || fields.next().unwrap_or(Field::STAR);
    Ok(Cron {
        minute: take(),
        hour: take(),
        day: take(),
        month: take(),
        weekday: take(),
        second: fields.next(),
        year: fields.next(),
        expression: expression.to_owned(),
        nth_weekdays: expander.nth_weekdays,
        nearest_weekday: expander.nearest_weekday,
    })
}

/// ASCII white space only: croniter does not split at others.
fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r' | '\x0b' | '\x0c')
}

impl Expander<'_> {
    fn invalid(&self, reason: impl Into<String>) -> CronError {
        CronError::Invalid { expression: self.expression.to_owned(), reason: reason.into() }
    }

    fn field(&mut self, index: usize, columns: &[&str]) -> Result<Field, CronError> {
        let column = self.without_hash_and_question(index, columns[index])?;
        let mut entries: Vec<Entry> = column.split(',').map(|e| Entry::Text(e.to_owned())).collect();
        let mut values = BTreeSet::new();
        let mut field = Field::default();
        while let Some(entry) = entries.pop() {
            let (text, nth) = match entry {
                Entry::Value(value, nth) => {
                    self.add(index, value, nth, &mut values)?;
                    continue;
                }
                Entry::Text(text) => self.split_nth(index, text)?,
            };
            if index == DAY
                && let Some(day) = nearest_weekday(&text)
            {
                let alone = entries.is_empty() && values.is_empty() && field.len() == 0;
                self.add_nearest(day, alone)?;
                values.insert(day);
                continue;
            }
            match self.range(index, &text)? {
                Some(range) => entries.extend(range.into_iter().map(|value| Entry::Value(value, nth))),
                None if text == "*" => field.star = true,
                None if index == DAY && text == "l" => field.last = true,
                None => self.add(index, self.single(index, &text)?, nth, &mut values)?,
            }
        }
        field.values = values.into_iter().collect();
        // A day or weekday field that names every day stays restricted unless the other one has a star, so that
        // "either of them" keeps its meaning.
        let other_has_star = match index {
            DAY => columns[WEEKDAY].contains('*'),
            WEEKDAY => columns[DAY].contains('*'),
            _ => true,
        };
        Ok(if field.len() == ALL[index] && other_has_star { Field::STAR } else { field })
    }

    fn without_hash_and_question<'c>(&self, index: usize, column: &'c str) -> Result<&'c str, CronError> {
        match hash_kind(column) {
            Some('h') => {
                return Err(self.invalid("hashed fields (`H`) need an id to hash, which Airflow has not"));
            }
            Some(_) => return Err(CronError::Random { expression: self.expression.to_owned() }),
            None => {}
        }
        if !column.contains('?') {
            return Ok(column);
        }
        if column != "?" {
            return Err(self.invalid("a question mark cannot be combined with other characters"));
        }
        if index != DAY && index != WEEKDAY {
            return Err(
                self.invalid("a question mark can stand only for the day of the month or of the week")
            );
        }
        Ok("*")
    }

    /// Splits `mon#2` and `L3` of the weekday field into the weekday and which one of the month.
    fn split_nth(&self, index: usize, text: String) -> Result<(String, Option<Nth>), CronError> {
        if index != WEEKDAY {
            return Ok((text, None));
        }
        if let Some(number) = text.strip_prefix('l')
            && digits(number).is_some()
        {
            return Ok((number.to_owned(), Some(Nth::Last)));
        }
        let Some((day, number)) = text.rsplit_once('#') else { return Ok((text, None)) };
        let Some(number) = digits(number).filter(|_| is_weekday_expression(day)) else {
            return Ok((text, None));
        };
        let nth = usize::try_from(number).ok().filter(|n| (1..=5).contains(n));
        let nth = nth.ok_or_else(|| self.invalid(format!("a month has no weekday number {number}")))?;
        Ok((day.to_owned(), Some(Nth::Number(nth))))
    }

    fn add_nearest(&mut self, day: i64, alone: bool) -> Result<(), CronError> {
        if !(1..=31).contains(&day) {
            return Err(self.invalid(format!("nearest weekday `{day}` is out of range")));
        }
        if !alone {
            return Err(self.invalid("`W` can be used only with a single day, not in a list or range"));
        }
        self.nearest_weekday = u32::try_from(day).ok();
        Ok(())
    }

    fn add(
        &mut self,
        index: usize,
        value: i64,
        nth: Option<Nth>,
        values: &mut BTreeSet<i64>,
    ) -> Result<(), CronError> {
        let value = unalias(index, value);
        let (low, high) = RANGES[index];
        if value < low || value > high {
            return Err(self.invalid(format!("{value} is out of range")));
        }
        values.insert(value);
        if let (Some(nth), Ok(weekday)) = (nth, u32::try_from(value)) {
            self.nth_weekdays.entry(weekday).or_default().insert(nth);
        }
        Ok(())
    }

    fn single(&self, index: usize, text: &str) -> Result<i64, CronError> {
        digits(text)
            .or_else(|| name_value(index, text))
            .ok_or_else(|| self.invalid(format!("`{text}` is neither a number nor a name of this field")))
    }

    /// The values of `low-high`, `low-high/step`, `*/step` or `start/step`; none if the text is no range.
    fn range(&self, index: usize, text: &str) -> Result<Option<Vec<i64>>, CronError> {
        let (min, max) = RANGES[index];
        let starred = text.strip_prefix("*/").filter(|step| !step.is_empty());
        let normal = starred.map_or_else(|| text.to_owned(), |step| format!("{min}-{max}/{step}"));
        let with_end;
        let (parts, start_with_step) = match split_range(&normal) {
            Some(parts) => (parts, false),
            None => {
                let Some((start, step)) =
                    text.rsplit_once('/').filter(|(a, b)| !a.is_empty() && !b.is_empty())
                else {
                    return Ok(None);
                };
                with_end = format!("{start}-{max}/{step}");
                match split_range(&with_end) {
                    Some(parts) => (parts, true),
                    None => return Err(self.invalid(format!("`{text}` is no range"))),
                }
            }
        };
        let (low, high, step) = parts;
        if step == 0 {
            return Err(self.invalid("a step has to be positive"));
        }
        let high = if index == DAY && high == "l" { "31" } else { high };
        let low = unalias(index, self.single(index, low)?);
        let high = unalias(index, self.single(index, high)?);
        if low.max(high) > max {
            return Err(self.invalid("a range is out of bounds"));
        }
        if start_with_step && low == high {
            return Ok(Some(vec![low]));
        }
        // An equal range that was written as one (`jan-jan`) means the whole cycle.
        let (low, high) = if low == high { (min, max) } else { (low, high) };
        Ok(Some(if low > high { wrapped(low, high, step, (min, max)) } else { stepped(low, high, step) }))
    }

    /// Refuses a mix of plain weekdays and of `#` ones, as croniter does.
    fn check_weekdays(&self, fields: &[Field]) -> Result<(), CronError> {
        let Some(field) = fields.get(WEEKDAY).filter(|_| !self.nth_weekdays.is_empty()) else {
            return Ok(());
        };
        let plain = |value: &&i64| u32::try_from(**value).is_ok_and(|v| !self.nth_weekdays.contains_key(&v));
        if field.values.iter().any(|value| plain(&value)) && field.len() != ALL[WEEKDAY] {
            return Err(self.invalid("plain weekdays cannot be mixed with `#` and `L` weekdays"));
        }
        Ok(())
    }
}

fn stepped(low: i64, high: i64, step: i64) -> Vec<i64> {
    let step = usize::try_from(step).unwrap_or(usize::MAX);
    (low..=high).step_by(step).collect()
}

/// A range that runs over the end of its field, such as `fri-mon` or `nov-feb/2`.
fn wrapped(low: i64, high: i64, step: i64, (min, max): (i64, i64)) -> Vec<i64> {
    let mut values = stepped(low, max, step);
    let end = values.last().copied().unwrap_or(low);
    let skipped = max - end;
    let skip = if end - min + step > max - min + 1 && skipped < step { step - skipped } else { 0 };
    values.extend(stepped(min.saturating_add(skip), high, step));
    values
}

/// Splits `low-high` or `low-high/step`: one dash, and at most one slash, behind it.
fn split_range(text: &str) -> Option<(&str, &str, i64)> {
    let (low, rest) = text.split_once('-')?;
    let (high, step) = match rest.split_once('/') {
        Some((high, step)) => (high, digits(step)?),
        None => (rest, 1),
    };
    (!low.is_empty() && !high.is_empty() && !high.contains('-')).then_some((low, high, step))
}

/// `15w` or `w15`.
fn nearest_weekday(text: &str) -> Option<i64> {
    text.strip_suffix('w').and_then(digits).or_else(|| text.strip_prefix('w').and_then(digits))
}

/// Whether what stands before `#` is one that croniter splits off: a name, a range of names, or one word.
fn is_weekday_expression(text: &str) -> bool {
    if let Some((low, high)) = text.split_once('-') {
        return (is_weekday_name(low) && is_weekday_name(high))
            || (is_month_name(low) && is_month_name(high));
    }
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// The first letter of a field that is hashed (`h`) or random (`r`) as a whole: `h`, `h(0-9)`, `h/5`, `h(0-9)/5`.
fn hash_kind(column: &str) -> Option<char> {
    let kind = column.chars().next().filter(|c| matches!(c, 'h' | 'r'))?;
    let mut rest = &column[1..];
    if let Some(inside) = rest.strip_prefix('(') {
        let (range, after) = inside.split_once(')')?;
        let (begin, end) = range.split_once('-')?;
        digits(begin).and(digits(end))?;
        rest = after;
    }
    if let Some(divisor) = rest.strip_prefix('/') {
        digits(divisor)?;
        rest = "";
    }
    rest.is_empty().then_some(kind)
}
