//! Reading a trigger's `on`.

use std::sync::Arc;

use serde_json::Value;

use super::memory::MAX_LISTED;
use super::node::{Begins, Kind, Node};
use super::read::{Part, wrong};
use super::term::Term;
use super::{Field, Predicate, SpecError};

/// How deep conditions may nest, and how many parts they may have.
const MAX_DEPTH: usize = 16;
const MAX_PARTS: u16 = 200;
/// The most that a count in a window, or of distinct ones, can be: each is remembered.
const MAX_REMEMBERED: u32 = 1000;

const KINDS: &[&str] = &[
    "event",
    "task_state",
    "run_state",
    "asset",
    "tick",
    "any",
    "all",
    "sequence",
    "count",
    "sum",
    "python",
    "within",
    "none",
    "debounce",
    "by",
];

/// What reading gathers.
#[derive(Default)]
pub(super) struct Reader {
    pub(super) terms: Vec<Term>,
    next: u16,
}

/// What holds for all below a part.
#[derive(Clone, Copy)]
struct Around<'a> {
    by: Option<&'a Field>,
    depth: usize,
    window: Option<i64>,
    begins: Begins,
}

impl Reader {
    pub(super) fn condition(&mut self, value: &Value) -> Result<Node, SpecError> {
        let node =
            self.node("on", value, Around { by: None, depth: 0, window: None, begins: Begins::AtOnce })?;
        let (mut asks, mut waits) = (false, false);
        node.each(&mut |node| {
            asks |= matches!(node.kind, Kind::Python { .. });
            waits |= matches!(node.kind, Kind::Absence { .. } | Kind::Debounce { .. });
        });
        if asks && waits {
            let message = "a Python function takes its time, so that it cannot be combined with `none` or `debounce`, \
                           which are fulfilled when no event comes in time";
            return Err(wrong("on", message));
        }
        Ok(node)
    }

    fn node(&mut self, place: &str, value: &Value, around: Around<'_>) -> Result<Node, SpecError> {
        Part::new(place, value, KINDS)?;
        let mut entries = value.as_object().into_iter().flatten();
        let (Some((name, inside)), None) = (entries.next(), entries.next()) else {
            return Err(wrong(place, format!("it must have exactly one of {}", KINDS.join(", "))));
        };
        if around.depth > MAX_DEPTH || self.next >= MAX_PARTS {
            return Err(wrong(place, format!("it has more than {MAX_DEPTH} levels or {MAX_PARTS} parts")));
        }
        let around = Around { depth: around.depth + 1, ..around };
        let place = format!("{place}.{name}");
        if name == "by" {
            let part = Part::new(&place, inside, &["of", "field"])?;
            let field = part.field("field")?.ok_or_else(|| part.wrong("field", "it is missing"))?;
            return self.node(&place, part.need("of")?, Around { by: Some(&field), ..around });
        }
        let id = self.next;
        self.next += 1;
        let kind = self.kind(name, &place, inside, around)?;
        Ok(Node { id, end: self.next, kind })
    }

    fn kind(
        &mut self,
        name: &str,
        place: &str,
        inside: &Value,
        around: Around<'_>,
    ) -> Result<Kind, SpecError> {
        match name {
            "event" => self.term(Term::event(place, inside)?, around),
            "task_state" => self.term(Term::task_state(place, inside)?, around),
            "run_state" => self.term(Term::run_state(place, inside)?, around),
            "asset" => self.term(Term::asset(place, inside)?, around),
            "tick" => self.term(Term::tick(place, inside)?, around),
            "any" => self.children(place, inside, around).map(Kind::Any),
            "all" => self.children(place, inside, around).map(Kind::All),
            "sequence" => self.steps(place, inside, around),
            "count" => self.count(place, inside, around),
            "sum" => self.sum(place, inside, around),
            "python" => self.python(place, inside, around),
            "within" => {
                let (of, window) = self.timed(place, inside, around, true)?;
                Ok(Kind::Within { of, window })
            }
            "none" => {
                let begins = around.begins;
                let (of, span) = self.timed(place, inside, around, false)?;
                Ok(Kind::Absence { of, span, begins })
            }
            _ => {
                let (of, quiet) = self.timed(place, inside, around, false)?;
                Ok(Kind::Debounce { of, quiet })
            }
        }
    }

    fn term(&mut self, mut term: Term, around: Around<'_>) -> Result<Kind, SpecError> {
        term.by = around.by.cloned();
        if let (Some(field), Some(_)) = (&term.by, &term.rhythm) {
            return Err(wrong("on", format!("a tick has no `{field}` to be kept apart by")));
        }
        self.terms.push(term);
        Ok(Kind::Term(self.terms.len() - 1))
    }

