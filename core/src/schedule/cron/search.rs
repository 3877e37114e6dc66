//! The search for the next or previous match.
//!
//! It walks as croniter's `_calc` walks, field by field from the year down, each field that does not match moving the
//! candidate to its nearest value and starting over. Walking differently would be shorter, but croniter's answers to
//! odd expressions (days that a month lacks, `#` and `W` next to a weekday) come from the way it walks.

use chrono::{Datelike, Days, Months, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, Timelike};

use super::field::Field;
use super::{Cron, CronError, Direction, Nth};

/// How far apart two matches may be, in years.
const MAX_YEARS: i32 = 50;

/// What a field did to the candidate. `None` in its place: nothing can match any more.
enum Step {
    Kept,
    Moved(NaiveDateTime),
}

struct Walk<'a> {
    cron: &'a Cron,
    day: &'a Field,
    weekday: &'a Field,
    direction: Direction,
}

impl Cron {
    pub(super) fn find(&self, wall: NaiveDateTime, direction: Direction) -> Result<NaiveDateTime, CronError> {
        let walk = |day, weekday| Walk { cron: self, day, weekday, direction }.run(wall);
        let found = if self.day.star || self.weekday.star {
            walk(&self.day, &self.weekday)
        } else {
            // Either the day of the month or the day of the week has to match.
            let by_day = walk(&self.day, Field::ANY);
            let by_weekday = walk(Field::ANY, &self.weekday);
            let separable = self.nth_weekdays.is_empty() && self.nearest_weekday.is_none();
            match (by_day, by_weekday, direction) {
                (Some(a), Some(b), Direction::Next) => Some(a.min(b)),
                (Some(a), Some(b), Direction::Prev) => Some(a.max(b)),
                (a, b, _) if separable => a.or(b),
                _ => None,
            }
        };
        found.ok_or_else(|| CronError::NoDate { expression: self.expression.clone(), from: wall })
    }
}

