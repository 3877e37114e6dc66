//! Feeding one event, or the time, to the parts of a condition.
//!
//! A part answers whether it has just been fulfilled, and by which events. Only [`Kind::Absence`] and
//! [`Kind::Debounce`] are ever fulfilled by time; everything else needs a new event that one of its terms expects, so
//! nothing fires twice for the same events. What a firing used is forgotten at once, unless its terms are repeated.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::Event;
use super::memory::{Held, MAX_LISTED, Match, Memory};
use super::node::{Begins, Kind, Node};
use super::read_condition::REMEMBERED;
use super::term::{Answer, Declined, Life, Term};

/// What happens to a part.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Outcome {
    /// Nothing that those above need to know.
    Nothing,
    /// It has just been fulfilled.
    Done(Match),
    /// What it was fulfilled by no longer counts.
    Revoked,
}

/// An event with what the terms, sums and counts have to say of it, found out beforehand: feeding cannot fail.
pub(super) struct News<'a> {
    pub(super) event: &'a Event,
    /// One for each term.
    pub(super) answers: Vec<Answer>,
    /// The number for a sum, the text for a count of distinct ones, by the part's number.
    pub(super) numbers: BTreeMap<u16, f64>,
    pub(super) texts: BTreeMap<u16, String>,
    /// What a Python function remembers from now on, by the part's number.
    pub(super) states: BTreeMap<u16, Value>,
    /// The Python function that did not accept the event, by the term's number.
    pub(super) refused: BTreeMap<usize, String>,
}

/// One feeding.
pub(super) struct Feed<'a> {
    pub(super) terms: &'a [Term],
    pub(super) memory: &'a mut BTreeMap<u16, Memory>,
    /// `None` when only time has passed.
    pub(super) news: Option<&'a News<'a>>,
    pub(super) now: DateTime<Utc>,
}

