//! One step of a trigger: an event, or the passing of time.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::describe::{describe, missing};
use super::feed::{Feed, News, Outcome};
use super::memory::Match;
use super::node::Kind;
use super::term::Answer;
use super::{Answers, EvalError, Event, Passes, Position, Predicate, Progress, Question, TriggerSpec};

/// What a step is about.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    /// The next event of the log.
    Event(&'a Event),
    /// The same, with the answers to all its [`super::questions`].
    Asked(&'a Event, &'a Answers),
    /// Only that time has passed. To be fed when the log has been read to its end, so that no event of that time is
    /// still to come.
    Time,
}

impl<'a> Input<'a> {
    fn event(self) -> Option<&'a Event> {
        match self {
            Self::Event(event) | Self::Asked(event, _) => Some(event),
            Self::Time => None,
        }
    }

    fn answers(self) -> Option<&'a Answers> {
        match self {
            Self::Asked(_, answers) => Some(answers),
            Self::Event(_) | Self::Time => None,
        }
    }
}

/// What a trigger says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// No term expects the event, or it was judged before.
    Ignored,
    /// A term expects such events, but not this one.
    NotMatched(String),
    /// A term took it; the condition as a whole is not fulfilled yet.
    Matched(String),
    /// The condition is fulfilled.
    Fired {
        /// The events that fulfilled it, by position: the latest [`super::MAX_LISTED`] of them. None for an absence.
        events: Vec<Position>,
        /// In words.
        reason: String,
    },
}

/// A tick that is due: the caller appends an event of type [`super::TICK_TYPE`] for it to the log, through which the
/// trigger then sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueTick {
    /// Which of the trigger's terms ticks; goes into the event's `data.term`.
    pub term: usize,
    /// When it was due; the event's time.
    pub at: DateTime<Utc>,
}

/// What came of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// What the trigger says.
    pub verdict: Verdict,
    /// Ticks to append to the log.
    pub ticks: Vec<DueTick>,
    /// When the trigger wants [`Input::Time`].
    pub wake_at: Option<DateTime<Utc>>,
}

/// Judges one event, or the passing of time, at `now`.
///
/// An event is judged once: one at or before [`Progress::position`] is [`Verdict::Ignored`]. Whether the event is for
/// this run is judged too ([`TriggerSpec::bound_to`]).
///
/// # Errors
/// [`EvalError`] when a filter or a sum fails on the event; `progress` is then as it was.
pub fn step(
    spec: &TriggerSpec,
    progress: &mut Progress,
    input: Input<'_>,
    now: DateTime<Utc>,
) -> Result<Step, EvalError> {
    if is_over(spec, progress) {
        return Ok(enough(spec, progress, input));
    }
    let (ticks, due) = tick(spec, progress, input, now)?;
    let verdict = match input {
        Input::Time => feed(spec, progress, None, now),
        Input::Event(event) | Input::Asked(event, _) if event.position <= progress.position => {
            Verdict::Ignored
        }
        Input::Event(event) | Input::Asked(event, _) => {
            let mut news = look(spec, event)?;
            if let Some(answers) = spec.asks_python().then(|| input.answers()) {
                hear(spec, &mut news, answers)?;
            }
            measure(spec, &mut news)?;
            progress.position = event.position;
            if news.answers.iter().all(|answer| *answer == Answer::NotMine) {
                Verdict::Ignored
            } else {
                feed(spec, progress, Some(&news), now)
            }
        }
    };
    progress.ticks = ticks;
    if let Verdict::Fired { .. } = verdict {
        progress.fired += 1;
    }
    // What it remembers stays for now: the firing may turn out to have no effect (`Progress::uncount`).
    let wake_at = if is_over(spec, progress) { None } else { progress.wake_at() };
    Ok(Step { verdict, ticks: due, wake_at })
}

/// Whether a trigger has fired as often as it may. What it remembers is of no use then: [`Progress::at_rest`].
pub fn is_over(spec: &TriggerSpec, progress: &Progress) -> bool {
    spec.at_most.is_some_and(|limit| progress.fired >= u64::from(limit))
}

/// What a trigger says that has fired as often as it may.
fn enough(spec: &TriggerSpec, progress: &mut Progress, input: Input<'_>) -> Step {
    *progress = progress.at_rest();
    let mut verdict = Verdict::Ignored;
    if let Some(event) = input.event()
        && event.position > progress.position
    {
        progress.position = event.position;
        if spec.expecting(event).next().is_some() {
            verdict =
                Verdict::NotMatched(format!("the trigger has fired {} times, its limit", progress.fired));
        }
    }
    Step { verdict, ticks: Vec::new(), wake_at: None }
}

/// When the terms tick next, and which ticks are due.
fn tick(
    spec: &TriggerSpec,
    progress: &Progress,
    input: Input<'_>,
    now: DateTime<Utc>,
) -> Result<(BTreeMap<u16, i64>, Vec<DueTick>), EvalError> {
    let (mut next, mut due) = (progress.ticks.clone(), Vec::new());
    for (number, term) in spec.terms().iter().enumerate() {
        let Some(rhythm) = &term.rhythm else { continue };
        let known = progress.ticks.get(&(number as u16)).and_then(|at| DateTime::from_timestamp_micros(*at));
        let after = match known {
            None => now,
            Some(at) if at <= now && matches!(input, Input::Time) => {
                let at = rhythm.latest(at, now);
                due.push(DueTick { term: number, at });
                at
            }
            Some(_) => continue,
        };
        next.insert(number as u16, rhythm.after(after)?.timestamp_micros());
    }
    Ok((next, due))
}

