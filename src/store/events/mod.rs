//! The event log: `slipstream_event` and what belongs to it.
//!
//! Positions have no gaps and are given in the order of the commits, because whoever appends holds the row of
//! `slipstream_log_head` until its transaction ends. A reader that has seen position *n* has therefore seen everything
//! before it, whatever other writers are doing.

mod append;
pub mod assets;
pub mod clients;
mod count;
mod filter;
pub mod members;
mod new_event;
mod read;
pub mod retention;
pub mod sources;
pub mod subscriptions;
pub mod tokens;

#[cfg(test)]
mod tests;

pub use append::{Appended, Existed, append};
pub use count::{Counts, count};
pub use filter::{BadGlob, Filter, Glob, Match};
pub use new_event::{EventError, NewEvent};
pub use read::{at, at_or_before, first_position, get, head, latest, read};
