//! One step of a trigger: an event, or the passing of time.

use chrono::{DateTime, Utc};

use super::term::Answer;
use super::{EvalError, Event, Position, Progress, TriggerSpec};

/// What a step is about.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    /// The next event of the log.
    Event(&'a Event),
    /// Only that time has passed.
    Time,
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
        /// The events that fulfilled it, by position.
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
    _now: DateTime<Utc>,
) -> Result<Step, EvalError> {
    let said = |verdict| Ok(Step { verdict, ticks: Vec::new(), wake_at: None });
    let Input::Event(event) = input else { return said(Verdict::Ignored) };
    if event.position <= progress.position || !spec.sees(event) {
        return said(Verdict::Ignored);
    }
    let answer = spec.term().answer(event)?;
    progress.position = event.position;
    said(match answer {
        Answer::NotMine => Verdict::Ignored,
        Answer::Declined => {
            Verdict::NotMatched(format!("the filter `{}` is false", spec.term().filter().unwrap_or_default()))
        }
        Answer::Match => {
            progress.fired += 1;
            Verdict::Fired { events: vec![event.position], reason: format!("event `{}`", event.key) }
        }
    })
}
