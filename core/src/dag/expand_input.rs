//! What a mapped task or group is expanded over.

use super::TaskIndex;

/// The input of a mapped operator or group (`airflow/models/expandinput.py`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpandInput {
    /// How the number of copies follows from the arguments.
    pub shape: Shape,
    /// The tasks whose XComs are referred to, without repetition.
    pub sources: Vec<TaskIndex>,
}

/// How the number of copies follows from the arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shape {
    /// `expand(a=…, b=…)`: the product of the arguments' lengths, zero when there are none.
    Product(Vec<Length>),
    /// `expand_kwargs(…)`: the length of the one argument.
    Single(Length),
}

/// The length of one argument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Length {
    /// Written in the Dag file.
    Literal(u64),
    /// That of a task's result (`XComArg`, also through `.map(…)`).
    Result(TaskIndex),
    /// `.zip(…)` of several: the shortest, or the longest if there is a fill value.
    Zip(Vec<Length>, Fill),
    /// `.concat(…)` of several: their sum.
    Concat(Vec<Length>),
    /// An argument of an outer expansion: Airflow cannot expand over it.
    Never,
}

/// Whether a `.zip(…)` fills up its shorter arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fill {
    /// It ends with the shortest.
    Absent,
    /// It goes on to the longest.
    Given,
}