impl Walk<'_> {
    fn run(&self, from: NaiveDateTime) -> Option<NaiveDateTime> {
        let mut at = self.first_candidate(from)?;
        let first_year = at.year();
        loop {
            if (at.year() - first_year).abs() > MAX_YEARS || !(1..=9999).contains(&at.year()) {
                return None;
            }
            match self.step(at)? {
                Step::Moved(to) => at = to,
                Step::Kept if self.cron.second.is_none() => return at.with_second(0),
                Step::Kept => return Some(at),
            }
        }
    }

    fn first_candidate(&self, from: NaiveDateTime) -> Option<NaiveDateTime> {
        let has_seconds = self.cron.second.is_some();
        let offset = match self.direction {
            Direction::Prev => TimeDelta::microseconds(-1),
            Direction::Next if has_seconds => TimeDelta::seconds(1),
            Direction::Next => TimeDelta::minutes(1),
        };
        let at = from.checked_add_signed(offset)?.with_nanosecond(0)?;
        if has_seconds { Some(at) } else { at.with_second(0) }
    }

    /// Lets the fields look at the candidate in order, until one moves it.
    fn step(&self, at: NaiveDateTime) -> Option<Step> {
        for field in
            [Self::year, Self::month, Self::day, Self::weekday, Self::hour, Self::minute, Self::second]
        {
            if let Step::Moved(to) = field(self, at)? {
                return Some(Step::Moved(to));
            }
        }
        Some(Step::Kept)
    }

    fn prev(&self) -> bool {
        self.direction == Direction::Prev
    }

    /// How far a field's nearest value is, in the direction of the search; 0 for a match.
    fn distance(&self, field: &Field, value: u32, range: i64) -> i64 {
        if field.star {
            return 0;
        }
        let value = i64::from(value);
        let distance =
            if self.prev() { field.backward(value, Some(range)) } else { field.forward(value, Some(range)) };
        distance.unwrap_or(0)
    }

    fn year(&self, at: NaiveDateTime) -> Option<Step> {
        let Some(field) = self.cron.year.as_ref().filter(|field| !field.star) else {
            return Some(Step::Kept);
        };
        let year = i64::from(at.year());
        let distance = if self.prev() { field.backward(year, None) } else { field.forward(year, None) }?;
        if distance == 0 {
            return Some(Step::Kept);
        }
        let year = i32::try_from(year + distance).ok()?;
        let day = if self.prev() {
            NaiveDate::from_ymd_opt(year, 12, 31)
        } else {
            NaiveDate::from_ymd_opt(year, 1, 1)
        };
        Some(Step::Moved(self.edge_of_day(day?)))
    }

    fn month(&self, at: NaiveDateTime) -> Option<Step> {
        let distance = self.distance(&self.cron.month, at.month(), 12);
        if distance == 0 {
            return Some(Step::Kept);
        }
        let first = at.date().with_day(1)?;
        let months = Months::new(u32::try_from(distance.abs()).ok()?);
        let first =
            if distance > 0 { first.checked_add_months(months) } else { first.checked_sub_months(months) }?;
        let day = if self.prev() { last_day(first)? } else { first };
        Some(Step::Moved(self.edge_of_day(day)))
    }

    fn day(&self, at: NaiveDateTime) -> Option<Step> {
        if let Some(day) = self.cron.nearest_weekday {
            return self.to_candidate(at, &[nearest_weekday(at.date(), day)?]);
        }
        let last = last_day(at.date())?.day();
        if self.day.star || (self.day.last && last == at.day()) {
            return Some(Step::Kept);
        }
        let range = if self.prev() { at.date().with_day(1)?.pred_opt()?.day() } else { last };
        self.move_days(at, self.distance(self.day, at.day(), range.into()))
    }

    fn weekday(&self, at: NaiveDateTime) -> Option<Step> {
        if self.cron.nth_weekdays.is_empty() {
            let today = at.weekday().num_days_from_sunday();
            return self.move_days(at, self.distance(self.weekday, today, 7));
        }
        let mut candidates = Vec::new();
        for (&weekday, which) in &self.cron.nth_weekdays {
            let days = days_of_weekday(at.date(), weekday)?;
            candidates.extend(which.iter().filter_map(|nth| match nth {
                Nth::Last => days.last().copied(),
                Nth::Number(n) => days.get(n - 1).copied(),
            }));
        }
        self.to_candidate(at, &candidates)
    }

    fn hour(&self, at: NaiveDateTime) -> Option<Step> {
        let distance = self.distance(&self.cron.hour, at.hour(), 24);
        if distance == 0 {
            return Some(Step::Kept);
        }
        let (minute, second) = if self.prev() { (59, 59) } else { (0, 0) };
        let at = at.with_minute(minute)?.with_second(second)?;
        at.checked_add_signed(TimeDelta::hours(distance)).map(Step::Moved)
    }

    fn minute(&self, at: NaiveDateTime) -> Option<Step> {
        let distance = self.distance(&self.cron.minute, at.minute(), 60);
        if distance == 0 {
            return Some(Step::Kept);
        }
        let at = at.with_second(if self.prev() { 59 } else { 0 })?;
        at.checked_add_signed(TimeDelta::minutes(distance)).map(Step::Moved)
    }

    fn second(&self, at: NaiveDateTime) -> Option<Step> {
        let Some(field) = &self.cron.second else { return Some(Step::Kept) };
        let distance = self.distance(field, at.second(), 60);
        if distance == 0 {
            return Some(Step::Kept);
        }
        at.checked_add_signed(TimeDelta::seconds(distance)).map(Step::Moved)
    }

    /// Moves to the nearest of some days of the candidate's month, or into the next or previous month.
    fn to_candidate(&self, at: NaiveDateTime, days: &[u32]) -> Option<Step> {
        let today = at.day();
        let nearest = if self.prev() {
            days.iter().copied().filter(|&day| day <= today).max()
        } else {
            days.iter().copied().filter(|&day| day >= today).min()
        };
        let today = i64::from(today);
        let distance = match nearest {
            Some(day) => i64::from(day) - today,
            None if self.prev() => -today,
            None => i64::from(last_day(at.date())?.day()) - today + 1,
        };
        self.move_days(at, distance)
    }

    fn move_days(&self, at: NaiveDateTime, distance: i64) -> Option<Step> {
        if distance == 0 {
            return Some(Step::Kept);
        }
        let days = Days::new(distance.unsigned_abs());
        let date =
            if distance > 0 { at.date().checked_add_days(days) } else { at.date().checked_sub_days(days) }?;
        Some(Step::Moved(self.edge_of_day(date)))
    }

    /// Where the search enters a day.
    fn edge_of_day(&self, date: NaiveDate) -> NaiveDateTime {
        let start = date.and_time(NaiveTime::MIN);
        if self.prev() { start + TimeDelta::seconds(24 * 60 * 60 - 1) } else { start }
    }
}

fn last_day(date: NaiveDate) -> Option<NaiveDate> {
    date.with_day(1)?.checked_add_months(Months::new(1))?.pred_opt()
}

/// The days of a month on which a weekday (0 is Sunday) falls.
fn days_of_weekday(date: NaiveDate, weekday: u32) -> Option<Vec<u32>> {
    let first = date.with_day(1)?.weekday().num_days_from_sunday();
    let start = 1 + (weekday + 7 - first) % 7;
    Some((start..=last_day(date)?.day()).step_by(7).collect())
}

/// The working day of the month that is nearest to a day of it.
fn nearest_weekday(date: NaiveDate, day: u32) -> Option<u32> {
    let last = last_day(date)?.day();
    let day = day.min(last);
    Some(match date.with_day(day)?.weekday() {
        chrono::Weekday::Sat if day > 1 => day - 1,
        chrono::Weekday::Sat => day + 2,
        chrono::Weekday::Sun if day < last => day + 1,
        chrono::Weekday::Sun => day - 2,
        _ => day,
    })
}