    fn list<'a>(place: &str, inside: &'a Value) -> Result<&'a [Value], SpecError> {
        let children = inside.as_array().filter(|children| !children.is_empty());
        children.map(Vec::as_slice).ok_or_else(|| wrong(place, "it is not a list of at least one condition"))
    }

    fn children(&mut self, place: &str, inside: &Value, around: Around<'_>) -> Result<Vec<Node>, SpecError> {
        let around = Around { begins: Begins::AtOnce, ..around };
        let read = |(index, child)| self.node(&format!("{place}[{index}]"), child, around);
        Self::list(place, inside)?.iter().enumerate().map(read).collect()
    }

    fn steps(&mut self, place: &str, inside: &Value, around: Around<'_>) -> Result<Kind, SpecError> {
        let mut steps = Vec::new();
        for (index, step) in Self::list(place, inside)?.iter().enumerate() {
            let begins = if index == 0 { Begins::AtOnce } else { Begins::AfterStep };
            steps.push(self.node(&format!("{place}[{index}]"), step, Around { begins, ..around })?);
        }
        Ok(Kind::Sequence(steps))
    }

    fn of(&mut self, place: &str, part: &Part<'_>, around: Around<'_>) -> Result<Box<Node>, SpecError> {
        let of = part.need("of")?;
        self.node(place, of, Around { begins: Begins::AtOnce, ..around }).map(Box::new)
    }

    fn count(&mut self, place: &str, inside: &Value, around: Around<'_>) -> Result<Kind, SpecError> {
        let part = Part::new(place, inside, &["of", "n", "distinct"])?;
        let of = self.of(place, &part, around)?;
        let n = part.count("n")?.ok_or_else(|| part.wrong("n", "it is missing"))?;
        let distinct = part.field("distinct")?;
        if distinct.is_some() && !of.is_single() {
            return Err(part.wrong("distinct", "only single events have a field, not combinations of them"));
        }
        if n > MAX_REMEMBERED && (distinct.is_some() || around.window.is_some()) {
            return Err(part.wrong(
                "n",
                &format!("in a window, or of distinct ones, it can be {MAX_REMEMBERED} at most"),
            ));
        }
        Ok(Kind::Count { of, n, distinct })
    }

    fn sum(&mut self, place: &str, inside: &Value, around: Around<'_>) -> Result<Kind, SpecError> {
        let part = Part::new(place, inside, &["of", "field", "at_least"])?;
        let of = self.of(place, &part, around)?;
        if !of.is_single() {
            return Err(
                part.wrong("of", "only single events have a field to add up, not combinations of them")
            );
        }
        let field = part.field("field")?.ok_or_else(|| part.wrong("field", "it is missing"))?;
        let at_least = part.number("at_least")?.ok_or_else(|| part.wrong("at_least", "it is missing"))?;
        Ok(Kind::Sum { of, field, at_least })
    }

    fn python(&mut self, place: &str, inside: &Value, around: Around<'_>) -> Result<Kind, SpecError> {
        let part = Part::new(place, inside, &["of", "function", "source", "limit"])?;
        let of = self.of(place, &part, around)?;
        if !of.is_single() {
            return Err(
                part.wrong("of", "a function is asked about single events, not about combinations of them")
            );
        }
        Ok(Kind::Python { of, predicate: Arc::new(Predicate::read(&part)?) })
    }

    /// `of` and `seconds`. The child of a window has the smaller of the windows around it.
    fn timed(
        &mut self,
        place: &str,
        inside: &Value,
        around: Around<'_>,
        is_window: bool,
    ) -> Result<(Box<Node>, i64), SpecError> {
        let part = Part::new(place, inside, &["of", "seconds"])?;
        let span = part.seconds("seconds")?.ok_or_else(|| part.wrong("seconds", "it is missing"))?;
        let span = span.num_microseconds().unwrap_or(i64::MAX);
        let around = match is_window {
            true => Around { window: Some(around.window.unwrap_or(i64::MAX).min(span)), ..around },
            false => Around { begins: Begins::AtOnce, ..around },
        };
        let of = self.node(place, part.need("of")?, around)?;
        Ok((Box::new(of), span))
    }
}

/// How many matches a sum in a window remembers; the oldest fall out first.
pub(super) const REMEMBERED: usize = MAX_REMEMBERED as usize;
const _: () = assert!(MAX_LISTED <= REMEMBERED);