/// What terms, sums and counts have to say of an event.
fn look<'a>(spec: &TriggerSpec, event: &'a Event) -> Result<News<'a>, EvalError> {
    let terms = spec.terms();
    let mut news = News {
        event,
        answers: vec![Answer::NotMine; terms.len()],
        numbers: BTreeMap::new(),
        texts: BTreeMap::new(),
        states: BTreeMap::new(),
        refused: BTreeMap::new(),
    };
    let key = spec.correlation(event);
    for number in spec.expecting(event) {
        let term = &terms[number];
        let other_key = term.by.as_ref().is_some_and(|by| key.is_none() || by.text(event) != key);
        news.answers[number] = match other_key {
            true => Answer::OtherKey,
            false if term.accepts(event)? => Answer::Match,
            false => Answer::Declined,
        };
    }
    Ok(news)
}

/// The numbers and texts of an event for the sums and counts that it matches.
fn measure(spec: &TriggerSpec, news: &mut News<'_>) -> Result<(), EvalError> {
    let event = news.event;
    let mut failed = None;
    spec.condition().each(&mut |node| {
        let field = match &node.kind {
            Kind::Sum { field, .. } | Kind::Count { distinct: Some(field), .. } => field,
            _ => return,
        };
        if !node.terms().iter().any(|number| news.answers[*number] == Answer::Match) {
            return;
        }
        let absent = match &node.kind {
            Kind::Sum { .. } => {
                field.number(event).map(|number| news.numbers.insert(node.id, number)).is_none()
            }
            _ => field.text(event).map(|text| news.texts.insert(node.id, text)).is_none(),
        };
        if absent {
            failed = Some(EvalError::NoValue { field: field.to_string() });
        }
    });
    failed.map_or(Ok(()), Err)
}

/// The functions that an event matches so far, each with its part's number and the terms below it.
fn asking<'s>(spec: &'s TriggerSpec, news: &News<'_>) -> Vec<(u16, &'s Arc<Predicate>, Vec<usize>)> {
    let mut found = Vec::new();
    spec.condition().each(&mut |node| {
        let Kind::Python { predicate, .. } = &node.kind else { return };
        let mut terms = node.terms();
        terms.retain(|number| news.answers[*number] == Answer::Match);
        if !terms.is_empty() {
            found.push((node.id, predicate, terms));
        }
    });
    found
}

/// What Python is to be asked about the event.
pub(super) fn asked(
    spec: &TriggerSpec,
    progress: &Progress,
    event: &Event,
) -> Result<Vec<Question>, EvalError> {
    let news = look(spec, event)?;
    let state = |part: u16| progress.memory.get(&part).map(|memory| memory.state.clone()).unwrap_or_default();
    let question = |(part, predicate, _): (u16, &Arc<Predicate>, Vec<usize>)| Question {
        part,
        predicate: Arc::clone(predicate),
        state: state(part),
    };
    Ok(asking(spec, &news).into_iter().map(question).collect())
}

/// An event that a function does not accept is as good as declined by a filter.
fn hear(spec: &TriggerSpec, news: &mut News<'_>, answers: Option<&Answers>) -> Result<(), EvalError> {
    for (part, predicate, terms) in asking(spec, news) {
        let Some(reply) = answers.and_then(|answers| answers.get(&part)) else {
            let problem = "it was not asked about this event".to_owned();
            return Err(EvalError::Python { function: predicate.function.clone(), problem });
        };
        news.states.insert(part, reply.state.clone());
        if reply.passes == Passes::No {
            for number in terms {
                news.answers[number] = Answer::Declined;
                news.refused.insert(number, predicate.function.clone());
            }
        }
    }
    Ok(())
}

fn feed(spec: &TriggerSpec, progress: &mut Progress, news: Option<&News<'_>>, now: DateTime<Utc>) -> Verdict {
    let (terms, condition) = (spec.terms(), spec.condition());
    let outcome = Feed { terms, memory: &mut progress.memory, news, now }.node(condition, None);
    progress.memory.retain(|_, memory| *memory != Default::default());
    let answered = |wanted| {
        let answers = news.into_iter().flat_map(|news| news.answers.iter().enumerate());
        let mut numbers = answers.filter(move |(_, answer)| **answer == wanted).map(|(number, _)| number);
        numbers.next().and_then(|number| terms.get(number))
    };
    if let Outcome::Done(Match { positions, .. }) = outcome {
        return Verdict::Fired { events: positions, reason: describe(condition, terms) };
    }
    if let Some(term) = answered(Answer::Match) {
        return Verdict::Matched(format!(
            "{term}; waits for {}",
            missing(condition, terms, &progress.memory)
        ));
    }
    if let Some(term) = answered(Answer::Declined) {
        let refused = news.and_then(|news| news.refused.values().next());
        return Verdict::NotMatched(match refused {
            Some(function) => format!("{term}: `{function}` does not accept it"),
            None => format!("{term}: `{}` is false", term.filter().unwrap_or_default()),
        });
    }
    match answered(Answer::OtherKey).and_then(|term| term.by.as_ref()) {
        Some(by) => Verdict::NotMatched(format!("it has no text or number in `{by}`")),
        None => Verdict::Ignored,
    }
}