impl Feed<'_> {
    /// Feeds a part and all below it. `window` (microseconds) is how far apart its events may lie.
    pub(super) fn node(&mut self, node: &Node, window: Option<i64>) -> Outcome {
        match &node.kind {
            Kind::Term(number) => self.term(*number),
            Kind::Any(children) => self.any(node, children, window),
            Kind::All(children) => self.all(node, children, window),
            Kind::Sequence(steps) => self.sequence(node, steps, window),
            Kind::Count { of, n, distinct } => {
                let each = distinct.is_some() || window.is_some();
                match self.node(of, window) {
                    Outcome::Done(matched) => self.count(node, matched, u64::from(*n), each, window),
                    _ => Outcome::Nothing,
                }
            }
            Kind::Sum { of, at_least, .. } => match self.node(of, window) {
                Outcome::Done(matched) => self.sum(node, matched, *at_least, window),
                _ => Outcome::Nothing,
            },
            Kind::Python { of, .. } => {
                // Its answer is in those of the terms; only a part that is fed learns anything.
                if let Some(state) = self.news.and_then(|news| news.states.get(&node.id)) {
                    self.of(node).state = state.clone();
                }
                self.node(of, window)
            }
            Kind::Within { of, window: own } => self.node(of, Some(window.unwrap_or(i64::MAX).min(*own))),
            Kind::Absence { of, span, begins } => self.absence(node, of, *span, *begins),
            Kind::Debounce { of, quiet } => self.debounce(node, of, *quiet, window),
        }
    }

    fn of(&mut self, node: &Node) -> &mut Memory {
        self.memory.entry(node.id).or_default()
    }

    fn due_after(&self, span: i64) -> i64 {
        self.now.timestamp_micros().saturating_add(span)
    }

    fn term(&self, number: usize) -> Outcome {
        let (Some(news), Some(term)) = (self.news, self.terms.get(number)) else { return Outcome::Nothing };
        match news.answers.get(number) {
            Some(Answer::Match) => Outcome::Done(Match::single(news.event, term.life == Life::Repeated)),
            Some(Answer::Declined) if term.declined == Declined::Forgets => Outcome::Revoked,
            _ => Outcome::Nothing,
        }
    }

    /// Every child sees the event, also when an earlier one is fulfilled by it.
    fn any(&mut self, node: &Node, children: &[Node], window: Option<i64>) -> Outcome {
        let outcomes: Vec<Outcome> = children.iter().map(|child| self.node(child, window)).collect();
        let done = |outcome: &Outcome| matches!(outcome, Outcome::Done(_));
        if let Some(first) = outcomes.iter().position(done) {
            let parts = outcomes.iter().filter_map(|outcome| match outcome {
                Outcome::Done(matched) => Some(matched),
                _ => None,
            });
            let whole = Match::union(parts);
            if children.iter().any(|child| child.revokes(self.terms)) {
                self.of(node).count = first as u64 + 1;
            }
            return Outcome::Done(whole);
        }
        let last = self.memory.get(&node.id).map_or(0, |memory| memory.count) as usize;
        match last.checked_sub(1).and_then(|last| outcomes.get(last)) {
            Some(Outcome::Revoked) => Outcome::Revoked,
            _ => Outcome::Nothing,
        }
    }

    fn all(&mut self, node: &Node, children: &[Node], window: Option<i64>) -> Outcome {
        let mut fulfilled = false;
        for (index, child) in children.iter().enumerate() {
            match self.node(child, window) {
                Outcome::Done(matched) => {
                    self.of(node).put(index, matched);
                    fulfilled = true;
                }
                Outcome::Revoked => self.of(node).forget(index),
                Outcome::Nothing => {}
            }
        }
        if !fulfilled {
            return Outcome::Nothing;
        }
        let memory = self.of(node);
        drop_stale(memory, window);
        if memory.held.len() < children.len() {
            // An absence that is over already counted for this moment only.
            memory.held.retain(|held| held.matched.stays || held.matched.span.is_some());
            return Outcome::Nothing;
        }
        let whole = Match::union(memory.held.iter().map(|held| &held.matched));
        memory.held.retain(|held| held.matched.stays);
        Outcome::Done(whole)
    }

    /// The steps are fed from the last to the first, and an event counts for one step, the furthest that expects it. A
    /// step holds the latest events that fulfil it together with all steps before it.
    fn sequence(&mut self, node: &Node, steps: &[Node], window: Option<i64>) -> Outcome {
        if let Some(news) = self.news.filter(|_| self.takes(node)) {
            let time = news.event.time.timestamp_micros();
            self.of(node).held.retain(|held| held.matched.is_fresh(time, window));
        }
        for (index, step) in steps.iter().enumerate().rev() {
            let Some(before) = self.before(node, step, index) else { continue };
            let taken = self.takes(step);
            match self.node(step, window) {
                Outcome::Done(matched) => {
                    return self.step_done(node, steps, index, &[before, matched], window);
                }
                Outcome::Revoked if index > 0 && step.absence().is_some() => {
                    // What should have been absent has come: the step before it has to be fulfilled anew.
                    self.of(node).forget(index - 1);
                    self.reset(node, step, index);
                }
                Outcome::Revoked => self.of(node).forget(index),
                Outcome::Nothing => self.begin(node, step, index, before),
            }
            if taken {
                break;
            }
        }
        Outcome::Nothing
    }

    /// What a step follows: what the steps before it were fulfilled by, when it began or else now.
    fn before(&mut self, node: &Node, step: &Node, index: usize) -> Option<Match> {
        let Some(previous) = index.checked_sub(1) else { return Some(Match::union([])) };
        let has_begun = self.has_begun(step);
        let memory = self.of(node);
        let begun = memory.begun.iter().find(|begun| has_begun && usize::from(begun.child) == index);
        begun.map(|begun| &begun.matched).or_else(|| memory.get(previous)).cloned()
    }

    /// Remembers what a step follows that has begun just now.
    fn begin(&mut self, node: &Node, step: &Node, index: usize, before: Match) {
        let has_begun = self.has_begun(step);
        let memory = self.of(node);
        if index > 0 && has_begun && memory.begun.iter().all(|begun| usize::from(begun.child) != index) {
            memory.begun.push(Held::child(index, before));
        }
    }

    /// Whether something below remembers part of a match.
    fn has_begun(&self, step: &Node) -> bool {
        self.memory.range(step.id..step.end).any(|(_, memory)| *memory != Memory::default())
    }

    /// Whether a term below matches the event.
    fn takes(&self, part: &Node) -> bool {
        let Some(news) = self.news else { return false };
        part.terms().iter().any(|term| news.answers.get(*term) == Some(&Answer::Match))
    }

    /// Lets a step begin anew.
    fn reset(&mut self, node: &Node, step: &Node, index: usize) {
        let below: Vec<u16> = self.memory.range(step.id..step.end).map(|(id, _)| *id).collect();
        for id in below {
            self.memory.remove(&id);
        }
        self.of(node).begun.retain(|begun| usize::from(begun.child) != index);
    }

    fn step_done(
        &mut self,
        node: &Node,
        steps: &[Node],
        index: usize,
        parts: &[Match; 2],
        window: Option<i64>,
    ) -> Outcome {
        self.reset(node, &steps[index], index);
        let whole = Match::union(parts);
        let newest = parts[1].span.or(whole.span).map_or(i64::MIN, |(_, latest)| latest);
        if !whole.is_fresh(newest, window) {
            return Outcome::Nothing;
        }
        let Some(next) = steps.get(index + 1) else {
            self.use_up(node, steps, &whole);
            return Outcome::Done(whole);
        };
        self.of(node).put(index, whole.clone());
        if let Some((absence, span)) = next.absence() {
            self.reset(node, next, index + 1);
            let until = self.due_after(span);
            self.of(absence).until = Some(until);
            self.begin(node, next, index + 1, whole);
        }
        Outcome::Nothing
    }

    /// Forgets the steps that share an event with a finished sequence.
    fn use_up(&mut self, node: &Node, steps: &[Node], whole: &Match) {
        let used = |held: &Held| !held.matched.stays && held.matched.overlaps(whole);
        let memory = self.of(node);
        memory.held.retain(|held| !used(held));
        let begun: Vec<usize> =
            memory.begun.iter().filter(|held| used(held)).map(|held| held.child.into()).collect();
        for index in begun {
            self.reset(node, &steps[index], index);
        }
    }

    fn count(&mut self, node: &Node, matched: Match, n: u64, each: bool, window: Option<i64>) -> Outcome {
        let distinct = self.news.and_then(|news| news.texts.get(&node.id)).cloned();
        let memory = self.of(node);
        if distinct.is_some() {
            memory.held.retain(|held| held.distinct != distinct);
        }
        memory.held.push(Held { child: 0, value: 0.0, distinct, matched });
        drop_stale(memory, window);
        let room = if each { n as usize } else { MAX_LISTED.min(n as usize) };
        memory.held.drain(..memory.held.len().saturating_sub(room));
        memory.count = if each { memory.held.len() as u64 } else { (memory.count + 1).min(n) };
        if memory.count < n {
            return Outcome::Nothing;
        }
        let whole = Match::union(memory.held.iter().map(|held| &held.matched));
        memory.held.retain(|held| held.matched.stays);
        memory.count = if whole.stays { n } else { memory.held.len() as u64 };
        Outcome::Done(whole)
    }

    fn sum(&mut self, node: &Node, matched: Match, at_least: f64, window: Option<i64>) -> Outcome {
        let value = self.news.and_then(|news| news.numbers.get(&node.id)).copied().unwrap_or(0.0);
        let memory = self.of(node);
        memory.held.push(Held { child: 0, value, distinct: None, matched });
        drop_stale(memory, window);
        let room = if window.is_some() { REMEMBERED } else { MAX_LISTED };
        memory.held.drain(..memory.held.len().saturating_sub(room));
        let total = match window {
            Some(_) => memory.held.iter().map(|held| held.value).sum(),
            None => memory.total + value,
        };
        memory.total = total.clamp(f64::MIN, f64::MAX);
        if memory.total < at_least {
            return Outcome::Nothing;
        }
        let whole = Match::union(memory.held.iter().map(|held| &held.matched));
        memory.held.retain(|held| held.matched.stays);
        if !whole.stays {
            memory.total = memory.held.iter().map(|held| held.value).sum();
        }
        Outcome::Done(whole)
    }

    /// Fulfilled when its time is over, and revoked by what it waits to be absent. When the time was over long ago and
    /// nobody had looked, it is fulfilled for the moment of the event that ends it.
    fn absence(&mut self, node: &Node, of: &Node, span: i64, begins: Begins) -> Outcome {
        let came = matches!(self.node(of, None), Outcome::Done(_));
        let again = self.due_after(span);
        let came_at = self.news.filter(|_| came).map(|news| news.event.time.timestamp_micros());
        let (only_time, now) = (self.news.is_none(), self.now);
        let memory = self.of(node);
        let overdue = memory.until.is_some_and(|until| came_at.is_some_and(|at| at >= until));
        let waited = memory.until.is_some();
        if came {
            memory.until = (begins == Begins::AtOnce).then_some(again);
            memory.count = (begins == Begins::AtOnce).into();
            return match waited || begins == Begins::AtOnce {
                true if overdue => Outcome::Done(Match { stays: false, ..Match::absence() }),
                true => Outcome::Revoked,
                false => Outcome::Nothing,
            };
        }
        if only_time && memory.is_due(now) {
            memory.until = None;
            return Outcome::Done(Match::absence());
        }
        // The first look at the time begins the first wait; later ones begin with what it waits for.
        if only_time && memory.count == 0 && begins == Begins::AtOnce {
            memory.until = Some(again);
            memory.count = 1;
        }
        Outcome::Nothing
    }

    fn debounce(&mut self, node: &Node, of: &Node, quiet: i64, window: Option<i64>) -> Outcome {
        let (outcome, again, now) = (self.node(of, window), self.due_after(quiet), self.now);
        let memory = self.of(node);
        let over = memory.is_due(now).then(|| Match::union(memory.held.iter().map(|held| &held.matched)));
        if over.is_some() {
            memory.held.clear();
            memory.until = None;
        }
        if let Outcome::Done(matched) = outcome {
            let burst = Match::union(memory.held.iter().map(|held| &held.matched).chain([&matched]));
            memory.put(0, burst);
            memory.until = Some(again);
        }
        over.map_or(Outcome::Nothing, Outcome::Done)
    }
}

/// Forgets what lies too far before the newest event held.
fn drop_stale(memory: &mut Memory, window: Option<i64>) {
    let newest = memory.newest();
    memory.held.retain(|held| held.matched.is_fresh(newest, window));
}
