//! What can be wrong with a trigger, and with an event in the eyes of a trigger.

/// Why a trigger's JSON has no meaning.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// Written for another version of the language.
    #[error(
        "the trigger is written in version {0} of the language, and only version 1 is known: use matching versions of the Python package and the scheduler"
    )]
    Version(String),
    /// It does not say in which version it is written.
    #[error("the trigger does not say in which version of the language it is written: add `\"version\": 1`")]
    NoVersion,
    /// A part is absent or of another shape.
    #[error("the trigger's `{place}` is not usable: {problem}")]
    Part {
        /// The path to it.
        place: String,
        /// What is wrong.
        problem: String,
    },
    /// A path into an event that cannot exist.
    #[error(
        "`{0}` is no field of an event: begin with key, type, namespace, source, id, sender, time, data or extensions, as in `data.shard`"
    )]
    Field(String),
    /// A filter that is no CEL.
    #[error("the filter `{filter}` is no CEL expression: {problem}")]
    Filter {
        /// As it was written.
        filter: String,
        /// The parser's words.
        problem: String,
    },
}

/// Why a trigger cannot judge an event. The trigger's state is as it was before.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvalError {
    /// The filter failed on this event.
    #[error("the filter `{filter}` failed: {problem}")]
    Filter {
        /// As it was written.
        filter: String,
        /// The evaluator's words.
        problem: String,
    },
    /// The filter's value is neither true nor false.
    #[error("the filter `{filter}` gave {value}, which is neither true nor false")]
    NotBoolean {
        /// As it was written.
        filter: String,
        /// What it gave.
        value: String,
    },
    /// A field to add up, or to tell events apart, that is absent or of another type.
    #[error("the event has no usable value in `{field}`, by which the trigger adds up or counts")]
    NoValue {
        /// Its path.
        field: String,
    },
    /// A Python function that did not answer, or not as it should.
    #[error("the Python function `{function}` failed: {problem}")]
    Python {
        /// Its name.
        function: String,
        /// What went wrong.
        problem: String,
    },
    /// A schedule without a further date.
    #[error("the tick has no next time: {problem}")]
    Tick {
        /// Why.
        problem: String,
    },
}
